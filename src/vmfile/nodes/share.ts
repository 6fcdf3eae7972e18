import type {Share} from '../../model/storage.ts'
import {always, listOf} from '../grammar/change.ts'
import {boolean, mountPoint, path, text, word} from '../grammar/kinds.ts'
import {block, defaulted, field, type Read, required} from '../grammar/shapes.ts'
import type {Report} from '../kdl/report.ts'
import {quoted} from '../kdl/wording.ts'
import {type Context, optional, resolveExisting} from '../resolve/context.ts'
import {lookAt} from '../resolve/local-files.ts'
import {mountOptions, readOnlyField, refuseTwice} from './mounting.ts'
import type {ReadVolume} from './volume.ts'

export const shareNode = block(
  'A folder or file of the host in the guest.',
  {positional: ['source', 'target'], repeatable: true},
  {
    source: required(path('"./www"'), 'Folder or file of the host.'),
    target: required(mountPoint, 'Where it is in the guest.'),
    'read-only': readOnlyField,
    automount: defaulted(boolean, true, 'Whether vmctl mounts it.'),
    driver: defaulted(
      word('share driver', 'auto', 'virtiofs', '9p'),
      'auto',
      'How it gets into the guest; "auto" is virtiofs where that works, else 9p.',
    ),
    options: mountOptions,
    tag: field(
      text('tag', {rule: 'at most 31 of letters, digits, _ and -', isValid: (tag) => /^[\w-]{1,31}$/.test(tag), example: '"www"'}),
      'Name by which the guest mounts it; derived from the target when absent.',
    ),
  },
)

type ReadShare = Read<typeof shareNode>[number]

/** Checks the shares of a VM, and looks at what they share. */
export const buildShares = (nodes: readonly ReadShare[], context: Context): Promise<readonly Share[]> =>
  Promise.all(nodes.map((node) => buildShare(node, context)))

const buildShare = async ({fields}: ReadShare, context: Context): Promise<Share> => {
  const {source, target, 'read-only': readOnly, automount, driver, options, tag} = fields
  const path = source ? await resolveExisting(source, 'source', context, 'file or directory') : ''
  return {
    source: path,
    isFile: source !== undefined && (await lookAt(path)).kind === 'file',
    target: target?.value ?? '',
    readOnly: readOnly.value,
    automount: automount.value,
    driver: driver.value,
    options: options.map(({value}) => value),
    ...optional('tag', tag?.value),
  }
}

/** Reports two things that would be mounted at the same place of the guest. */
export const refuseSameTargets = (volumes: readonly ReadVolume[], shares: readonly ReadShare[], report: Report): void => {
  const targets = [...volumes, ...shares].flatMap(({fields: {target}}) => (target ? [target] : []))
  refuseTwice(targets, (target) => `${quoted(target)} is mounted over twice`, report)
  const tags = shares.flatMap(({fields: {tag}}) => (tag ? [tag] : []))
  refuseTwice(tags, (tag) => `the tag "${tag}" is given twice`, report)
}

export const sharesChange = always<'shares'>(
  'restart',
  listOf('share', ({target}) => target),
)
