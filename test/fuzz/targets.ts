import type {Target} from './target.ts'
import {checksums} from './targets/checksums.ts'
import {cloudInit} from './targets/cloud-init.ts'
import {diskImage} from './targets/disk-image.ts'
import {download} from './targets/download.ts'
import {guestText} from './targets/guest-text.ts'
import {imageIndex} from './targets/image-index.ts'
import {importCompose} from './targets/import-compose.ts'
import {importLibvirt} from './targets/import-libvirt.ts'
import {importVagrant} from './targets/import-vagrant.ts'
import {iso} from './targets/iso.ts'
import {journal} from './targets/journal.ts'
import {kdl} from './targets/kdl.ts'
import {leases} from './targets/leases.ts'
import {lock} from './targets/lock.ts'
import {logIndex} from './targets/log-index.ts'
import {osRelease} from './targets/os-release.ts'
import {partial} from './targets/partial.ts'
import {qemuRuntime} from './targets/qemu-runtime.ts'
import {qmp} from './targets/qmp.ts'
import {scalars} from './targets/scalars.ts'
import {shellWords} from './targets/shell-words.ts'
import {sshGreeting} from './targets/ssh-greeting.ts'
import {sshKeys} from './targets/ssh-keys.ts'
import {survey} from './targets/survey.ts'
import {tar} from './targets/tar.ts'
import {vmRecord} from './targets/vm-record.ts'
import {yaml} from './targets/yaml.ts'
import {zstd} from './targets/zstd.ts'

/** Everything that is fuzzed, by the name that `npm run fuzz` knows; each has its samples in `corpus/NAME/`. */
export const targets: Readonly<Record<string, Target>> = {
  kdl,
  'vm-record': vmRecord,
  journal,
  'log-index': logIndex,
  'qemu-runtime': qemuRuntime,
  'image-index': imageIndex,
  partial,
  lock,
  qmp,
  zstd,
  download,
  tar,
  'ssh-greeting': sshGreeting,
  'guest-text': guestText,
  'cloud-init': cloudInit,
  survey,
  'disk-image': diskImage,
  checksums,
  leases,
  'os-release': osRelease,
  iso,
  yaml,
  'shell-words': shellWords,
  scalars,
  'ssh-keys': sshKeys,
  'import-vagrant': importVagrant,
  'import-compose': importCompose,
  'import-libvirt': importLibvirt,
}
