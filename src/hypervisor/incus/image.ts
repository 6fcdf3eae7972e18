import {createHash, randomUUID} from 'node:crypto'
import {createReadStream} from 'node:fs'
import {open, stat} from 'node:fs/promises'
import {join} from 'node:path'
import {Readable} from 'node:stream'
import {gzipSync} from 'node:zlib'

import {remove} from '../../host/durable.ts'
import {hashFile, readInPieces} from '../../host/hash.ts'
import {convertImage} from '../../host/qemu-img.ts'
import {TarWriter} from '../../host/tar.ts'
import {isFailure} from '../../model/errors.ts'
import type {Vm} from '../../model/vm.ts'
import type {OperationOptions} from '../hypervisor.ts'
import {at} from './api/client.ts'
import {shape, text} from './api/read.ts'
import {incusFailures} from './failures.ts'
import type {Server} from './server.ts'

const alias = shape<{readonly target: string}>({target: text})

/** Milliseconds: a disk of many gigabytes goes over a slow line. */
const uploadMs = 6 * 3_600_000

/** Of one process, by server and alias: the VMs of a stack wait for one upload. */
const uploads = new WeakMap<Server, Map<string, Promise<string>>>()

/**
 * Sees to it that the server has the image of a VM, which is uploaded once: it is known there by the digest of what was published.
 * @returns its fingerprint
 */
export const ensureServerImage = async (server: Server, vm: Vm, options: OperationOptions): Promise<string> => {
  const {base} = vm
  const digest = base.sha256 ?? (await hashFile(base.path))
  const name = `vmctl-${base.isArchive ? 'container' : 'vm'}-${digest.slice(0, 40)}`
  const known = uploads.get(server) ?? new Map<string, Promise<string>>()
  uploads.set(server, known)
  const running = known.get(name) ?? findOrUpload(server, {vm, name, digest}, options)
  known.set(name, running)
  running.catch(() => known.delete(name))
  return running
}

interface Wanted {
  readonly vm: Vm
  /** Of its alias. */
  readonly name: string
  readonly digest: string
}

const findOrUpload = async (server: Server, wanted: Wanted, options: OperationOptions): Promise<string> => {
  const {client} = server
  const {signal} = options
  const {vm, name} = wanted
  const look = async (): Promise<string | undefined> =>
    (await client.find({path: at('images', 'aliases', name), doing: `look for the image ${name}`, signal}, alias))?.target
  const there = await look()
  if (there !== undefined) return there
  options.notify?.(`uploading the image of ${vm.name} to ${client.server()}`)
  const temporary = join(vm.directory, 'upload.qcow2')
  try {
    const fingerprint = await upload(server, await partsOf(wanted, temporary, signal), options)
    const type = vm.base.isArchive ? 'container' : 'virtual-machine'
    await client
      .run({
        method: 'POST',
        path: at('images', 'aliases'),
        json: {name, target: fingerprint, type, description: `of ${vm.spec.image.source}, by vmctl`},
        doing: `name the image ${name}`,
        signal,
      })
      .catch((error: unknown) => {
        // Another vmctl has been quicker.
        if (!isFailure(error, incusFailures.nameTaken)) throw error
      })
    return (await look()) ?? fingerprint
  } finally {
    await remove(temporary)
  }
}

interface Parts {
  readonly metadata?: Uint8Array
  readonly content: string
  readonly isDisk: boolean
}

/** What is uploaded: an archive as it is, or a disk or root file system with metadata of ours. */
const partsOf = async ({vm, digest}: Wanted, temporary: string, signal: AbortSignal): Promise<Parts> => {
  const {base} = vm
  if (base.isArchive) {
    if (!(await isSquashfs(base.path))) return {content: base.path, isDisk: false}
    return {metadata: metadataOf(vm, {digest, templates: true}), content: base.path, isDisk: false}
  }
  const metadata = metadataOf(vm, {digest, templates: false})
  if (base.format === 'qcow2') return {metadata, content: base.path, isDisk: true}
  await convertImage(base, {path: temporary, format: 'qcow2'}, {signal})
  return {metadata, content: temporary, isDisk: true}
}

const isSquashfs = async (path: string): Promise<boolean> => {
  await using file = await open(path)
  const {buffer} = await file.read(Buffer.alloc(4), 0, 4, 0)
  return buffer.toString('latin1') === 'hsqs'
}

const upload = async ({client}: Server, {metadata, content, isDisk}: Parts, {signal, notify}: OperationOptions): Promise<string> => {
  const {size} = await stat(content)
  const boundary = `vmctl-${randomUUID()}`
  const part = (name: string): string =>
    `--${boundary}\r\nContent-Disposition: form-data; name="${name}"; filename="${name}"\r\nContent-Type: application/octet-stream\r\n\r\n`
  // By the name of the second part the server tells a disk from the root file system of a container.
  const before =
    metadata && Buffer.concat([Buffer.from(part('metadata')), metadata, Buffer.from(`\r\n${part(isDisk ? 'rootfs.img' : 'rootfs')}`)])
  const after = before && Buffer.from(`\r\n--${boundary}--\r\n`)
  const bytes = async function* (): AsyncGenerator<Buffer> {
    if (before) yield before
    yield* createReadStream(content, {highWaterMark: 2 ** 18})
    if (after) yield after
  }
  try {
    const done = await client.run({
      method: 'POST',
      path: at('images'),
      body: () => Readable.from(bytes(), {objectMode: false}),
      headers: {
        'content-type': before ? `multipart/form-data; boundary=${boundary}` : 'application/octet-stream',
        'content-length': String(size + (before?.length ?? 0) + (after?.length ?? 0)),
      },
      doing: 'upload the image',
      signal,
      notify,
      timeoutMs: uploadMs,
    })
    return text(done['fingerprint'], 'fingerprint')
  } catch (error) {
    if (!isFailure(error, incusFailures.nameTaken)) throw error
    // It is there without our name for it.
    const hash = createHash('sha256').update(metadata ?? '')
    await readInPieces(content, (piece) => hash.update(piece), signal)
    return hash.digest('hex')
  }
}

/** What Incus wants to know of an image. The same image gives the same bytes. */
const metadataOf = ({base, spec}: Vm, {digest, templates}: {readonly digest: string; readonly templates: boolean}): Uint8Array => {
  const tar = new TarWriter(1)
  const add = (name: string, content: string): void => {
    const bytes = Buffer.from(content)
    tar.entry({name, type: 'file', mode: 0o644, size: bytes.length})
    tar.write(bytes)
    tar.pad(bytes.length)
  }
  const seeds = templates ? Object.keys(seedTemplates) : []
  const path = (name: string): string => `/var/lib/cloud/seed/nocloud-net/${name}`
  add(
    'metadata.yaml',
    `${JSON.stringify({
      architecture: spec.image.architecture ?? 'x86_64',
      creation_date: 1,
      properties: {description: `image ${digest.slice(0, 12)} by vmctl`, 'vmctl.size': String(base.virtualSizeBytes)},
      templates: Object.fromEntries(
        seeds.map((name) => [
          path(name),
          {when: ['create', 'copy', 'start'], template: `${name}.tpl`, properties: {empty: '#cloud-config\n{}'}},
        ]),
      ),
    })}\n`,
  )
  for (const name of seeds) add(`templates/${name}.tpl`, seedTemplates[name] ?? '')
  tar.end()
  const blocks: Buffer[] = []
  for (let block = tar.take(); block; block = tar.take()) blocks.push(block)
  return gzipSync(Buffer.concat(blocks))
}

/** How the seed gets into a container: cloud-init of the image reads files there (Incus, "Image format", templates). */
const seedTemplates: Readonly<Record<string, string>> = {
  'meta-data': '{{ config_get("user.meta-data", "") }}\n',
  'user-data': '{{ config_get("cloud-init.user-data", properties.empty) }}\n',
  'vendor-data': '{{ config_get("cloud-init.vendor-data", properties.empty) }}\n',
  'network-config':
    '{% if config_get("cloud-init.network-config", "") == "" %}version: 2\nethernets: {eth0: {dhcp4: true, dhcp-identifier: mac}}\n' +
    '{% else %}{{ config_get("cloud-init.network-config", "") }}\n{% endif %}\n',
}
