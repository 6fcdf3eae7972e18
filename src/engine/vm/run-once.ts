import {randomBytes} from 'node:crypto'

import type {VmSpec} from '../../model/vm.ts'
import {requireVm} from '../../store/store.ts'
import {waitUntilUsable} from './usable-guest.ts'
import type {Engine} from '../engine.ts'
import {type Extras, readExtras} from '../make/extras.ts'
import {create, destroy, start} from './lifecycle.ts'
import {holdRecords, readRecords} from './records.ts'
import {specFromOptions, type SpecOptions} from '../make/spec.ts'
import {openShell} from '../reach/ssh.ts'

export interface RunOptions extends Pick<SpecOptions, 'vcpus' | 'memoryBytes' | 'diskBytes' | 'uefi' | 'directory'> {
  /** A path, a URL, or an alias such as `debian:12`. */
  readonly image: string
  /** Made up when absent. */
  readonly name?: string | undefined
  readonly user?: string | undefined
  readonly extras?: Extras
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
  const {packages, runCommands, ...fields} = await readExtras(options.extras ?? {}, options.directory)
  const spec = await specFromOptions({...options, catalogue: (await engine.catalogue()).publishers, name})
  const login = options.user ?? spec.image.user
  const cloudInit: VmSpec['cloudInit'] = {
    hostname: name,
    sshKeys: [],
    ...spec.cloudInit,
    ...(login !== undefined && {user: login}),
    ...(packages.length > 0 && {packages}),
    ...(runCommands && runCommands.length > 0 && {runCommands}),
  }
  await create(engine, {...spec, ...fields, cloudInit, ssh: {}})
  // Only what was made here may be removed here: the name could have been another VM's.
  try {
    await start(engine, name)
    const vm = await requireVm(engine.store, name)
    await waitUntilUsable(engine, vm, holdRecords(vm.directory, await readRecords(vm.directory)))
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
