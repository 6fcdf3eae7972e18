import {architectures} from '../../model/catalogue.ts'
import {boolean, date, expected, signer, text, word} from '../grammar/kinds.ts'
import {block, defaulted, field, type Kind, list, pairs, type ReadFields, required} from '../grammar/shapes.ts'

const origin = text('URL', {
  rule: 'it starts with https:// or http://, and has no query',
  isValid: (value) => /^https?:\/\/[^\s?#]+$/.test(value) && URL.canParse(value),
  example: '"https://images.example.org"',
})

const keyUrl = text('URL', {rule: 'it starts with https://', isValid: (value) => value.startsWith('https://') && URL.canParse(value)})

const template = text('path', {
  rule: 'it starts at the origin, without a slash, and has no ..',
  isValid: (value) => !value.startsWith('/') && !value.split('/').includes('..') && !/[\s\p{Cc}]/u.test(value),
  example: '"{tag}/disk-{arch}.qcow2"',
})

const pattern: Kind<string> = {
  type: 'regular expression',
  rule: 'as in JavaScript, with named groups',
  example: String.raw`#"(?<build>\d{8})"#`,
  read(value, fail) {
    if (typeof value !== 'string') return expected('a regular expression', value, fail, 'write it in quotes')
    try {
      // Words stand for themselves there.
      void new RegExp(value.replaceAll(/\{[a-z]+\}/g, 'word'))
      return value
    } catch (error) {
      return fail('this is not a regular expression', error instanceof Error ? error.message.split(': ').at(-1) : undefined)
    }
  },
}

const publisherName = text('name', {
  rule: 'lower-case letters, digits and inner dashes',
  isValid: (value) => /^[a-z][a-z0-9-]*$/.test(value),
})

const tag = text('tag', {
  rule: 'letters, digits, dots, dashes and underscores',
  isValid: (value) => /^[\w.-]+$/.test(value),
  example: '"12"',
})

const plainWord = text('word', {rule: 'letters, digits and . _ - + / ', isValid: (value) => /^[\w.+/-]+$/.test(value)})

const keyField = list(signer, 'Fingerprints of the OpenPGP keys that may sign; public keys of minisign.')

const releaseNode = block(
  'A release. The first one is what the name of the publisher alone means.',
  {argument: required(tag, 'Its tag: the 12 of debian:12.'), repeatable: true},
  {
    alias: list(tag, 'Further tags that mean the same: code names.'),
    ends: field(date, 'The last day on which it is maintained.'),
    user: field(text('user name'), 'The user of this release, when it is another one.'),
    key: keyField,
    cpu: field(word('processor level', 'x86-64-v3'), 'What x86-64 processors must have.'),
    word: pairs(
      plainWord,
      {isKey: (key) => /^[a-z]+$/.test(key), keyRule: 'a word has lower-case letters only'},
      'Words for the paths: codename="bookworm" makes {codename}.',
    ),
  },
)

const publisherNode = block(
  'Where images of one publisher are, and who vouches for them.',
  {argument: required(publisherName, 'The first part of the names of its images.'), repeatable: true},
  {
    title: field(text('title'), 'What it is called in messages.'),
    origin: required(origin, 'Where all paths start.'),
    user: required(text('user name'), 'The user that the images are made for.'),
    init: defaulted(word('init system', 'systemd', 'openrc'), 'systemd', 'Init system of the guests.'),
    firmware: field(
      word('firmware', 'bios', 'uefi', 'both'),
      'What x86-64 images boot with, when it is one kind only; "both" when each kind has an image of its own, by {firmware}.',
    ),
    arch: pairs(
      plainWord,
      {isKey: (key) => architectures.some((one) => one === key), keyRule: `a processor is one of ${architectures.join(', ')}`},
      "The publisher's words for processors, {arch} in paths.",
    ),
    index: block(
      'A folder or file that names what there is.',
      {argument: required(template, 'Its path.')},
      {find: required(pattern, 'What to find in it; the newest match counts, and its named groups become words.')},
    ),
    list: block(
      'The list of checksums of an image.',
      {argument: required(template, 'Its path.')},
      {pick: field(pattern, 'Which file of the list it is, when that is not known beforehand; the newest becomes {file}.')},
    ),
    image: block('The image: a file that never changes.', {argument: required(template, 'Its path.')}, {}),
    signature: block(
      'How the list is signed.',
      {
        argument: required(
          word('form of signature', 'detached', 'clearsigned', 'minisign'),
          'By OpenPGP in a file of its own, or around the list; by minisign.',
        ),
      },
      {
        at: field(template, 'Path of the signature in a file of its own.'),
        'key-url': field(keyUrl, 'Where the OpenPGP key is; trusted for its fingerprint only.'),
      },
    ),
    key: keyField,
    release: releaseNode,
  },
)

const mirrorNode = block(
  'Another place that has the files of a publisher, below the same paths; or what a registry ("ghcr.io") has.',
  {argument: required(text('name'), 'Name of the publisher, or of the registry.'), positional: ['origin'], repeatable: true},
  {
    origin: required(origin, 'Where the paths start there.'),
    complete: defaulted(boolean, false, 'Whether lists and signatures are taken from there too, and nothing from the publisher.'),
  },
)

/** The language of `images.kdl`. */
export const imagesFile = block('Images that have a name.', {}, {publisher: publisherNode, mirror: mirrorNode})

export type ReadImagesFile = ReadFields<(typeof imagesFile)['fields']>
