const same = (words: readonly string[], advice: string): Readonly<Record<string, string>> =>
  Object.fromEntries(words.map((word) => [word, advice]))

/** Commands of other tools (Vagrant, Compose, Docker, Lima, virsh, Terraform), and how vmctl does what they do. None is ever run. */
export const foreignCommands: Readonly<Record<string, string>> = {
  ...same(
    ['halt', 'poweroff', 'shutdown', 'turnoff', 'off', 'quit'],
    '`vmctl stop VM` powers a VM off, `vmctl down` all VMs of the VMFile; their disks stay.',
  ),
  ...same(['kill', 'terminate', 'force-stop'], '`vmctl stop VM --timeout 0` forces a VM off; its disk stays.'),
  ...same(
    ['reboot', 'reset', 'powercycle'],
    '`vmctl restart VM` powers a VM off and boots it again, with what has changed in the VMFile; its disk stays.',
  ),
  ...same(
    ['rm', 'remove', 'delete', 'del', 'undefine', 'purge', 'erase', 'clean'],
    'What removes VMs, images and volumes is named in full, because it cannot be undone: see `vmctl destroy --help`, `vmctl image rm --help`, `vmctl image prune --help` and `vmctl volume rm --help`.',
  ),
  ...same(['rmi'], 'Images are removed from the cache by `vmctl image rm`.'),
  ...same(['du', 'space'], '`vmctl disk-usage` shows what takes how much room.'),
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
    ['snapshots', 'checkpoint', 'rollback', 'commit', 'backup', 'restore', 'revert', 'snap', 'snapshot-create'],
    'Moments of VMs are kept by `vmctl snapshot`: `create`, `ls`, `diff`, `restore` and `rm`.',
  ),
  ...same(['pause', 'save', 'sleep', 'hibernate', 'freeze'], '`vmctl suspend VM` pauses a VM, `vmctl resume VM` resumes it.'),
  ...same(['unpause', 'continue', 'wake', 'thaw', 'unfreeze'], '`vmctl resume VM` resumes a suspended VM.'),
  ...same(['attach', 'tty', 'serial', 'terminal'], '`vmctl console VM` attaches to the serial console; Ctrl+] detaches.'),
  ...same(
    ['shell', 'sh', 'bash', 'login', 'connect', 'enter', 'join', 'c'],
    '`vmctl ssh VM` opens a shell, `vmctl exec VM PROGRAM` runs a program.',
  ),
  ...same(['scp', 'copy', 'rsync', 'upload', 'download', 'sync', 'transfer', 'file'], '`vmctl cp` copies files into a VM and out of it.'),
  ...same(
    ['build'],
    '`vmctl up` provisions VMs, also from a Dockerfile (`provision "dockerfile"`); `vmctl image build` makes an image of packages.',
  ),
  ...same(['box', 'boxes', 'template', 'templates'], 'Disk images are managed by `vmctl image`: `pull`, `list`, `inspect` and `rm`.'),
  ...same(['search', 'find', 'image find', 'image available'], '`vmctl image search` shows the images that have a name.'),
  ...same(['fetch'], '`vmctl image pull URL` downloads an image; `vmctl up` downloads what it needs by itself.'),
  ...same(['push', 'publish'], '`vmctl image push IMAGE oci://…` brings an image into a registry.'),
  ...same(['export'], '`vmctl package VM` makes an image of a VM that others can use.'),
  ...same(
    ['volumes', 'disk', 'disks', 'storage', 'vol-list', 'pool-list'],
    'Volumes are managed by `vmctl volume`: `ls`, `inspect` and `rm`.',
  ),
  ...same(['networks', 'net', 'net-list'], 'Networks are managed by `vmctl network`: `ls` and `rm`.'),
  ...same(
    ['config', 'check', 'lint', 'verify'],
    '`vmctl validate` checks the VMFile, `vmctl plan` shows what `up` would do, `vmctl inspect VM` what a VM is.',
  ),
  ...same(
    ['edit', 'set', 'update', 'modify', 'scale', 'setvcpus', 'setmem', 'attach-disk', 'attach-interface', 'attach-device'],
    'Change the VMFile (`replicas` for more of a VM), then run `vmctl up`; `vmctl plan` shows what it would do.',
  ),
  ...same(['diff', 'preview', 'dry-run'], '`vmctl plan` shows what `up` would do, and why.'),
  ...same(['show', 'describe', 'dumpxml', 'get'], '`vmctl inspect VM` shows everything, `vmctl status VM` the essentials.'),
  ...same(['info', 'dominfo', 'domstate', 'state', 'is-active'], '`vmctl status VM` is about one VM, `vmctl doctor` about this host.'),
  ...same(['global-status', 'vms', 'machines', 'dir', 'services'], '`vmctl list` shows all of your VMs, `vmctl ps` those of the VMFile.'),
  ...same(
    ['top', 'stats', 'port', 'ports', 'ip', 'domifaddr', 'domiflist', 'health', 'wait', 'watch', 'ping'],
    '`vmctl ps` shows states, health, addresses and ports; `--watch` goes on, `--wait` waits for health.',
  ),
  ...same(['journal', 'tail', 'follow', 'events'], '`vmctl log VM --follow` shows what a VM says.'),
  ...same(['explain', 'reason'], '`vmctl why VM` says why a provision step runs or not.'),
  ...same(['vnc', 'view', 'viewer', 'gui', 'display', 'rdp'], '`vmctl status VM` has the address of the VNC display.'),
  ...same(
    ['mount', 'share', 'forward', 'port-forward', 'tunnel', 'proxy'],
    'Folders and ports belong in the VMFile: `share` and `port`. `vmctl ssh-config` lets ssh forward others.',
  ),
  ...same(['autostart', 'enable', 'service'], '`vmctl install` brings the VMs of a VMFile up at boot.'),
  ...same(['disable'], '`vmctl uninstall` undoes `vmctl install`.'),
  ...same(['convert'], '`vmctl import FILE` makes a VMFile of what another tool has.'),
  ...same(['plugin', 'extension', 'extensions'], 'Plugins are managed by `vmctl plugins`.'),
  ...same(['autocomplete', 'autocompletion', 'completions'], '`vmctl completion --help` says how a shell learns to complete vmctl.'),
  ...same(['upgrade', 'self-update'], 'Install the new version with npm: `npm install --global vmctl`.'),
  ...same(
    ['migrate', 'rename', 'mv', 'move'],
    'vmctl has nothing like it. VMs are named in the VMFile, and `vmctl up` makes as many as it says.',
  ),
  ...same(
    ['ansible', 'inventory', 'show-ssh', 'code', 'vscode'],
    '`vmctl ssh-config` prints what ssh, Ansible and editors need to reach VMs.',
  ),
  ...same(['fmt', 'format'], 'vmctl does not format VMFiles; `vmctl validate` checks them.'),
  ...same(['refresh'], '`vmctl up` and `vmctl plan` look at what is there each time.'),
  ...same(['daemon', 'serve', 'server'], 'vmctl has no daemon: VMs run by themselves, and `vmctl install` brings them up at boot.'),
  ...same(['unlock', 'lock', 'force-unlock'], 'A lock ends with the vmctl that holds it; `vmctl up` names the process that it waits for.'),
  ...same(
    ['key', 'keys', 'ssh-key', 'ssh-keygen', 'keygen'],
    'vmctl makes a key for each VM; further ones stand in the VMFile (`ssh`, `cloud-init`).',
  ),
  ...same(['env', 'secret', 'secrets'], 'Variables and secrets of steps belong in the VMFile: `env` and `secret-env`.'),
  ...same(
    ['provider', 'providers', 'backend', 'hypervisor', 'system'],
    '`vmctl doctor` shows what this host offers; VMCTL_BACKEND names the backend of new VMs.',
  ),
  ...same(['usage', 'man', 'docs', 'commands'], '`vmctl --help` shows all commands, `vmctl COMMAND --help` one of them.'),
  ...same(['all'], 'Commands without a name are about all VMs of the VMFile.'),
  ...same(
    ['recreate', 'rebuild', 'factory-reset', 'taint', 'replace'],
    '`vmctl reload --help` says how a VM is made anew, and what becomes of its disk.',
  ),

  ...same(
    ['volume create', 'volume new', 'volume add', 'volume mount', 'volume attach'],
    'Volumes stand in the VMFile (`volume "NAME" { … }`); `vmctl up` makes them.',
  ),
  ...same(['volume show', 'volume info', 'volume describe', 'volume get'], '`vmctl volume inspect NAME` shows one, `vmctl volume ls` all.'),
  ...same(
    ['volume remove', 'volume delete', 'volume prune', 'volume clean'],
    'Volumes are removed one by one, by name, because it cannot be undone: see `vmctl volume rm --help`.',
  ),
  ...same(
    ['network create', 'network new', 'network add', 'network connect'],
    'Networks stand in the VMFile (`network "NAME"`); `vmctl up` makes them.',
  ),
  ...same(
    ['network inspect', 'network show', 'network info', 'network describe'],
    '`vmctl network ls --json` shows everything about networks.',
  ),
  ...same(
    ['network remove', 'network delete', 'network prune', 'network disconnect'],
    'A network ends with its last VM; see `vmctl network rm --help` for ending one before.',
  ),
  ...same(
    ['image fetch', 'image download', 'image get', 'image add', 'image import', 'image load'],
    '`vmctl image pull IMAGE` fetches an image into the cache, with `--force` anew.',
  ),
  ...same(
    ['image show', 'image info', 'image describe'],
    '`vmctl image inspect PATH` says what a disk image is, `vmctl image list` what is in the cache.',
  ),
  ...same(['image check'], '`vmctl image verify` reads the images of the cache, and compares them with their digests.'),
  ...same(
    ['image create', 'image save', 'image export'],
    '`vmctl image build` makes an image of packages, `qemu-img convert` one of a disk.',
  ),
  ...same(['image publish', 'image upload', 'image tag'], '`vmctl image push IMAGE oci://…` brings an image into a registry, under a tag.'),
  ...same(
    ['image remove', 'image delete', 'image clean'],
    'See `vmctl image rm --help` for one image, `vmctl image prune --help` for those that nothing uses.',
  ),
  ...same(['plugins upgrade'], '`vmctl plugins update` installs the newest versions.'),
  ...same(['plugins show', 'plugins inspect', 'plugins info'], '`vmctl plugins --json` shows everything about plugins.'),
  ...same(['plugins search', 'plugins available'], 'Plugins are npm packages: `npm search vmctl-plugin`.'),
}

/** Flags of other tools: for all commands, then for those of one. A flag that vmctl has never comes here. */
export const foreignFlags: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  /** Before the command. */
  vmctl: {
    ...same(['-v', '-version', '--v', '-ver'], '`vmctl --version` prints the version, `--debug` shows what a command does.'),
    ...same(['-?', '/?', '-help', '-H'], '`vmctl --help` shows all commands.'),
  },
  '': {
    ...same(['--version', '-V'], '`vmctl --version` prints the version.'),
    ...same(['-help', '-?'], 'It is written `--help`.'),
    ...same(['--log-level', '--loglevel', '--trace', '--verbosity'], '`--debug` shows what vmctl does; VMCTL_LOG chooses parts of it.'),
    ...same(['--progress'], 'Progress is plain lines where standard error is no terminal; `--json` prints the result for programs.'),
    ...same(['--host', '--remote', '--context'], 'vmctl works on the host where it runs: run it there by ssh.'),
    ...same(['--env-file', '--profile', '--env'], 'What a VM is given stands in the VMFile; `--file PATH` names another one.'),
    ...same(['--no-parallel'], 'It is written `--parallel 1`.'),
    ...same(['--all', '-a'], 'Without a name a command is about all VMs of the VMFile.'),
    ...same(['--verbose', '-v', '-vv', '-D'], '`--debug` shows what vmctl does.'),
    ...same(['--quiet', '-q', '--silent'], 'Send standard error to /dev/null, or read `--json`.'),
    ...same(['--format', '-o', '--output'], '`--json` prints the result for programs.'),
    ...same(['-y', '--yes', '--assume-yes', '--non-interactive', '--no-input'], 'vmctl asks nothing here; leave the flag out.'),
    ...same(['--dry-run', '-n', '--check'], '`vmctl plan` shows what would be done.'),
    ...same(['--no-color', '--no-colour', '--color', '--no-ansi', '--ansi'], 'Set NO_COLOR=1 in the environment.'),
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
    ...same(
      ['--no-destroy-on-error', '--install-provider', '--no-install-provider', '--quiet-pull', '--no-build'],
      'vmctl does it so anyway; leave the flag out.',
    ),
    ...same(
      ['-t', '--timeout', '--wait-timeout'],
      '`connect-timeout` and other limits stand in the VMFile; `--lock-timeout` is for another vmctl at work.',
    ),
    ...same(
      ['-w', '--watch', '--attach', '--attach-dependencies'],
      '`vmctl ps --watch` shows what VMs do, `vmctl log --follow` what they say.',
    ),
    ...same(['--no-start'], '`vmctl create` makes one VM without starting it; `vmctl plan` shows what `up` would do.'),
    ...same(['--scale'], '`replicas` in the VMFile says how many there are of a VM.'),
    ...same(['--pull', '--box-version', '--box'], 'The VMFile names the image: `image` or `image-url`.'),
    ...same(['--destroy-on-error', '--abort-on-container-exit'], '`up` keeps a VM that failed, so that the next `up` can go on.'),
  },
  down: {
    ...same(
      ['-d', '--delete', '--rm', '--remove'],
      '`down` stops VMs and keeps their disks; `vmctl down --help` says how they are removed.',
    ),
    ...same(['-v'], 'Volumes are removed only by `--volumes`, written in full; what is on them is lost.'),
    ...same(['--rmi'], 'Images are removed from the cache by `vmctl image rm`.'),
    ...same(['-t', '--timeout'], '`stop-grace-period` in the VMFile says how long a guest may take; `vmctl stop VM --timeout` for once.'),
  },
  destroy: {
    ...same(['--force', '--graceful', '-g'], 'A VM that runs is ended too; leave the flag out.'),
    ...same(['--all', '-a'], 'VMs are named one by one; `vmctl down --help` is about all VMs of a VMFile.'),
    ...same(['-v', '--volumes'], 'Volumes stay; `vmctl volume rm --help` says how one is removed.'),
  },
  start: {...same(['--attach', '--console', '-a', '-i'], '`vmctl console VM` attaches to the serial console.')},
  reload: {
    ...same(['--provision', '--provision-with'], 'Every step runs on the new VM anyway; leave the flag out.'),
    ...same(['--force'], '`vmctl reload --help` says what becomes of the disk; `vmctl restart` keeps it.'),
  },
  provision: {
    ...same(['--provision-with', '--with', '--only'], 'It is called `--step`, with the number that `vmctl why VM` shows.'),
    ...same(['--force'], 'All steps run again anyway; leave the flag out.'),
  },
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
    ...same(
      ['-t', '--timestamps', '--since', '--until', '--no-log-prefix'],
      'Logs are shown as the guest wrote them; `--tail LINES` shows the last lines.',
    ),
    ...same(['--lines'], 'It is called `--tail`, or `-n`.'),
  },
  ps: {...same(['-q', '--services', '--filter'], '`vmctl ps --json` is for programs.')},
  list: {
    ...same(['-a', '--all', '-l'], 'All VMs are shown anyway; leave the flag out.'),
    ...same(['-q', '--filter', '--running'], '`vmctl list --json` is for programs.'),
  },
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
