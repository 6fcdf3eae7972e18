import {randomBytes} from 'node:crypto'

import {VmctlError} from '../model/errors.ts'
import {findAlias} from '../model/image-aliases.ts'
import type {ImageReference} from '../model/vm.ts'
import {requireVm} from '../store/store.ts'
import {waitUntilUsable} from './apply.ts'
import type {Engine} from './engine.ts'
import {create, destroy, start} from './lifecycle.ts'
import {specFromOptions, type SpecOptions} from './spec.ts'
import {openShell} from './ssh.ts'

export interface RunOptions extends Pick<SpecOptions, 'vcpus' | 'memoryBytes' | 'diskBytes' | 'uefi' | 'directory'> {
  /** A path, a URL, or an alias such as `debian:12`. */
  readonly image: string
  /** Made up when absent. */
  readonly name?: string | undefined
  readonly user?: string | undefined
  /** A program and its arguments; a shell when empty. */
  readonly command: readonly string[]
  /** Whether the VM is destroyed at the end, however it ends. */
  readonly remove: boolean
}

/** What became of a one-off VM; the `--json` shape of `vmctl run`. */
export interface RunResult {
  readonly name: string
  readonly exitCode: number
  readonly removed: boolean
}

/**
 * Makes a VM from an image, starts it, runs a program or a shell in it, and hands its exit status on. The VM has a key of its own
 * and no VMFile.
 */
export const runOnce = async (engine: Engine, options: RunOptions): Promise<RunResult> => {
  const name = options.name ?? `run-${randomBytes(4).toString('hex')}`
  const {reference, user, ...given} = imageOf(options.image)
  const spec = await specFromOptions({...options, image: undefined, ...given, name})
  const login = options.user ?? user
  const cloudInit = {hostname: name.replaceAll(/[^A-Za-z0-9-]+/g, '-'), sshKeys: [], ...(login !== undefined && {user: login})}
  await create(engine, {...spec, ...(reference && {image: reference}), cloudInit, ssh: {}})
  // Only what was made here may be removed here: the name could have been another VM's.
  try {
    await start(engine, name)
    await waitUntilUsable(engine, await requireVm(engine.store, name))
    const exitCode = await openShell(engine, name, {
      user: login,
      command: options.command,
      asWords: true,
      directory: options.directory,
    })
    return {name, exitCode, removed: options.remove}
  } finally {
    // Also after Ctrl+C, which has cancelled everything else.
    if (options.remove) await destroy({...engine, signal: new AbortController().signal}, name)
  }
}

interface RunImage extends Pick<SpecOptions, 'image' | 'imageUrl'> {
  readonly reference?: ImageReference
  readonly user?: string
}

const imageOf = (image: string): RunImage => {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(image)) return {imageUrl: image}
  if (/^[~./]|\/|\.(?:qcow2|raw|img|vmdk|vdi|vhdx|zst|gz|xz)$/.test(image)) return {image}
  const alias = findAlias(image)
  if (!alias) {
    throw new VmctlError('vmctl::image::not_found', `${JSON.stringify(image)} is no alias of an image.`, {
      help: 'Name a file with its path (./image.qcow2), a URL, or an alias such as debian:12.',
    })
  }
  const {url, checksumUrl, user, os} = alias
  return {imageUrl: url, reference: {kind: 'url', source: url, checksumUrl, user, os}, user}
}
