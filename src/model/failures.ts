import {type Advice, exitCodes, type Meaning} from './exit-codes.ts'

const {usage, notFound, host, state, guest, timeout, interrupted, unexplained} = exitCodes

/** Every failure that vmctl can explain: its exit status and the default advice. A throw site that knows more overrides the advice. */
const meanings = {
  'vmctl::vmfile::not_found': {exit: usage, help: 'Make one with `vmctl init`, or name one with `--file`.'},
  'vmctl::vmfile::parse_failed': {exit: usage, help: 'Correct the syntax shown above; the language is KDL, see https://kdl.dev.'},
  'vmctl::vmfile::validation': {exit: usage, help: 'Correct the lines shown above, then check with `vmctl validate`.'},
  'vmctl::vmfile::exists': {exit: usage, help: 'Edit it, or move it away; `vmctl init` replaces nothing.'},
  'vmctl::usage::unknown_command': {exit: usage, help: 'Run `vmctl --help` to see all commands.'},
  'vmctl::usage::unknown_flag': {exit: usage, help: 'Run the command with `--help` to see its flags.'},
  'vmctl::usage::invalid': {exit: usage, help: 'Run the command with `--help` to see what it accepts.'},
  'vmctl::usage::not_confirmed': {exit: usage, help: 'Answer y, or give --yes.'},

  'vmctl::vm::not_found': {exit: notFound, help: 'Run `vmctl list` to see the VMs that exist.'},
  'vmctl::vm::invalid_state': {exit: state, help: (vm) => `Run \`vmctl status ${vm}\` to see the state of the VM.`},
  'vmctl::vm::name_exists': {exit: state, help: (vm) => `Choose a different name, or remove the existing VM with \`vmctl destroy ${vm}\`.`},
  'vmctl::vm::not_forkable': {exit: state, help: 'Nothing was made. Take what the message names out of the VM, or leave the VM out.'},
  'vmctl::vm::owned_elsewhere': {
    exit: state,
    help: 'Rename the VM in one of the two VMFiles, or destroy the existing one from its own VMFile. When that file is gone, `--adopt` takes the VM over.',
  },
  'vmctl::vm::does_not_boot': {
    exit: guest,
    help: (vm) =>
      `Read what the guest said: \`vmctl log ${vm} --console\`. Is the image whole, made for this firmware (\`firmware\`) and for x86-64?`,
  },
  'vmctl::vm::paused': {exit: host, help: (vm) => `Mend what the message says, then let the guest go on: \`vmctl resume ${vm}\`.`},
  'vmctl::vm::locked': {exit: state, help: 'Wait until the other command has finished, then try again.'},
  'vmctl::vm::record_damaged': {
    exit: state,
    help: (vm) =>
      `The disk of the VM is untouched. Repair the file named above (its last field, \`sha256\`, is left out by whoever edits it), or remove the VM with \`vmctl destroy ${vm}\`.`,
  },
  'vmctl::vm::of_older_vmctl': {
    exit: state,
    help: 'Nothing of it is touched. `vmctl import` reads that vms.json; or keep the new VMs elsewhere: `VMCTL_STATE_DIR`.',
  },
  'vmctl::vm::dependency_failed': {exit: guest, help: 'Correct what is wrong with the VM that it depends on, then run the command again.'},
  'vmctl::create::no_image': {exit: usage, help: 'Give `--image` for a local file or `--image-url` to download one.'},
  'vmctl::vms::failed': {exit: guest, help: 'Each VM that failed is explained above; run the command again to continue.'},

  'vmctl::image::not_found': {
    exit: notFound,
    help: 'Check the path; it is relative to the VMFile (or to the current directory on the command line).',
  },
  'vmctl::image::download_failed': {exit: host, help: 'Check the network connection and the URL, then run the command again.'},
  'vmctl::registry::denied': {exit: host, help: 'Check the name of the repository, and log in: `docker login` or `podman login`.'},
  'vmctl::image::push_failed': {exit: host, help: 'Check the network connection, then run the command again; it goes on where it was cut.'},
  'vmctl::image::checksum_mismatch': {
    exit: host,
    help: 'The image is not the one that was declared. Check the checksum, or the source of the image; nothing was kept.',
  },
  'vmctl::image::signature_invalid': {
    exit: host,
    help: 'Try again later, in case the publisher was just changing the list. If it stays so, ask the publisher; do not use the image.',
  },
  'vmctl::image::key_unusable': {exit: host, help: 'Check the network connection, then run the command again.'},
  'vmctl::image::decompression_failed': {exit: host, help: 'The compressed image is damaged or incomplete; download it again.'},
  'vmctl::image::format_detection_failed': {exit: host, help: 'Make sure that the file is a disk image that qemu-img can read.'},
  'vmctl::image::refused': {exit: host, help: 'Use a self-contained image: `qemu-img convert -O qcow2 OLD NEW` makes one.'},
  'vmctl::image::conversion_failed': {exit: host, help: 'Make sure that qemu-img is installed and that the disk has room.'},
  'vmctl::image::overlay_creation_failed': {exit: host, help: 'Make sure that qemu-img is installed and that the base image can be read.'},
  'vmctl::image::disk_too_small': {exit: usage, help: 'Give a `disk` that is at least as large as the image, or leave it out.'},
  'vmctl::image::not_locked': {exit: state, help: 'Run `vmctl image lock`, and commit the lock file.'},
  'vmctl::image::trust_fell': {exit: host, help: 'Ask the publisher why; `vmctl image update --allow-weaker` takes it all the same.'},
  'vmctl::image::offline': {exit: host, help: 'Fetch it while there is a network: `vmctl image pull`.'},
  'vmctl::image::in_use': {exit: state, help: 'Destroy the VMs that use the image first.'},
  'vmctl::image::not_buildable': {exit: usage, help: '`vmctl image build --help` says what can be built.'},
  'vmctl::image::build_failed': {exit: host, help: 'Read the log that is named above, then run the command again.'},
  'vmctl::image::exists': {exit: usage, help: 'Choose another file with `--output`, or replace it with `--force`.'},
  'vmctl::image::no_space': {exit: host, help: 'Free some disk space, then run the command again.'},

  'vmctl::images::failed': {exit: host, help: 'Each image that failed is explained above; run the command again for these.'},

  'vmctl::volume::not_found': {exit: notFound, help: 'Run `vmctl volume ls` to see the volumes that exist.'},
  'vmctl::volume::in_use': {exit: state, help: 'Stop the VM that uses the volume first.'},
  'vmctl::volume::mismatch': {
    exit: usage,
    help: 'What is on the volume is left alone. Say what it has, or give the volume another name and copy the files over.',
  },
  'vmctl::volume::creation_failed': {exit: host, help: 'Check that the state directory can be written and has room.'},

  'vmctl::snapshot::not_found': {exit: notFound, help: 'Run `vmctl snapshot ls` to see the snapshots that exist.'},
  'vmctl::snapshot::name_exists': {exit: state, help: 'Choose another name, or remove that one first: see `vmctl snapshot rm --help`.'},
  'vmctl::snapshot::unsupported': {exit: state, help: 'Keep the disks alone: `--disk-only`, or stop the VM first.'},
  'vmctl::snapshot::incompatible': {
    exit: state,
    help: 'Put the disks back and boot from them: `--disk-only`.',
  },
  'vmctl::snapshot::damaged': {
    exit: state,
    help: 'Nothing was changed. Remove the snapshot, which cannot be used any more: see `vmctl snapshot rm --help`.',
  },
  'vmctl::snapshot::unfinished': {
    exit: state,
    help: (vm) => `Put ${vm} back once more with \`vmctl snapshot restore\`, to this snapshot or to another.`,
  },
  'vmctl::snapshot::busy': {exit: state, help: 'Stop what uses the disk first.'},

  'vmctl::share::source_unusable': {exit: usage, help: 'Check the path; it is relative to the VMFile.'},

  'vmctl::device::unavailable': {exit: host, help: 'Run `vmctl devices` to see what is missing.'},
  'vmctl::systemd::failed': {
    exit: host,
    help: 'Check that systemd runs here (`systemctl status`, for your own units `systemctl --user status`), then run the command again.',
  },
  'vmctl::systemd::owned_elsewhere': {exit: state, help: 'Give one of the two projects another name, or uninstall the other unit first.'},

  'vmctl::import::failed': {exit: usage, help: 'Check that the file, or the libvirt domain, is what you meant.'},
  'vmctl::import::invalid': {exit: usage, help: 'Correct what is shown above in the VMFile, then check it with `vmctl validate`.'},
  'vmctl::import::exists': {exit: usage, help: 'Choose another file with --output, or replace it with --force.'},

  'vmctl::cloudinit::iso_failed': {exit: host, help: 'Check that the state directory can be written and has room.'},
  'vmctl::cloudinit::failed': {exit: guest, help: (vm) => `Read \`vmctl log ${vm} --console\`, and /var/log/cloud-init.log in the guest.`},
  'vmctl::cloudinit::timed_out': {
    exit: timeout,
    help: (vm) => `cloud-init is still at work or hangs. Read \`vmctl log ${vm} --console\`, then run the command again.`,
  },

  'vmctl::ssh::failed': {
    exit: guest,
    help: (vm) => `Check the key, the user, and that sshd runs in the guest: \`vmctl log ${vm} --console\`.`,
  },
  'vmctl::ssh::unreachable': {exit: timeout, help: (vm) => `Read what the guest said while it booted: \`vmctl log ${vm} --console\`.`},
  'vmctl::ssh::host_key_mismatch': {
    exit: guest,
    help: 'Something other than this VM answers on its SSH port, or its host key was replaced. Nothing was sent to it.',
  },
  'vmctl::ssh::authentication_failed': {
    exit: guest,
    help: 'Check `ssh { user … private-key … }`; the user must exist in the guest and accept the key.',
  },
  'vmctl::ssh::no_login': {exit: usage, help: (vm) => `Use its serial console: \`vmctl console ${vm}\`.`},
  'vmctl::ssh::key_unusable': {exit: usage, help: 'Name a private key that can be read; load an encrypted one into ssh-agent first.'},
  'vmctl::ssh::keygen_failed': {exit: unexplained, help: 'This is a bug in vmctl; please report it.'},
  'vmctl::ssh::connection_lost': {
    exit: guest,
    help: 'Run `vmctl up` again: a step that still runs in the guest is followed on, never started twice.',
  },

  'vmctl::guest::not_found': {exit: notFound, help: 'Check the path in the guest; with `--privileged` it is looked at as root.'},
  'vmctl::guest::no_shell': {
    exit: usage,
    help: 'Leave it out, or, when the guest has a POSIX shell after all, say so: remove `shell #false`.',
  },
  'vmctl::guest::no_sftp': {
    exit: guest,
    help: 'Switch SFTP on in the SSH server of the guest; OpenSSH has it as `Subsystem sftp internal-sftp` in sshd_config.',
  },
  'vmctl::guest::copy_failed': {
    exit: guest,
    help: 'Check the path in the guest: may the user work there (`privileged` does it as root), is there room?',
  },
  'vmctl::guest::setup_failed': {
    exit: guest,
    help: (vm) => `Repair what is named, in the guest (\`vmctl ssh ${vm}\`) or in the VMFile, then run \`vmctl up\` again.`,
  },
  'vmctl::guest::clean_failed': {exit: guest, help: 'The VM is as it was, and nothing was written. Repair what is named, in the guest.'},
  'vmctl::guest::unhealthy': {
    exit: guest,
    help: (vm) => `Look into it with \`vmctl ssh ${vm}\`; the last result of the health check is in \`vmctl status ${vm}\`.`,
  },
  'vmctl::guest::health_timed_out': {exit: timeout, help: 'Look at them with `vmctl ps`, or wait longer with `--timeout`.'},
  'vmctl::guest::archive_refused': {
    exit: guest,
    help: 'Nothing of it was kept. Look at the directory in the guest: only files, directories and symbolic links can be copied.',
  },

  'vmctl::provision::failed': {
    exit: guest,
    help: (vm) => `Correct the step, then run \`vmctl up\` again. \`vmctl log ${vm} --provision\` has the whole output.`,
  },
  'vmctl::provision::dockerfile_invalid': {
    exit: usage,
    help: 'Correct the line, or do what it does with `provision "shell"` and `provision "file"`.',
  },
  'vmctl::provision::timed_out': {exit: timeout, help: 'Raise `timeout` of the step, or find out why it takes so long.'},
  'vmctl::provision::unknown_outcome': {
    exit: guest,
    help: 'Look in the guest what the step did, then decide: `vmctl provision --rerun N` runs step N again and goes on, `--all` runs all steps.',
  },
  'vmctl::provision::no_ssh': {exit: usage, help: 'Add `cloud-init { }` to the VM, or `ssh { user "…" }` for a user whom its image knows.'},

  'vmctl::home::not_found': {exit: notFound, help: 'Run `vmctl home ls` to see the homes that exist.'},
  'vmctl::home::exists': {exit: state, help: 'Remove it first with `vmctl home rm NAME`, or choose another name.'},
  'vmctl::home::in_use': {exit: state, help: 'Destroy them first, or give `--force`: they stay on the server, out of reach.'},
  'vmctl::home::token_invalid': {exit: usage, help: 'Have a new one made on the server: `incus config trust add NAME`.'},
  'vmctl::home::record_damaged': {exit: state, help: 'Remove the home with `vmctl home rm NAME`, then add it again.'},

  'vmctl::network::bridge_not_found': {
    exit: host,
    help: 'Create the bridge first: `sudo ip link add NAME type bridge && sudo ip link set NAME up`.',
  },
  'vmctl::network::permission': {
    exit: host,
    help: 'A TAP device needs CAP_NET_ADMIN: run as root, or use `network "user"`, which needs no privilege.',
  },
  'vmctl::network::ip_discovery_timeout': {
    exit: timeout,
    help: (vm) => `The guest may not have a DHCP lease: check what serves the bridge, and \`vmctl log ${vm} --console\`.`,
  },
  'vmctl::network::not_found': {exit: notFound, help: 'Run `vmctl network ls` to see the networks that exist.'},
  'vmctl::network::in_use': {exit: state, help: 'Stop the VMs of the network first, or destroy them.'},
  'vmctl::network::subnet_taken': {exit: state, help: 'Choose another `subnet` in the VMFile, or leave it out to have a free one chosen.'},
  'vmctl::network::address_taken': {exit: state, help: 'Choose another address in the VMFile, or leave it out to have a free one chosen.'},
  'vmctl::network::record_damaged': {
    exit: state,
    help: 'Stop its VMs and remove the network with `vmctl network rm`; the next `vmctl up` makes it anew.',
  },
  'vmctl::network::hub_failed': {exit: host, help: 'Read hub.log in the directory of the network; the VMs themselves are not harmed.'},
  'vmctl::network::failed': {exit: host, help: 'Read the message of the program above; nothing of the network was left behind.'},
  'vmctl::network::no_port': {exit: host, help: 'Free a local TCP port.'},
  'vmctl::network::port_taken': {exit: host, help: 'End what holds the port, or give the VM another one.'},
  'vmctl::network::port_refused': {exit: host, help: 'Give an IPv4 address of the host, or 0.0.0.0 for all of them.'},

  'vmctl::backend::not_available': {exit: host, help: 'Use a backend that works on the host; see `vmctl doctor`.'},
  'vmctl::plugin::command_failed': {
    exit: host,
    help: 'Read the message above. The command is one of a plugin; `vmctl plugins --core` names them.',
  },
  'vmctl::plugin::invalid': {exit: host, help: 'Update or uninstall the plugin: `vmctl plugins`.'},
  'vmctl::plugin::not_found': {exit: notFound, help: 'Run `vmctl plugins` to see the plugins that are installed or linked.'},
  'vmctl::plugin::install_failed': {exit: host, help: 'Read the message of npm above. The plugins are what they were before.'},
  'vmctl::plugin::record_damaged': {
    exit: state,
    help: 'Repair the file named above, which is JSON; or remove it, then install and link the plugins again.',
  },
  'vmctl::host::program_failed': {exit: host, help: 'Read the message of the program above.'},
  'vmctl::host::not_installed': {exit: host, help: 'Install the program, then run `vmctl doctor`.'},
  'vmctl::host::insecure_directory': {exit: host, help: 'Remove the directory, or give it to yourself with mode 0700.'},
  'vmctl::io': {exit: host, help: 'Check the path named above: does it exist, may you use it, is there room?'},
  'vmctl::interrupted': {exit: interrupted, help: 'Run the command again to continue where it stopped.'},
} as const satisfies Record<string, Meaning>

/** A code of vmctl's own. */
export type FailureCode = keyof typeof meanings

/** The code of a plugin's own failure: its name, what it is about, what happened, as in `my-plugin::disk::full`. */
export type PluginCode = `${string}::${string}::${string}`

/** A kind of failure that a backend or a plugin brings, which is registered by its extension. */
export interface Failure {
  readonly code: PluginCode
  /** What kind of failure it is, as for vmctl's own: 2 usage, 3 not found, 4 host, 5 state, 6 guest, 7 time-out. */
  readonly exit: 2 | 3 | 4 | 5 | 6 | 7
  readonly help: Advice
}

/** What a code means. A plugin that has no types may name any. */
export const meaningOf = (code: FailureCode): Meaning => (Object.hasOwn(meanings, code) ? meanings[code] : unregistered)

const unregistered: Meaning = {
  exit: unexplained,
  help: 'This is a bug in a plugin, which does not say what its failure means: `vmctl plugins` names it.',
}

/** The advice as text. */
export const adviceText = (help: Advice, vm = 'NAME'): string => (typeof help === 'string' ? help : help(vm))

/** Exit status and advice of each code that belongs to no part alone. */
export const commonFailures: Readonly<Record<FailureCode, Meaning>> = meanings
