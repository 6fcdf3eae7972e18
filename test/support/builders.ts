import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {onTestFinished} from 'vitest'

import type {Vm, VmSpec} from '../../src/model/vm.ts'

/** A directory that is removed when the test has finished. */
export const temporaryDirectory = (): string => {
  const path = mkdtempSync(join(tmpdir(), 'vmctl-test-'))
  onTestFinished(() => rmSync(path, {recursive: true, force: true}))
  return path
}

export const makeSpec = (change: Partial<VmSpec> = {}): VmSpec => ({
  name: 'web',
  image: {kind: 'file', source: '/images/base.qcow2'},
  vcpus: 1,
  memoryMiB: 1024,
  network: {type: 'user'},
  provision: [],
  ...change,
})

export const makeVm = (change: Partial<Vm> = {}): Vm => ({
  schema: 1,
  id: '123e4567-e89b-42d3-a456-426614174000',
  name: change.spec?.name ?? 'web',
  backend: 'noop',
  directory: '/state/vms/web',
  spec: makeSpec(),
  vmfile: '/project/VMFile.kdl',
  base: {path: '/images/base.qcow2', format: 'qcow2', virtualSizeBytes: 2 ** 30},
  createdAt: '2026-01-02T03:04:05.000Z',
  phase: 'started',
  ...change,
})
