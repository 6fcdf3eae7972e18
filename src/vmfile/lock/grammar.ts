import {architectures} from '../../model/catalogue.ts'
import {date, digest, expected, integer, signer, text, word} from '../grammar/kinds.ts'
import {block, field, type Fields, type Kind, type ReadFields, required} from '../grammar/shapes.ts'

/** The version of the format that is written, and the only one that is read. */
export const lockVersion = 1

const version: Kind<number> = {
  type: 'version',
  rule: `${lockVersion}`,
  example: `${lockVersion}`,
  read(value, fail) {
    if (value === lockVersion) return lockVersion
    if (typeof value === 'number' && value > lockVersion)
      return fail(`this lock file has version ${value}, which this vmctl cannot read`, 'it was written by a newer vmctl')
    return expected(`the version ${lockVersion}`, value, fail)
  },
}

const bytes = integer(0, Number.MAX_SAFE_INTEGER, '436404224')

/** The facts of one build. */
const buildFields = {
  url: field(
    text('URL', {isValid: (value) => URL.canParse(value), rule: 'it is absolute'}),
    'Where the publisher, or the registry, has the very build.',
  ),
  sha256: field(digest('sha256'), 'SHA-256 of the file as published.'),
  sha512: field(digest('sha512'), 'SHA-512 of the file as published.'),
  size: field(bytes, 'Bytes of the file as published.'),
  format: field(word('image format', 'qcow2', 'raw', 'vmdk', 'vdi', 'vhdx'), 'Format of the disk.'),
  'virtual-size': field(bytes, 'Bytes that the guest sees.'),
  published: field(date, 'The day of the build.'),
  trust: block(
    'How far it could be trusted when it was locked.',
    {argument: required(word('level of trust', 'signed', 'checksum', 'none'), 'The level.')},
    {by: field(text('name'), 'Who signed.'), key: field(signer, 'Fingerprint of the key, or the key of minisign.')},
  ),
} as const

export type ReadBuild = ReadFields<typeof buildFields>

const architectureNode = block(
  'The build for guests with this processor.',
  {repeatable: true},
  {firmware: field(word('firmware', 'bios', 'uefi'), 'What it boots with, where there is an image for each.'), ...buildFields},
)

const architectureFields = Object.fromEntries(architectures.map((name) => [name, architectureNode])) as Readonly<
  Record<(typeof architectures)[number], typeof architectureNode>
>

const imageNode = block(
  'One image of the VMFile.',
  {argument: required(text('image', {example: '"debian:12"'}), 'Its name, or its URL.'), repeatable: true},
  {...buildFields, ...architectureFields},
)

/** The language of lock files. */
export const lockFile = block('The builds of images that a VMFile uses.', {}, {
  lock: field(version, 'Version of the format.'),
  image: imageNode,
} satisfies Fields)

export type ReadLockedImage = ReadFields<(typeof lockFile)['fields']>['image'][number]

export type ReadArchitecture = ReadLockedImage['fields'][(typeof architectures)[number]][number]
