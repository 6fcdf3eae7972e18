import {realpath} from 'node:fs/promises'

import {pathExists} from '../../host/files.ts'
import {resolvePath} from '../../host/paths.ts'
import {buildDebian, type BuildOptions, type BuiltImage} from '../../image/build/build.ts'
import {buildableRelease} from '../../image/build/releases.ts'
import {VmctlError} from '../../model/errors.ts'
import type {Engine} from '../engine.ts'
import {imageUses} from './image-uses.ts'

export type {BuiltImage} from '../../image/build/build.ts'

export interface BuildImageOptions extends Pick<BuildOptions, 'sizeBytes' | 'packages' | 'mirror' | 'securityMirror'> {
  /** As the user wrote it; `debian-12.qcow2` in `directory` when absent. */
  readonly output?: string | undefined
  /** Whether an image that is there may be replaced. */
  readonly force: boolean
  readonly directory: string
}

/**
 * Builds an image from the packages of its distribution, for this processor.
 * @param name such as `debian:12`
 * @throws VmctlError `vmctl::image::not_buildable`, `vmctl::image::exists`, `vmctl::image::in_use`, and those of `buildDebian`
 */
export const buildImage = async (engine: Engine, name: string, options: BuildImageOptions): Promise<BuiltImage> => {
  const release = buildableRelease(name)
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new VmctlError(
      'vmctl::image::not_buildable',
      `Images are built for the processor of the host, and this one is ${process.platform} on ${process.arch}.`,
      {
        help: 'Build it on Linux on x86-64; the file can be copied.',
      },
    )
  }
  requireSensible(options)
  const output = resolvePath(options.output ?? `${release.name.replace(':', '-')}.qcow2`, options.directory)
  await requireFree(engine, output, options.force)
  const {sizeBytes, packages, mirror, securityMirror} = options
  return buildDebian(engine.images, release, {
    output,
    sizeBytes: sizeBytes - (sizeBytes % 2 ** 20),
    packages,
    mirror,
    securityMirror,
    signal: engine.signal,
    onEvent: (event) => void engine.emit(event),
  })
}

/** A VM whose base is replaced has lost its disk. */
const requireFree = async (engine: Engine, output: string, force: boolean): Promise<void> => {
  if (!(await pathExists(output))) return
  if (!force) throw new VmctlError('vmctl::image::exists', `${output} exists already.`)
  const path = await realpath(output).catch(() => output)
  const use = (await imageUses(engine)).find((one) => one.path === path)
  if (!use) return
  throw new VmctlError(
    'vmctl::image::in_use',
    `The image ${output} is the base of the ${use.kind === 'vm' ? 'VM' : use.kind} ${use.name}, and cannot be replaced.`,
    {
      help: 'Build another file with `--output`, or remove what uses this one first.',
      details: {path: output, name: use.name},
    },
  )
}

const leastBytes = 2 ** 30

/** Names and URLs stand in files of the guest, where anything else would be another line. */
const requireSensible = ({sizeBytes, packages, mirror, securityMirror}: BuildImageOptions): void => {
  for (const name of packages) {
    if (!/^[a-z0-9][a-z0-9+.-]+(?:=[\w.+:~-]+)?$/.test(name)) {
      throw new VmctlError('vmctl::usage::invalid', `${JSON.stringify(name)} cannot be the name of a package.`, {
        help: 'A package is named as by apt-get: `nginx`, or `nginx=1.22.1-9` for one version.',
      })
    }
  }
  for (const url of [mirror, securityMirror]) {
    if (url !== undefined && (!URL.canParse(url) || !/^https?:\/\/[^\s[\]]+$/.test(url))) {
      throw new VmctlError('vmctl::usage::invalid', `${JSON.stringify(url)} cannot be a mirror.`, {
        help: 'It is an address such as `http://deb.debian.org/debian`, below which `dists/` lies.',
      })
    }
  }
  if (sizeBytes < leastBytes)
    throw new VmctlError('vmctl::image::disk_too_small', 'A disk for a Debian has at least 1 GB.', {help: 'Give a larger `--size`.'})
}
