import {createReadStream, createWriteStream} from 'node:fs'
import {stat} from 'node:fs/promises'
import {join} from 'node:path'
import {Readable} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import {constants, createGzip, createZstdCompress} from 'node:zlib'

import {remove} from '../host/durable.ts'
import {TarWriter} from '../host/tar.ts'
import type {PackageFacts, PackageFormat} from '../model/package-format.ts'
import {storageError} from './storage-error.ts'

export interface PackageJob {
  readonly format: PackageFormat
  /** What the disk is exported to, in an empty directory that this process alone uses. */
  readonly disk: string
  readonly facts: PackageFacts
  readonly signal: AbortSignal
}

/** A file of a package, under a temporary name. */
export interface PackageFile {
  readonly path: string
  /** What comes between the name of the result without its ending and the end: empty for the result itself. */
  readonly suffix?: string
}

/** How the disk of a package is to be exported. */
export const diskOfPackage = (
  format: PackageFormat,
): {readonly format: 'qcow2' | 'raw' | 'vmdk'; readonly compressed: boolean; readonly name: string} => {
  if (format === 'raw' || format === 'raw.zst') return {format: 'raw', compressed: false, name: 'disk.raw'}
  // Compression within compression costs time and saves nothing.
  if (format === 'box') return {format: 'qcow2', compressed: false, name: 'box.img'}
  return {format: format === 'vmdk' ? 'vmdk' : 'qcow2', compressed: true, name: `disk.${format === 'vmdk' ? 'vmdk' : 'qcow2'}`}
}

/**
 * Makes the files of a package from its exported disk, beside that. The first one is the result.
 * @throws VmctlError `vmctl::image::no_space`, `vmctl::io`
 */
export const writePackage = async (job: PackageJob): Promise<readonly [PackageFile, ...PackageFile[]]> => {
  const path = join(job.disk, '..', 'result')
  try {
    switch (job.format) {
      case 'raw.zst': {
        const {size} = await stat(job.disk)
        // A reader knows by the length what it needs room for.
        const options = {pledgedSrcSize: size, params: {[constants.ZSTD_c_checksumFlag]: 1}}
        await pipeline(createReadStream(job.disk, readOptions), createZstdCompress(options), createWriteStream(path), job)
        await remove(job.disk)
        return [{path}]
      }
      case 'box': {
        await pipeline(Readable.from(tarBlocks(await boxMembers(job))), createGzip(), createWriteStream(path), job)
        await remove(job.disk)
        return [{path}]
      }
      case 'incus': {
        await pipeline(Readable.from(tarBlocks([incusMetadata(job.facts)])), createGzip(), createWriteStream(path), job)
        return [{path: job.disk}, {path, suffix: '.metadata.tar.gz'}]
      }
      default:
        return [{path: job.disk}]
    }
  } catch (error) {
    job.signal.throwIfAborted()
    throw storageError(error, 'write', path)
  }
}

const readOptions = {highWaterMark: 256 * 2 ** 10}

interface Member {
  readonly name: string
  readonly content: string | {readonly path: string; readonly size: number}
}

async function* tarBlocks(members: readonly Member[]): AsyncGenerator<Buffer> {
  const tar = new TarWriter()
  function* full(): Generator<Buffer> {
    for (let block = tar.take(); block; block = tar.take()) yield block
  }
  for (const {name, content} of members) {
    const size = typeof content === 'string' ? Buffer.byteLength(content) : content.size
    tar.entry({name, type: 'file', mode: 0o644, size})
    for await (const chunk of typeof content === 'string' ? [Buffer.from(content)] : createReadStream(content.path, readOptions)) {
      tar.write(chunk as Buffer)
      yield* full()
    }
    tar.pad(size)
  }
  tar.end()
  yield* full()
}

const gib = 2 ** 30

/** A Vagrant box for libvirt, version 1 (vagrant-libvirt, "Box Format"). What Vagrant does not know it shows by `vagrant box list -i`. */
const boxMembers = async ({disk, facts}: PackageJob): Promise<readonly Member[]> => [
  {name: 'metadata.json', content: json({provider: 'libvirt', format: 'qcow2', virtual_size: Math.ceil(facts.virtualSizeBytes / gib)})},
  {name: 'info.json', content: json(facts)},
  {name: 'Vagrantfile', content: vagrantfile(facts)},
  {name: 'box.img', content: {path: disk, size: (await stat(disk)).size}},
]

const vagrantfile = ({user, firmware}: PackageFacts): string =>
  [
    'Vagrant.configure("2") do |config|',
    `  config.ssh.username = ${JSON.stringify(user)}`,
    // A box is for any project; a folder that nobody has asked for would need a program in the guest.
    '  config.vm.synced_folder ".", "/vagrant", disabled: true',
    '  config.vm.provider :libvirt do |libvirt|',
    '    libvirt.disk_bus = "virtio"',
    ...(firmware === 'uefi' ? ['    libvirt.loader = "/usr/share/OVMF/OVMF_CODE.fd"'] : []),
    '  end',
    'end',
    '',
  ].join('\n')

/** metadata.yaml of an Incus image ("Image format"); JSON is YAML too. */
const incusMetadata = (facts: PackageFacts): Member => ({
  name: 'metadata.yaml',
  content: json({
    architecture: facts.architecture,
    creation_date: Math.floor(Date.parse(facts.createdAt) / 1000),
    properties: {
      description: `${facts.name}, packaged by vmctl ${facts.vmctl}`,
      name: facts.name,
      os: facts.image.split(':')[0] ?? facts.image,
      ...(facts.image.includes(':') && {release: facts.image.split(':')[1]}),
      architecture: facts.architecture,
      'vmctl.base': facts.image,
      ...(facts.imageSha256 !== undefined && {'vmctl.base-sha256': facts.imageSha256}),
      'vmctl.firmware': facts.firmware,
      'vmctl.user': facts.user,
      'vmctl.cleaned': `${facts.cleaned}`,
    },
  }),
})

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`
