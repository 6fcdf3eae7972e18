#!/bin/sh
# Installs what is missing, and says what before it does: npm packages, Node 24, and programs by apt-get.
#
#   setup.sh run        what `vmctl up` and building a small guest need
#   setup.sh run test   and what the tests need
set -eu
cd "$(dirname "$0")/.."
PATH=$PWD/node_modules/.bin:$PATH

# What is installed, and why: use, what must be there (a program or a file), its Debian package, the reason.
py=/usr/lib/python3/dist-packages
list="
run   qemu-system-x86_64    qemu-system-x86     runs the VMs
run   qemu-img              qemu-utils          makes their disks
run   ssh                   openssh-client      vmctl ssh hands over to it
test  qemu-io               qemu-utils          writes to disks behind the back of vmctl
test  ssh-keygen            openssh-client      makes keys of all kinds
test  ssh-agent             openssh-client      holds keys
test  ssh-add               openssh-client      gives keys to it
test  /usr/share/OVMF       ovmf                UEFI firmware for VMs
test  xz                    xz-utils            .xz images
test  bzip2                 bzip2               .bz2 images
test  zstd                  zstd                packs the .zst images that are read back
test  minisign              minisign            signs lists of checksums
test  openssl               openssl             a certificate for the https server of the tests
test  docker-registry       docker-registry     a real registry for images, on loopback, only while a test runs
test  /usr/sbin/sshd        openssh-server      a real sshd to talk to, on loopback, only while a test runs
test  sftp                  openssh-client      the real sftp client against a VM
test  isoinfo               genisoimage         reads the seed ISO back
test  xorriso               xorriso             reads the seed ISO back
test  ip                    iproute2            a bridge and TAP devices in a network namespace
test  dnsmasq               dnsmasq-base        DHCP on that bridge
test  nft                   nftables            NAT of a bridge, in that namespace
test  ss                    iproute2            shows who listens where
test  mksh                  mksh                a shell that a guest may have
test  ksh93                 ksh93u+m            the same
test  fish                  fish                a login shell that is none of POSIX
test  tcsh                  tcsh                another one
test  shellcheck            shellcheck          reads the shell programs of the project
test  zsh                   zsh                 a login shell that always reads a start-up file, and one of a guest
test  busybox               busybox             a guest whose programs are all busybox
test  virsh                 libvirt-clients     domains of its built-in test driver are imported
test  debugfs               e2fsprogs           looks into file systems that guests make
test  mmdebstrap            mmdebstrap          vmctl image build installs packages by it
test  mformat               mtools              it makes an EFI system partition
test  sfdisk                fdisk               it partitions a disk
test  newuidmap             uidmap              it does so as an ordinary user
test  as                    binutils            the program that tries an accelerator is what its source says
test  ld                    binutils            the same
test  objcopy               binutils            the same
test  cc                    gcc                 a library that makes file operations fail
test  /usr/include/dlfcn.h  libc6-dev           the same
test  scp                   openssh-client      compared with vmctl cp
test  systemd-analyze       systemd             checks the unit that vmctl install writes
test  script                bsdutils            a terminal for the commands of the documentation
test  pgrep                 procps              finds processes left behind
test  setpriv               util-linux          runs a test as an ordinary user
test  /usr/bin/python3      python3             a second opinion on the YAML that is written
test  $py/yaml              python3-yaml        the same
test  $py/jsonschema        python3-jsonschema  cloud-init checks its configuration with it
test  $py/configobj*        python3-configobj   cloud-init loads it
test  $py/jinja2            python3-jinja2      cloud-init loads it
test  $py/jsonpatch.py      python3-jsonpatch   cloud-init loads it
test  $py/requests          python3-requests    cloud-init loads it
"

say() { printf 'setup: %s\n' "$*" >&2; }

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  else
    sudo "$@"
  fi
}

packages() {
  missing=
  PATH=$PATH:/usr/sbin:/sbin
  while read -r use thing package reason; do
    case " $* " in *" $use "*) ;; *) continue ;; esac
    case $thing in
      /*)
        # Unquoted, since a version may have a folder where another has a file: `configobj*`.
        for found in $thing; do break; done
        [ -e "$found" ] && continue
        ;;
      *) command -v "$thing" >/dev/null && continue ;;
    esac
    case " $missing " in *" $package "*) continue ;; esac
    [ -n "$missing" ] || say "these packages are missing:"
    missing="$missing $package"
    say "  $package: $reason"
  done <<END
$list
END
  [ -n "$missing" ] || return 0
  if ! command -v apt-get >/dev/null; then
    say "this is no Debian or Ubuntu: install these programs with your package manager, then run the command again:$missing"
    exit 1
  fi
  if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    say "you are not root and there is no sudo. Run this as root, then run the command again: apt-get install$missing"
    exit 1
  fi
  case $missing in *openssh-server* | *docker-registry*) keep_services_off ;; esac
  # The lists of apt may be absent, or older than the mirror: a second try with fresh ones then.
  say "installing them with apt-get"
  # shellcheck disable=SC2086 # a list of words
  if ! install_packages $missing 2>/dev/null; then
    say "apt does not know them all yet, or its lists are old: running apt-get update"
    as_root apt-get update -q >&2
    install_packages $missing || { say "apt-get could not install:$missing"; exit 1; }
  fi
  # shellcheck disable=SC2154 # set by keep_services_off
  if [ -n "${policy-}" ]; then
    as_root rm -f "$policy"
    # Only what was installed just now: a service that was there before is somebody's.
    case $missing in *openssh-server*) as_root update-rc.d ssh disable >/dev/null 2>&1 || : ;; esac
    case $missing in *docker-registry*) as_root update-rc.d docker-registry disable >/dev/null 2>&1 || : ;; esac
    say "no service was started or enabled"
  fi
}

# The tests start their own sshd and registry on loopback; Debian's packages would start some for the whole network.
keep_services_off() {
  [ ! -e /usr/sbin/policy-rc.d ] || return 0
  policy=/usr/sbin/policy-rc.d
  trap 'as_root rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
}

# What apt-get says is shown only when it fails: it is long, and which packages come was told.
install_packages() {
  log=$(mktemp)
  if as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >"$log" 2>&1 </dev/null; then
    rm -f "$log"
  else
    tail -n 20 "$log" >&2
    rm -f "$log"
    return 1
  fi
}

# npm leaves out the parts for this platform of tools that do not run on the Node that runs npm. So where that is older than
# ours, npm is run by ours, which it fetches first.
npm_packages() {
  if ! node scripts/node-modules.js 2>/dev/null; then
    say "installing npm packages, with Node 24 among them"
    set -- npm ci --no-audit --no-fund --loglevel=error
    if ! is_node_24; then
      wanted=$(sed -n 's/^ *"node": "\([0-9.]*\)",*$/\1/p' package.json)
      # Of deprecated calls, an older npm has many.
      set -- env NODE_OPTIONS="${NODE_OPTIONS-} --no-deprecation" npm exec --yes --loglevel=error --package="node@$wanted" -- "$@"
    fi
    "$@" >&2 </dev/null
  fi
  # So that `npx vmctl` in this repository is this vmctl.
  ln -sf ../../bin/run.js node_modules/.bin/vmctl
  # The shell may remember where it found another one.
  hash -r
  is_node_24 || { say "Node 24 did not arrive: $(command -v node) is $(node --version). Remove node_modules and try again."; exit 1; }
}

is_node_24() {
  case $(node --version) in v2[4-9].* | v[3-9][0-9].*) ;; *) return 1 ;; esac
}

# Programs that only the tests use, in a directory that test.sh puts on PATH. Installing cloud-init on a real machine would
# let it configure that machine at the next boot; unpacking its package does nothing.
tools() {
  tools=${VMCTL_FIXTURES:-${XDG_CACHE_HOME:-$HOME/.cache}/vmctl-fixtures}/tools
  mkdir -p "$tools/bin"
  # Another Python may be first on PATH; Debian's modules belong to this one, and it is to find those of cloud-init.
  printf '#!/bin/sh\nPYTHONPATH=%s exec /usr/bin/python3 "$@"\n' "$tools/cloud-init" >"$tools/bin/python3"
  chmod +x "$tools/bin/python3"
  if command -v cloud-init >/dev/null || [ -x "$tools/bin/cloud-init" ]; then return 0; fi
  say "unpacking cloud-init's schema check into $tools"
  work=$(mktemp -d "$tools/.new-XXXXXX")
  chmod 755 "$work"
  (cd "$work" && apt-get download -q cloud-init >&2 2>&1) || {
    say "apt does not know cloud-init: running apt-get update"
    as_root apt-get update -q >&2
    (cd "$work" && apt-get download -q cloud-init >&2)
  }
  dpkg-deb -x "$work"/cloud-init_*.deb "$work"
  rm -rf "$tools/cloud-init"
  mv "$work$py" "$tools/cloud-init"
  rm -rf "$work"
  printf '#!/bin/sh\nexec %s -m cloudinit.cmd.main "$@"\n' "$tools/bin/python3" >"$tools/bin/cloud-init"
  chmod +x "$tools/bin/cloud-init"
}

npm_packages
packages "$@"
case " $* " in *' test '*) tools ;; esac
