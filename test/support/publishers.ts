import {createHash} from 'node:crypto'

import {createCleartextMessage, createMessage, generateKey, type PrivateKey, readPrivateKey, sign} from 'openpgp'

import {builtInCatalogue} from '../../src/model/catalogue-entries.ts'
import type {Architecture, Publisher} from '../../src/model/catalogue.ts'
import type {ImageServer} from './image-server.ts'

/** A key that a test makes for itself. */
export interface TestKey {
  readonly privateKey: PrivateKey
  readonly armored: string
  readonly fingerprint: string
}

export const makeKey = async (options: {readonly date?: Date; readonly expiresAfterS?: number} = {}): Promise<TestKey> => {
  const {privateKey, publicKey} = await generateKey({
    userIDs: [{name: 'A publisher', email: 'images@example.org'}],
    ...(options.date && {date: options.date}),
    ...(options.expiresAfterS !== undefined && {keyExpirationTime: options.expiresAfterS}),
  })
  const key = await readPrivateKey({armoredKey: privateKey})
  return {privateKey: key, armored: publicKey, fingerprint: key.getFingerprint().toUpperCase()}
}

export const signDetached = async (text: string, {privateKey}: TestKey, date?: Date): Promise<string> =>
  sign({
    message: await createMessage({binary: new Uint8Array(Buffer.from(text))}),
    signingKeys: privateKey,
    detached: true,
    ...(date && {date}),
  })

export const signClear = async (text: string, {privateKey}: TestKey): Promise<string> =>
  sign({message: await createCleartextMessage({text}), signingKeys: privateKey})

/** The publishers that vmctl knows, as they stand on a server of the test, with its key in place of theirs. */
export const publishersAt = (origin: string, key: TestKey): readonly Publisher[] =>
  builtInCatalogue.map((publisher) => ({
    ...publisher,
    origin: `${origin}/${publisher.name}`,
    ...(publisher.signature && {
      signature: {...publisher.signature, keyUrl: `${origin}/keys/{fingerprint}`},
      keys: [key.fingerprint],
    }),
    releases: publisher.releases.map(({origin: _origin, keys: _keys, ...release}) => release),
  }))

/** What one build of an image looks like at its publisher. */
export interface Publication {
  /** Path of the image from the origin: the dated file. */
  readonly image: string
  /** Path of the list, or of the JSON. */
  readonly list: string
  readonly signature?: string
  /** Path of the page that names the newest build, where there is one. */
  readonly listing?: string
}

interface Build {
  readonly content: Buffer
  readonly key: TestKey
  readonly architecture?: Architecture
}

type Digest = (algorithm: 'sha256' | 'sha512') => string

/** Files by path, and which of them are to be signed. */
interface Files {
  readonly listing?: readonly [path: string, names: readonly string[]]
  readonly image: string
  readonly list: readonly [path: string, text: string]
  readonly signature?: readonly [path: string, form: 'detached' | 'binary'] | 'clearsigned'
}

const html = (names: readonly string[]): string =>
  `<html><body><pre>${names.map((name) => `<a href="${name}">${name}</a>   01-Sep-2026 10:00   500M`).join('\n')}</pre></body></html>`

const gnu = (digest: string, name: string, mark = ' '): string => `${'0'.repeat(digest.length)}  other.img\n${digest} ${mark}${name}\n`

const bsd = (algorithm: string, digest: string, name: string): string =>
  `# other.iso: 5 bytes\n${algorithm} (other.iso) = ${'0'.repeat(digest.length)}\n# ${name}: 4096 bytes\n${algorithm} (${name}) = ${digest}\n`

const beside = (folder: string, name: string, listed: Omit<Files, 'image'>): Files => ({...listed, image: `${folder}/${name}`})

/** How each publisher shows its newest build; the names are those of real builds. */
const layouts: Readonly<Record<string, (digest: Digest) => Files>> = {
  'debian:12': (digest) => {
    const ref = 'bookworm/20260712-2537/debian-12-generic-amd64-20260712-2537.qcow2'
    const upload = (format: string, sha512: string) => ({
      kind: 'Upload',
      metadata: {
        labels: {'upload.cloud.debian.org/image-format': format, 'cloud.debian.org/version': '20260712-2537'},
        annotations: {'cloud.debian.org/digest': `sha512:${Buffer.from(sha512, 'hex').toString('base64').replaceAll('=', '')}`},
      },
      data: {provider: 'cloud.debian.org', ref: format === 'qcow2' ? ref : `${ref}.tar`},
    })
    const items = [{kind: 'Build', data: {}}, upload('internal', '0'.repeat(128)), upload('qcow2', digest('sha512'))]
    const list = JSON.stringify({apiVersion: 'v1', kind: 'List', items})
    return {image: `images/cloud/${ref}`, list: ['images/cloud/bookworm/latest/debian-12-generic-amd64.json', list]}
  },
  'ubuntu:24.04': (digest) => {
    const folder = 'releases/noble/release-20260725'
    const name = 'ubuntu-24.04-server-cloudimg-amd64.img'
    return beside(folder, name, {
      listing: ['releases/noble/', ['release-20260705/', 'release-20260725/', 'release/', 'release-20240423/']],
      list: [`${folder}/SHA256SUMS`, gnu(digest('sha256'), name, '*')],
      signature: [`${folder}/SHA256SUMS.gpg`, 'detached'],
    })
  },
  'fedora:44': (digest) => {
    const folder = 'pub/fedora/linux/releases/44/Cloud/x86_64/images'
    const name = 'Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2'
    return beside(folder, name, {
      listing: [`${folder}/`, ['Fedora-Cloud-44-1.7-x86_64-CHECKSUM', name]],
      list: [`${folder}/Fedora-Cloud-44-1.7-x86_64-CHECKSUM`, bsd('SHA256', digest('sha256'), name)],
      signature: 'clearsigned',
    })
  },
  'alpine:3.24': (digest) => {
    const folder = 'alpine/v3.24/releases/cloud'
    const name = 'generic_alpine-3.24.10-x86_64-bios-cloudinit-r0.qcow2'
    const others = ['generic_alpine-3.24.9-x86_64-bios-cloudinit-r1.qcow2', name.replace('bios', 'uefi'), name.replace('cloudinit', 'tiny')]
    return beside(folder, name, {
      listing: [`${folder}/`, [...others, name, `${name}.asc`, `${name}.sha512`]],
      list: [`${folder}/${name}.sha512`, `${digest('sha512')}\n`],
    })
  },
  'arch:latest': (digest) => {
    const folder = 'images/v20260715.556894'
    const name = 'Arch-Linux-x86_64-cloudimg-20260715.556894.qcow2'
    return beside(folder, name, {
      listing: ['images/', ['v20260701.551234/', 'v20260715.556894/', 'latest/']],
      list: [`${folder}/${name}.SHA256`, `${digest('sha256')}  ${name}\n`],
      signature: [`${folder}/${name}.SHA256.sig`, 'binary'],
    })
  },
  'rocky:10': (digest) => {
    const name = 'Rocky-10-GenericCloud-Base-10.2-20260525.0.x86_64.qcow2'
    const older = bsd('SHA256', '1'.repeat(64), 'Rocky-10-GenericCloud-Base-10.2-20260301.0.x86_64.qcow2')
    const list = `${older}${bsd('SHA256', digest('sha256'), name)}SHA256 (${name}) = ${digest('sha256')}\n`
    return {image: `pub/rocky/10.2/images/x86_64/${name}`, list: ['pub/rocky/10/images/x86_64/CHECKSUM', list]}
  },
  'almalinux:10': (digest) => {
    const name = 'AlmaLinux-10-GenericCloud-10.2-20260526.0.x86_64.qcow2'
    const list = gnu(digest('sha256'), 'AlmaLinux-10-GenericCloud-latest.x86_64.qcow2') + gnu(digest('sha256'), name)
    const folder = 'almalinux/10/cloud/x86_64/images'
    return {
      image: `almalinux/10.2/cloud/x86_64/images/${name}`,
      list: [`${folder}/CHECKSUM`, list],
      signature: [`${folder}/CHECKSUM.asc`, 'detached'],
    }
  },
  'almalinux:10-x86-64-v2': (digest) => {
    const name = 'AlmaLinux-10-GenericCloud-10.2-20260526.0.x86_64_v2.qcow2'
    const folder = 'almalinux/10/cloud/x86_64_v2/images'
    return {
      image: `almalinux/10.2/cloud/x86_64_v2/images/${name}`,
      list: [`${folder}/CHECKSUM`, gnu(digest('sha256'), name)],
      signature: [`${folder}/CHECKSUM.asc`, 'detached'],
    }
  },
  'centos-stream:10': (digest) => {
    const folder = 'centos/10-stream/x86_64/images'
    const name = 'CentOS-Stream-GenericCloud-10-20260720.0.x86_64.qcow2'
    const latest = bsd('SHA256', '2'.repeat(64), 'CentOS-Stream-GenericCloud-10-latest.x86_64.qcow2')
    return beside(folder, name, {list: [`${folder}/CHECKSUM`, latest + bsd('SHA256', digest('sha256'), name)]})
  },
  'opensuse:16.0': (digest) => {
    const folder = 'distribution/leap/16.0/appliances'
    const name = 'Leap-16.0-Minimal-VM.x86_64-Cloud-Build18.7.qcow2'
    return beside(folder, name, {
      listing: [`${folder}/`, [name.replace('18.7', '18.6'), name, `${name}.sha256`, 'Leap-16.0-Minimal-VM.x86_64-Cloud.qcow2']],
      list: [`${folder}/${name}.sha256`, `${digest('sha256')}  ${name}\n`],
      signature: [`${folder}/${name}.sha256.asc`, 'detached'],
    })
  },
  'kali:rolling': (digest) => {
    const folder = 'cloud-images/kali-2026.2'
    const name = 'kali-linux-2026.2-cloud-genericcloud-amd64.tar.xz'
    return beside(folder, name, {
      listing: ['cloud-images/', ['kali-2025.4/', 'kali-2026.1/', 'kali-2026.2/', 'current/', 'kali-weekly/']],
      list: [`${folder}/SHA256SUMS`, gnu(digest('sha256'), name)],
    })
  },
  'oraclelinux:9': (digest) => {
    const base = '/templates/OracleLinux/OL9/u8/x86_64'
    const kvm = {image: 'OL9U8_x86_64-kvm-b293.qcow2', sha256: digest('sha256').toUpperCase()}
    return {
      image: `${base.slice(1)}/${kvm.image}`,
      list: ['templates/OracleLinux/ol9-template.json', JSON.stringify({version: 'OL9', release: 'U8', base_url: base, kvm, ovm: {}})],
    }
  },
  'flatcar:stable': (digest) => {
    const folder = 'amd64-usr/4593.2.0'
    const name = 'flatcar_production_qemu_image.img'
    const sections = `# MD5 HASH\n${'3'.repeat(32)}  ${name}\n# SHA1 HASH\n${'4'.repeat(40)}  ${name}\n# SHA512 HASH\n${digest('sha512')}  ${name}\n`
    return beside(folder, name, {
      listing: ['amd64-usr/current/version.txt', ['FLATCAR_BUILD=4593\nFLATCAR_VERSION=4593.2.0\n']],
      list: [`${folder}/${name}.DIGESTS.asc`, sections],
      signature: 'clearsigned',
    })
  },
  'freebsd:15.1': (digest) => {
    const folder = 'releases/VM-IMAGES/15.1-RELEASE/amd64/Latest'
    const name = 'FreeBSD-15.1-RELEASE-amd64-BASIC-CLOUDINIT-ufs.qcow2.xz'
    const zfs = bsd('SHA512', '5'.repeat(128), name.replace('ufs', 'zfs'))
    return beside(folder, name, {list: [`${folder}/CHECKSUM.SHA512`, zfs + bsd('SHA512', digest('sha512'), name)]})
  },
  'omnios:r151058': (digest) => {
    const name = 'omnios-r151058.cloud.vmdk'
    return beside('media/stable', name, {
      listing: ['media/stable/', ['omnios-r151058.iso', name, `${name}.sha256`]],
      list: [`media/stable/${name}.sha256`, `${digest('sha256')}\n`],
    })
  },
}

/** The names that can be published here: one for each layout. */
export const publishedNames: readonly string[] = Object.keys(layouts)

/** Puts the newest build of an image on a server, as its publisher does. */
export const publish = async (server: ImageServer, name: string, {content, key}: Build): Promise<Publication> => {
  const layout = layouts[name]
  if (!layout) throw new Error(`No layout of ${name} is known here.`)
  const files = layout((algorithm) => createHash(algorithm).update(content).digest('hex'))
  const root = `/${name.split(':')[0]}`
  const put = (path: string, text: string | Buffer): void => void server.files.set(`${root}/${path}`, {content: Buffer.from(text)})
  const [listPath, text] = files.list
  if (files.listing) {
    const [path, names] = files.listing
    const isText = path.endsWith('.txt')
    const isJson = name.startsWith('opensuse')
    put(path, isText ? names.join('\n') : isJson ? JSON.stringify({data: names.map((one) => ({name: one}))}) : html(names))
  }
  put(files.image, content)
  put(listPath, files.signature === 'clearsigned' ? await signClear(text, key) : text)
  server.files.set(`/keys/${key.fingerprint}`, {content: Buffer.from(key.armored)})
  const publication = {
    image: `${root}/${files.image}`,
    list: `${root}/${listPath}`,
    ...(files.listing && {listing: `${root}/${files.listing[0]}`}),
  }
  if (!Array.isArray(files.signature)) return publication
  const [path, form] = files.signature as readonly [string, 'detached' | 'binary']
  const armored = await signDetached(text, key)
  put(path, form === 'binary' ? binaryOf(armored) : armored)
  return {...publication, signature: `${root}/${path}`}
}

/** The bytes of an armored block. */
export const binaryOf = (armored: string): Buffer => {
  const body = armored
    .split(/\r?\n\r?\n/)
    .slice(1)
    .join('\n')
  return Buffer.from(body.split(/\n=|\n-----/)[0]?.replaceAll(/\s/g, '') ?? '', 'base64')
}
