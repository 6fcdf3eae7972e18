const same = (words: readonly string[], advice: string): Readonly<Record<string, string>> =>
  Object.fromEntries(words.map((word) => [word, advice]))

/** Commands of other tools (Vagrant, Compose, Docker, virsh, holos), and how vmctl does what they do. None is ever run. */
export const foreignCommands: Readonly<Record<string, string>> = {
  ...same(
    ['halt', 'poweroff', 'shutdown', 'turnoff', 'off', 'quit'],
    '`vmctl stop VM` powers a VM off, `vmctl down` all VMs of the VMFile; their disks stay.',
  ),
  ...same(['kill', 'terminate', 'force-stop'], '`vmctl stop VM --timeout 0` forces a VM off; its disk stays.'),
  ...same(['reboot', 'reset', 'powercycle'], '`vmctl restart VM` powers a VM off and boots it again; its disk stays.'),
  ...same(
    ['rm', 'remove', 'delete', 'del', 'undefine', 'purge', 'prune', 'erase', 'clean'],
    'What removes VMs, images and volumes is named in full, because it cannot be undone: see `vmctl destroy --help`, `vmctl image rm --help` and `vmctl volume rm --help`.',
  ),
  ...same(['rmi'], 'Images are removed from the cache by `vmctl image rm`.'),
  ...same(
    ['new', 'generate'],
    '`vmctl init` begins a VMFile, `vmctl import FILE` makes one of what you have, and `vmctl run IMAGE` needs none.',
  ),
  ...same(['define', 'add', 'make'], '`vmctl create` makes a VM without a VMFile, `vmctl up` those of the VMFile.'),
  ...same(
    ['apply', 'deploy', 'boot', 'begin', 'launch', 'bring-up'],
    '`vmctl up` brings the VMs of the VMFile up; `vmctl start VM` boots a VM that exists.',
  ),
  ...same(
    ['snapshot', 'snapshots', 'checkpoint', 'rollback', 'commit', 'backup'],
    'vmctl has no snapshots. What must outlive a VM belongs on a volume; `vmctl suspend VM` keeps a running one as it is.',
  ),
  ...same(['pause', 'save', 'sleep', 'hibernate'], '`vmctl suspend VM` pauses a VM, `vmctl resume VM` lets it go on.'),
  ...same(['unpause', 'continue', 'wake'], '`vmctl resume VM` resumes a suspended VM.'),
  ...same(['attach', 'tty', 'serial'], '`vmctl console VM` attaches to the serial console; Ctrl+] detaches.'),
  ...same(
    ['shell', 'sh', 'bash', 'login', 'connect', 'enter', 'join', 'c'],
    '`vmctl ssh VM` opens a shell, `vmctl exec VM PROGRAM` runs a program.',
  ),
  ...same(['scp', 'copy', 'rsync', 'upload', 'download', 'sync'], '`vmctl cp` copies files into a VM and out of it.'),
  ...same(['build'], 'There is nothing to build: `vmctl up` provisions VMs, also from a Dockerfile (`provision "dockerfile"`).'),
  ...same(['box', 'boxes', 'template', 'templates'], 'Disk images are managed by `vmctl image`: `pull`, `list`, `inspect` and `rm`.'),
  ...same(['fetch'], '`vmctl image pull URL` downloads an image; `vmctl up` downloads what it needs by itself.'),
  ...same(['push', 'package', 'publish', 'export'], 'vmctl does not publish images; `qemu-img convert` makes one of a disk.'),
  ...same(['volumes', 'disk', 'disks'], 'Volumes are managed by `vmctl volume`: `ls`, `inspect` and `rm`.'),
  ...same(['networks', 'net'], 'Networks are managed by `vmctl network`: `ls` and `rm`.'),
  ...same(
    ['config', 'check', 'lint', 'verify'],
    '`vmctl validate` checks the VMFile, `vmctl plan` shows what `up` would do, `vmctl inspect VM` what a VM is.',
  ),
  ...same(
    ['edit', 'set', 'update', 'modify', 'scale'],
    'Change the VMFile (`replicas` for more of a VM), then run `vmctl up`; `vmctl plan` shows what it would do.',
  ),
  ...same(['diff', 'preview', 'dry-run'], '`vmctl plan` shows what `up` would do, and why.'),
  ...same(['show', 'describe', 'dumpxml', 'get'], '`vmctl inspect VM` shows everything, `vmctl status VM` the essentials.'),
  ...same(['info', 'dominfo', 'domstate', 'state'], '`vmctl status VM` is about one VM, `vmctl doctor` about this host.'),
  ...same(['global-status', 'vms', 'machines', 'dir'], '`vmctl list` shows all of your VMs, `vmctl ps` those of the VMFile.'),
  ...same(
    ['top', 'stats', 'port', 'ports', 'ip', 'domifaddr', 'health', 'wait', 'watch'],
    '`vmctl ps` shows states, health, addresses and ports; `--watch` goes on, `--wait` waits for health.',
  ),
  ...same(['journal', 'tail', 'follow', 'events'], '`vmctl log VM --follow` shows what a VM says.'),
  ...same(['explain', 'reason'], '`vmctl why VM` says why a provision step runs or not.'),
  ...same(['vnc', 'view', 'viewer', 'gui', 'display', 'rdp'], '`vmctl status VM` has the address of the VNC display.'),
  ...same(['mount', 'share', 'forward'], 'Folders and ports belong in the VMFile: `share` and `port`.'),
  ...same(['autostart', 'enable', 'service'], '`vmctl install` brings the VMs of a VMFile up at boot.'),
  ...same(['disable'], '`vmctl uninstall` undoes `vmctl install`.'),
  ...same(['convert'], '`vmctl import FILE` makes a VMFile of what another tool has.'),
  ...same(['plugin', 'extension', 'extensions'], 'Plugins are managed by `vmctl plugins`.'),
  ...same(['completion', 'completions'], '`vmctl autocomplete` sets up completion.'),
  ...same(['upgrade', 'self-update'], 'Install the new version with npm: `npm install --global vmctl`.'),
  ...same(
    ['clone', 'migrate', 'rename', 'mv', 'move'],
    'vmctl has nothing like it. VMs are named in the VMFile, and `vmctl up` makes as many as it says.',
  ),
  ...same(['recreate', 'rebuild'], '`vmctl reload --help` says how a VM is made anew, and what becomes of its disk.'),
}

/** Flags of other tools: for all commands, then for those of one. A flag that vmctl has never comes here. */
export const foreignFlags: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  '': {
    ...same(['--verbose', '-v', '-vv', '-D'], '`--debug` shows what vmctl does.'),
    ...same(['--quiet', '-q', '--silent'], 'Send standard error to /dev/null, or read `--json`.'),
    ...same(['--format', '-o', '--output'], '`--json` prints the result for programs.'),
    ...same(['-y', '--yes', '--assume-yes', '--non-interactive', '--no-input'], 'vmctl asks nothing here; leave the flag out.'),
    ...same(['--dry-run', '-n', '--check'], '`vmctl plan` shows what would be done.'),
    ...same(['--no-color', '--no-colour', '--no-ansi', '--ansi'], 'Set NO_COLOR=1 in the environment.'),
    ...same(['-C', '--directory', '--project-directory', '--chdir'], '`--file PATH` names the VMFile.'),
    ...same(
      ['--config', '--vmfile', '--compose-file', '--machine-readable'],
      '`--file PATH` names the VMFile, `--json` prints for programs.',
    ),
    ...same(['--project', '--project-name'], 'The name of a project stands in its VMFile: `project "NAME"`.'),
    ...same(['--cpus', '--cpu', '--ncpus', '-c'], 'It is called `--vcpus`, or `vcpus` in the VMFile.'),
    ...same(['--ram', '--mem', '-m'], 'It is called `--memory`, or `memory` in the VMFile.'),
    ...same(['--provider', '--driver', '--hypervisor'], 'VMCTL_BACKEND names the backend of new VMs.'),
  },
  up: {
    ...same(['--provision', '--provision-with'], 'Steps that are due run anyway; `vmctl provision` runs all of them again.'),
    ...same(['-d', '--detach', '--background'], 'VMs always run in the background; leave the flag out.'),
    ...same(
      ['--build', '--force-recreate', '--always-recreate-deps', '--no-recreate'],
      '`up` changes what differs from the VMFile; see `vmctl reload --help` for making a VM anew.',
    ),
    ...same(['--scale'], '`replicas` in the VMFile says how many there are of a VM.'),
    ...same(['--pull', '--box-version', '--box'], 'The VMFile names the image: `image` or `image-url`.'),
    ...same(['--destroy-on-error', '--abort-on-container-exit'], '`up` keeps a VM that failed, so that the next `up` can go on.'),
  },
  down: {
    ...same(['-v'], 'Volumes are removed only by `--volumes`, written in full; what is on them is lost.'),
    ...same(['--rmi'], 'Images are removed from the cache by `vmctl image rm`.'),
    ...same(['-t', '--timeout'], '`stop-grace-period` in the VMFile says how long a guest may take; `vmctl stop VM --timeout` for once.'),
  },
  destroy: {...same(['--force', '--graceful', '-g'], 'A VM that runs is ended too; leave the flag out.')},
  stop: {...same(['--force', '-t', '--time'], '`--timeout 0` forces the guest off, `--timeout 2m` gives it two minutes.')},
  restart: {...same(['-t', '--time'], 'It is called `--timeout`.')},
  ssh: {
    ...same(['-c', '--command'], 'The command stands at the end, behind `--`: `vmctl ssh VM -- COMMAND`.'),
    ...same(['-l', '-u'], 'It is called `--user`.'),
    ...same(['-i', '--identity'], 'It is called `--key`.'),
    ...same(
      ['-t', '-T', '-p', '-A', '-L', '-R', '-D', '-X', '-o', '-F', '-v'],
      'For options of ssh: `vmctl ssh-config > FILE`, then `ssh -F FILE VM`.',
    ),
  },
  exec: {
    ...same(
      ['-i', '-t', '-it', '-ti', '-T', '--interactive', '--tty', '--no-tty'],
      'Leave the flag out: input is always passed on, and the program gets a terminal when there is one.',
    ),
    ...same(['-d', '--detach'], "Start it in the background of the guest: `vmctl exec VM -- sh -c 'nohup PROGRAM >/dev/null 2>&1 &'`."),
    ...same(['--cwd'], 'It is called `--workdir`.'),
    ...same(['-e', '--env'], "Use a shell in the guest: `vmctl exec VM -- sh -c 'NAME=value PROGRAM'`."),
    ...same(['--root', '--privileged'], '`vmctl exec VM -- sudo PROGRAM`, or `--user root`.'),
  },
  run: {
    ...same(
      ['-i', '-t', '-it', '-ti', '--interactive', '--tty'],
      'Leave the flag out: input is always passed on, and the program gets a terminal when there is one.',
    ),
    ...same(['-d', '--detach'], '`vmctl create --start` makes a VM and leaves it running.'),
    ...same(['--publish'], 'It is called `--port`.'),
    ...same(['-v', '--mount'], 'A folder of the host is `--share SOURCE:TARGET`, a volume `--volume NAME:TARGET`.'),
    ...same(['-e', '--env', '--network'], 'Variables and networks need a VMFile; see `vmctl up --help`.'),
  },
  log: {
    ...same(['-t', '--timestamps', '--since', '--until'], 'Logs are shown as the guest wrote them; `--tail LINES` shows the last lines.'),
  },
  ps: {...same(['-q', '--services', '--filter'], '`vmctl ps --json` is for programs.')},
  list: {...same(['-a', '--all', '-l'], 'All VMs are shown anyway; leave the flag out.')},
  cp: {...same(['-r', '-R', '-a', '--recursive', '--archive'], 'Directories are copied whole anyway; leave the flag out.')},
  plan: {...same(['--verb'], 'It is called `--for`.')},
}

/** What an argument too many was probably meant as. */
export const foreignArguments: Readonly<Record<string, string>> = {
  create: 'The image is given by `--image PATH` or `--image-url URL`.',
  ssh: 'A command stands behind `--`: `vmctl ssh VM -- COMMAND`.',
  list: 'It shows all VMs; `vmctl status VM` shows one.',
  validate: 'The VMFile is named by `--file PATH`.',
  graph: 'The VMFile is named by `--file PATH`.',
  cp: 'It takes one source and one destination; one of the two is VM:PATH.',
}
