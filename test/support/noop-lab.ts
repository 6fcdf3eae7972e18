import {rmSync} from 'node:fs'
import {join} from 'node:path'

import {type Engine, type EngineOptions, openEngine} from '../../src/engine/engine.ts'
import type {VmSpec} from '../../src/model/vm.ts'
import type {Vmfile} from '../../src/vmfile/index.ts'
import {makeSpec} from './builders.ts'
import {makeWorkspace, type Workspace} from './run-command.ts'
import {startSshd, type TestSshd} from './sshd.ts'

/**
 * The noop backend, where starting costs nothing, with one real sshd as the guest of all VMs. No VM here may have `env` or anything
 * else that guests are set up with: the guest is the host.
 */
export interface NoopLab extends AsyncDisposable {
  readonly workspace: Workspace
  readonly sshd: TestSshd
  /** A path below the directory of the VMFile. */
  file(name: string): string
  vm(name: string, change?: Partial<VmSpec>): VmSpec
  vmfile(...vms: readonly VmSpec[]): Vmfile
  openEngine(options?: EngineOptions): Promise<Engine>
  /** Forgets all VMs, and removes files below the directory of the VMFile. */
  clear(...names: readonly string[]): void
}

export const startNoopLab = async (): Promise<NoopLab> => {
  const workspace = makeWorkspace()
  const sshd = await startSshd()
  const {directory, stateDirectory, image} = workspace
  const file = (name: string): string => join(directory, name)
  return {
    workspace,
    sshd,
    file,
    vm: (name, change = {}) =>
      makeSpec({name, image: {kind: 'file', source: image}, ssh: {user: sshd.user, privateKeyPath: sshd.keyPath}, ...change}),
    vmfile: (...vms) => ({path: file('VMFile.kdl'), directory, vms, networks: [], volumes: [], warnings: []}),
    openEngine: (options = {}) =>
      openEngine({
        stateDirectory,
        backend: 'noop',
        env: {HOME: directory, VMCTL_NOOP_SSH: `127.0.0.1:${sshd.port}`},
        ...options,
      }),
    clear(...names) {
      for (const path of [join(stateDirectory, 'vms'), ...names.map(file)]) rmSync(path, {recursive: true, force: true})
    },
    async [Symbol.asyncDispose]() {
      await sshd[Symbol.asyncDispose]()
      workspace[Symbol.dispose]()
    },
  }
}
