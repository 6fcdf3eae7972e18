import type {Publisher} from './catalogue.ts'

/** Publishers whose guests are not set up by cloud-init. */
export const otherSystems: readonly Publisher[] = [
  {
    name: 'flatcar',
    title: 'Flatcar Container Linux',
    origin: 'https://stable.release.flatcar-linux.net',
    user: 'core',
    init: 'systemd',
    seedReader: 'ignition',
    architectures: {x86_64: 'amd64-usr', aarch64: 'arm64-usr'},
    layout: {
      kind: 'list',
      index: {at: '{arch}/current/version.txt', find: String.raw`FLATCAR_VERSION=(?<build>[\d.]+)`},
      list: '{arch}/{build}/flatcar_production_qemu_image.img.DIGESTS.asc',
      image: '{arch}/{build}/flatcar_production_qemu_image.img',
    },
    signature: {form: 'clearsigned', keyUrl: 'https://www.flatcar.org/security/image-signing-key/Flatcar_Image_Signing_Key.asc'},
    keys: ['F88CFEDEFF29A5B4D9523864E25D9AED0593B34A'],
    releases: [
      {tag: 'stable'},
      {tag: 'beta', origin: 'https://beta.release.flatcar-linux.net'},
      {tag: 'alpha', origin: 'https://alpha.release.flatcar-linux.net'},
      {tag: 'lts', origin: 'https://lts.release.flatcar-linux.net'},
    ],
  },
  {
    name: 'freebsd',
    title: 'FreeBSD',
    origin: 'https://download.freebsd.org',
    user: 'freebsd',
    init: 'rc',
    seedReader: 'nuageinit',
    architectures: {x86_64: 'amd64', aarch64: 'aarch64', riscv64: 'riscv64'},
    layout: {
      kind: 'list',
      list: 'releases/VM-IMAGES/{tag}-RELEASE/{arch}/Latest/CHECKSUM.SHA512',
      pick: String.raw`FreeBSD-{tag}-RELEASE-(?:\w+-)?{arch}-BASIC-CLOUDINIT-ufs\.qcow2\.xz`,
      image: 'releases/VM-IMAGES/{tag}-RELEASE/{arch}/Latest/{file}',
    },
    releases: [{tag: '15.1', names: ['15']}],
  },
  {
    name: 'omnios',
    title: 'OmniOS',
    origin: 'https://downloads.omnios.org',
    user: 'omnios',
    init: 'smf',
    seedReader: 'metadata-agent',
    architectures: {x86_64: 'x86_64'},
    layout: {
      kind: 'list',
      index: {at: 'media/{channel}/', find: String.raw`(?<file>omnios-{tag}[a-z]*\.cloud\.vmdk)(?=[">])`},
      list: 'media/{channel}/{file}.sha256',
      image: 'media/{channel}/{file}',
    },
    releases: [
      {tag: 'r151058', names: ['stable'], words: {channel: 'stable'}},
      {tag: 'r151054', names: ['lts'], words: {channel: 'lts'}},
    ],
  },
]
