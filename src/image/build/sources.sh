# shellcheck shell=sh
# Sourced: where packages of a Debian come from.

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# host_sources SUITE: the sources that the apt of this machine has for any Debian (they may be a mirror nearby), as lines for SUITE;
# nothing where it has none.
host_sources() {
  # shellcheck disable=SC2016 # names of apt's, not of the shell's
  apt-get indextargets --format '$(ORIGIN) $(CODENAME) deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Created-By: Packages' 2>/dev/null |
    awk -v suite="$1" -v keyring="$keyring" '$1 == "Debian" && $6 == "main" {
      codename = $2
      sub(/-.*/, "", codename)
      if ($5 !~ "^" codename "(-updates|-security)?$") next
      sub("^" codename, suite, $5)
      print $3, "[signed-by=" keyring "]", $4, $5, $6
    }' | sort -u
}

# debian_sources SUITE MIRROR SECURITY-MIRROR: the same for the mirrors that are given; either may be empty.
debian_sources() {
  if [ -z "$2$3" ]; then
    found=$(host_sources "$1")
    case $found in *" $1 main"*) printf '%s\n' "$found"; return ;; esac
  fi
  for line in "${2:-http://deb.debian.org/debian} $1" "${2:-http://deb.debian.org/debian} $1-updates" \
    "${3:-http://deb.debian.org/debian-security} $1-security"; do
    echo "deb [signed-by=$keyring] $line main"
  done
}
