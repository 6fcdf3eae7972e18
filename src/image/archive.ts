import {stat} from 'node:fs/promises'

import {readTar, TarError, type TarMember} from '../host/tar-reader.ts'
import {isFailure, isVmctlError} from '../model/errors.ts'
import {contentOf, writeDisk} from './archive-stream.ts'
import {isTar, type Packing} from './compression.ts'
import {storageError} from './storage-error.ts'
import {refusedArchive, tarMember} from './tar-member.ts'

export interface PackedFile {
  readonly path: string
  readonly packing: Packing
}

export interface ArchiveOptions {
  readonly signal: AbortSignal
  /** How the user knows the image. */
  readonly source: string
  readonly onProgress: (progress: {readonly readBytes: number; readonly totalBytes: number}) => void
  readonly onNotice?: ((message: string) => void) | undefined
}

/**
 * Takes the disk out of an archive: a Vagrant box of the provider libvirt, an Incus image of a VM, or a tar archive of a single file.
 * Of all that is in it only the disk gets a name on the host, which the caller chooses; the caller audits it.
 * @param destination a new file
 * @returns whether the file is an archive at all
 * @throws VmctlError `vmctl::image::refused` for an archive without a disk, or with several; `vmctl::image::decompression_failed`,
 *   `vmctl::image::no_space`
 */
export const unpackArchive = async (file: PackedFile, destination: string, options: ArchiveOptions): Promise<boolean> => {
  const {signal, source, onProgress} = options
  const packed = {path: file.path, compression: file.packing === 'tar' ? undefined : file.packing}
  if (file.packing !== 'tar' && !isTar(await startOf(contentOf(packed, {signal})))) return false
  const {disk, notice} = await survey(contentOf(packed, {signal}), source)
  const {size: totalBytes} = await stat(file.path)
  const content = contentOf(packed, {signal, onRead: (readBytes) => onProgress({readBytes, totalBytes})})
  try {
    await writeDisk(tarMember(content, {isWanted: (name) => name === disk, source}), destination, {signal})
  } catch (error) {
    signal.throwIfAborted()
    throw storageError(error, 'unpack the disk into', destination)
  }
  if (notice !== undefined) options.onNotice?.(notice)
  return true
}

/** The first block. What is damaged is told by who reads all of it. */
const startOf = async (content: AsyncIterable<Buffer>): Promise<Buffer> => {
  const parts: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of content) {
      parts.push(chunk)
      size += chunk.length
      if (size >= 512) break
    }
  } catch (error) {
    if (!isVmctlError(error) || isFailure(error, 'vmctl::host::not_installed')) throw error
  }
  return Buffer.concat(parts)
}

interface Survey {
  readonly disk: string
  readonly notice?: string
}

/** Finds out which file of an archive is the disk. What describes it comes first in most, so little is read. */
const survey = async (archive: AsyncIterable<Buffer>, source: string): Promise<Survey> => {
  const files: string[] = []
  const seen: Seen = {source}
  try {
    for await (const member of readTar(archive, {sparse: true})) {
      const name = member.name.replace(/^(?:\.\/)+/, '')
      if (name.startsWith('rootfs/')) throw refusedArchive(source, 'it is the image of a container, not of a VM')
      if (member.type !== 'file') continue
      const said = await readDescription(name, member, seen)
      if (said) return said
      if (files.push(name) > filesLimit) throw refusedArchive(source, `its archive holds more than ${filesLimit} files`)
    }
  } catch (error) {
    throw error instanceof TarError ? refusedArchive(source, `its archive cannot be read: ${error.message}`) : error
  }
  const [disk, ...others] = files
  if (disk !== undefined && others.length === 0) return {disk}
  throw refusedArchive(source, `its archive holds ${files.length} files, and none says which one is the disk`)
}

/** No box has as many. */
const filesLimit = 1000

interface Seen {
  readonly source: string
  /** The user that the Vagrantfile of a box names. */
  user?: string
}

/** What a file says of the disk, when it is one that does. */
const readDescription = async (name: string, member: TarMember, seen: Seen): Promise<Survey | undefined> => {
  if (name === 'metadata.json') return boxOf(await textOf(member, seen.source), seen)
  // Incus ("Image format"): in one tarball the disk of a VM has this name.
  if (name === 'metadata.yaml') return {disk: 'rootfs.img'}
  if (name !== 'Vagrantfile') return undefined
  const [, user] = /config\.ssh\.username\s*=\s*["']([\w.-]+)["']/.exec(await textOf(member, seen.source)) ?? []
  if (user !== undefined) seen.user = user
  return undefined
}

const textLimit = 2 ** 20

const textOf = async ({name, content}: TarMember, source: string): Promise<string> => {
  const parts: Buffer[] = []
  let size = 0
  for await (const chunk of content) {
    parts.push(chunk)
    size += chunk.length
    if (size > textLimit) throw refusedArchive(source, `${name} in it is too long`)
  }
  return Buffer.concat(parts).toString()
}

/** A box of version 1 has `box.img`, one of version 2 names its disks (vagrant-libvirt, "Box Format"). */
const boxOf = (text: string, {source, user = 'vagrant'}: Seen): Survey => {
  const {provider, disks} = parseMetadata(text, source)
  if (provider !== 'libvirt' && provider !== 'qemu') {
    throw refusedArchive(source, `it is a box for ${JSON.stringify(provider)}; those for libvirt have a disk for QEMU`)
  }
  if (disks !== undefined && disks.length !== 1) throw refusedArchive(source, `it is a box with ${disks.length} disks`)
  const [disk = 'box.img'] = disks ?? []
  return {
    disk,
    notice: `${source} is a Vagrant box, which as a rule has no cloud-init. To log in as Vagrant does, write \`ssh { user "${user}"; private-key "~/.vagrant.d/insecure_private_key"; }\` and no cloud-init node, and replace that key: everybody has it.`,
  }
}

const parseMetadata = (text: string, source: string): {readonly provider: unknown; readonly disks?: readonly string[]} => {
  try {
    const {provider, disks} = JSON.parse(text) as {provider?: unknown; disks?: unknown}
    if (disks === undefined) return {provider}
    if (Array.isArray(disks)) return {provider, disks: disks.map((disk: {path?: unknown}) => String(disk.path).replace(/^(?:\.\/)+/, ''))}
  } catch {
    // Told below.
  }
  throw refusedArchive(source, 'its metadata.json cannot be read')
}
