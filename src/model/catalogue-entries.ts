import type {CatalogueSignature, Publisher} from './catalogue.ts'
import {otherSystems} from './catalogue-others.ts'

const gnu = {x86_64: 'x86_64', aarch64: 'aarch64'} as const
const deb = {x86_64: 'amd64', aarch64: 'arm64'} as const
const fedora = {root: 'pub/fedora/linux'}
const cloudInit = {init: 'systemd', seedReader: 'cloud-init'} as const

const besideList = (at: string, keyUrl: string): CatalogueSignature => ({form: 'detached', at, keyUrl})

/** Where a key is looked for when its publisher has it nowhere else; the pinned fingerprint makes it trusted, not the place. */
const keyserver = 'https://keyserver.ubuntu.com/pks/lookup?op=get&options=mr&search=0x{fingerprint}'

/**
 * The publishers that vmctl knows. Nothing here names a build: those come and go, and are looked up when an image is fetched.
 * The first release is what the name alone means.
 */
export const builtInCatalogue: readonly Publisher[] = [
  {
    name: 'debian',
    title: 'Debian',
    origin: 'https://cloud.debian.org',
    user: 'debian',
    ...cloudInit,
    architectures: {...deb, ppc64le: 'ppc64el', riscv64: 'riscv64'},
    layout: {kind: 'debian-json', at: 'images/cloud/{codename}/latest/debian-{tag}-generic-{arch}.json', folder: 'images/cloud'},
    releases: [
      {tag: '13', names: ['trixie'], ends: '2030-06-30', words: {codename: 'trixie'}},
      {tag: '12', names: ['bookworm'], ends: '2028-06-30', words: {codename: 'bookworm'}, architectures: ['x86_64', 'aarch64', 'ppc64le']},
      {tag: '11', names: ['bullseye'], ends: '2026-08-31', words: {codename: 'bullseye'}, architectures: ['x86_64', 'aarch64', 'ppc64le']},
    ],
  },
  {
    name: 'ubuntu',
    title: 'Ubuntu',
    origin: 'https://cloud-images.ubuntu.com',
    user: 'ubuntu',
    ...cloudInit,
    architectures: {...deb, riscv64: 'riscv64', ppc64le: 'ppc64el', s390x: 's390x'},
    layout: {
      kind: 'list',
      index: {at: 'releases/{codename}/', find: String.raw`release-(?<build>\d{8}(?:\.\d+)?)(?=/)`},
      list: 'releases/{codename}/release-{build}/SHA256SUMS',
      image: 'releases/{codename}/release-{build}/ubuntu-{tag}-server-cloudimg-{arch}.img',
    },
    signature: besideList('releases/{codename}/release-{build}/SHA256SUMS.gpg', keyserver),
    keys: ['D2EB44626FDDC30B513D5BB71A5D6C4C7DB87C81'],
    releases: [
      {tag: '26.04', names: ['resolute'], ends: '2031-05-31', words: {codename: 'resolute'}},
      {tag: '24.04', names: ['noble'], ends: '2029-05-31', words: {codename: 'noble'}},
      {tag: '22.04', names: ['jammy'], ends: '2027-05-31', words: {codename: 'jammy'}},
      {tag: '25.10', names: ['questing'], ends: '2026-07-31', words: {codename: 'questing'}},
    ],
  },
  {
    name: 'fedora',
    title: 'Fedora',
    // The redirector sends each request to another mirror, which may not have the list of the image, or only plain http.
    origin: 'https://dl.fedoraproject.org',
    user: 'fedora',
    ...cloudInit,
    architectures: gnu,
    layout: {
      kind: 'list',
      index: {
        at: '{root}/releases/{tag}/Cloud/{arch}/images/',
        find: String.raw`Fedora-Cloud-{tag}-(?<build>[\d.]+)-{arch}-CHECKSUM`,
      },
      list: '{root}/releases/{tag}/Cloud/{arch}/images/Fedora-Cloud-{tag}-{build}-{arch}-CHECKSUM',
      image: '{root}/releases/{tag}/Cloud/{arch}/images/Fedora-Cloud-Base-Generic-{tag}-{build}.{arch}.qcow2',
    },
    signature: {form: 'clearsigned', keyUrl: 'https://fedoraproject.org/fedora.gpg'},
    releases: [
      {tag: '44', ends: '2027-06-02', words: fedora, keys: ['36F612DCF27F7D1A48A835E4DBFCF71C6D9F90A6']},
      {tag: '43', ends: '2026-12-09', words: fedora, keys: ['C6E7F081CF80E13146676E88829B606631645531']},
      {
        tag: '42',
        ends: '2026-05-13',
        origin: 'https://archives.fedoraproject.org',
        words: {root: 'pub/archive/fedora/linux'},
        keys: ['B0F4950458F69E1150C6C5EDC8AC4916105EF944'],
      },
      {tag: '45', words: fedora, keys: ['4F50A6114CD5C6976A7F1179655A4B02F577861E']},
    ],
  },
  {
    name: 'alpine',
    title: 'Alpine Linux',
    origin: 'https://dl-cdn.alpinelinux.org',
    user: 'alpine',
    init: 'openrc',
    seedReader: 'cloud-init',
    architectures: gnu,
    imagePerFirmware: true,
    layout: {
      kind: 'list',
      index: {
        at: 'alpine/v{tag}/releases/cloud/',
        find: String.raw`(?<file>generic_alpine-{tag}\.\d+-{arch}-{firmware}-cloudinit-r\d+\.qcow2)(?=[">])`,
      },
      list: 'alpine/v{tag}/releases/cloud/{file}.sha512',
      image: 'alpine/v{tag}/releases/cloud/{file}',
    },
    releases: [
      {tag: '3.24', ends: '2028-05-01'},
      {tag: '3.23', ends: '2027-11-01'},
      {tag: '3.22', ends: '2027-05-01'},
      {tag: '3.21', ends: '2026-11-01'},
    ],
  },
  {
    name: 'arch',
    title: 'Arch Linux',
    origin: 'https://geo.mirror.pkgbuild.com',
    user: 'arch',
    ...cloudInit,
    architectures: {x86_64: 'x86_64'},
    layout: {
      kind: 'list',
      index: {at: 'images/', find: String.raw`v(?<build>\d{8}\.\d+)(?=/)`},
      list: 'images/v{build}/Arch-Linux-{arch}-cloudimg-{build}.qcow2.SHA256',
      image: 'images/v{build}/Arch-Linux-{arch}-cloudimg-{build}.qcow2',
    },
    signature: besideList(
      'images/v{build}/Arch-Linux-{arch}-cloudimg-{build}.qcow2.SHA256.sig',
      'https://gitlab.archlinux.org/archlinux/infrastructure/-/raw/master/misc/keys/arch-boxes.asc',
    ),
    keys: ['1B9A16984A4E8CB448712D2AE0B78BF4326C6F8F'],
    releases: [{tag: 'latest'}],
  },
  {
    name: 'rocky',
    title: 'Rocky Linux',
    origin: 'https://dl.rockylinux.org',
    user: 'rocky',
    ...cloudInit,
    architectures: {...gnu, ppc64le: 'ppc64le', s390x: 's390x'},
    layout: {
      kind: 'list',
      list: 'pub/rocky/{tag}/images/{arch}/CHECKSUM',
      pick: String.raw`Rocky-{tag}-GenericCloud-Base-(?<minor>{tag}\.\d+)-\d{8}\.\d+\.{arch}\.qcow2`,
      image: 'pub/rocky/{minor}/images/{arch}/{file}',
    },
    releases: [
      {tag: '10', ends: '2035-05-31', cpuLevel: 'x86-64-v3'},
      {tag: '9', ends: '2032-05-31'},
    ],
  },
  {
    name: 'almalinux',
    title: 'AlmaLinux',
    origin: 'https://repo.almalinux.org',
    user: 'almalinux',
    ...cloudInit,
    architectures: {...gnu, ppc64le: 'ppc64le', s390x: 's390x'},
    layout: {
      kind: 'list',
      list: 'almalinux/{major}/cloud/{arch}{level}/images/CHECKSUM',
      pick: String.raw`AlmaLinux-{major}-GenericCloud-(?<minor>{major}\.\d+)-\d{8}(?:\.\d+)?\.{arch}{level}\.qcow2`,
      image: 'almalinux/{minor}/cloud/{arch}{level}/images/{file}',
    },
    signature: besideList(
      'almalinux/{major}/cloud/{arch}{level}/images/CHECKSUM.asc',
      'https://repo.almalinux.org/almalinux/RPM-GPG-KEY-AlmaLinux-{major}',
    ),
    releases: [
      {
        tag: '10',
        ends: '2035-05-31',
        words: {major: '10', level: ''},
        cpuLevel: 'x86-64-v3',
        keys: ['EE6DB7B98F5BF5EDD9DA0DE5DEE5C11CC2A1E572'],
      },
      {tag: '9', ends: '2032-05-31', words: {major: '9', level: ''}, keys: ['BF18AC2876178908D6E71267D36CB86CB86B3716']},
      {
        tag: '10-x86-64-v2',
        ends: '2035-05-31',
        words: {major: '10', level: '_v2'},
        architectures: ['x86_64'],
        keys: ['EE6DB7B98F5BF5EDD9DA0DE5DEE5C11CC2A1E572'],
      },
    ],
  },
  {
    name: 'centos-stream',
    title: 'CentOS Stream',
    origin: 'https://cloud.centos.org',
    user: 'cloud-user',
    ...cloudInit,
    architectures: {...gnu, ppc64le: 'ppc64le', s390x: 's390x'},
    firmware: 'bios',
    layout: {
      kind: 'list',
      list: 'centos/{tag}-stream/{arch}/images/CHECKSUM',
      pick: String.raw`CentOS-Stream-GenericCloud-{tag}-\d{8}\.\d+\.{arch}\.qcow2`,
      image: 'centos/{tag}-stream/{arch}/images/{file}',
    },
    releases: [
      {tag: '10', ends: '2030-01-01', cpuLevel: 'x86-64-v3'},
      {tag: '9', ends: '2027-05-31'},
    ],
  },
  {
    name: 'opensuse',
    title: 'openSUSE',
    origin: 'https://download.opensuse.org',
    user: 'opensuse',
    ...cloudInit,
    architectures: gnu,
    layout: {
      kind: 'list',
      // This list of files is JSON, and stays on the publisher's own server; files are sent to mirrors.
      index: {at: '{folder}/?jsontable', find: String.raw`(?<file>{prefix}Minimal-VM\.{arch}-(?:[\d.]+-)?Cloud-{kind}[\d.]+\.qcow2)(?=")`},
      list: '{folder}/{file}.sha256',
      image: '{folder}/{file}',
    },
    signature: besideList(
      '{folder}/{file}.sha256.asc',
      'https://download.opensuse.org/distribution/leap/16.0/repo/oss/repodata/repomd.xml.key',
    ),
    keys: ['AD485664E901B867051AB15F35A2F86E29B700A4'],
    releases: [
      {
        tag: '16.0',
        names: ['16', 'leap'],
        ends: '2027-10-31',
        user: 'sles',
        words: {folder: 'distribution/leap/16.0/appliances', prefix: 'Leap-16.0-', kind: 'Build'},
      },
      {
        tag: 'tumbleweed',
        architectures: ['x86_64'],
        words: {folder: 'tumbleweed/appliances', prefix: 'openSUSE-Tumbleweed-', kind: 'Snapshot'},
      },
      {
        tag: '15.6',
        names: ['15'],
        ends: '2026-04-30',
        words: {folder: 'distribution/leap/15.6/appliances', prefix: 'openSUSE-Leap-15.6-', kind: 'Build'},
      },
    ],
  },
  {
    name: 'kali',
    title: 'Kali Linux',
    origin: 'https://kali.download',
    user: 'kali',
    ...cloudInit,
    architectures: {x86_64: 'amd64'},
    layout: {
      kind: 'list',
      index: {at: 'cloud-images/', find: String.raw`kali-(?<build>\d{4}\.\d+[a-z]?)(?=/)`},
      list: 'cloud-images/kali-{build}/SHA256SUMS',
      image: 'cloud-images/kali-{build}/kali-linux-{build}-cloud-genericcloud-{arch}.tar.xz',
    },
    releases: [{tag: 'rolling'}],
  },
  {
    name: 'oraclelinux',
    title: 'Oracle Linux',
    origin: 'https://yum.oracle.com',
    user: 'cloud-user',
    ...cloudInit,
    architectures: {x86_64: '-template', aarch64: '_aarch64-cloud-template'},
    layout: {kind: 'oracle-json', at: 'templates/OracleLinux/ol{tag}{arch}.json'},
    releases: [
      {tag: '10', ends: '2035-06-30', cpuLevel: 'x86-64-v3'},
      {tag: '9', ends: '2032-06-30'},
      {tag: '8', ends: '2029-07-31'},
    ],
  },
  ...otherSystems,
]
