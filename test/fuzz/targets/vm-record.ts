import {strict as assert} from 'node:assert'
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {list, status} from '../../../src/engine/show/inspect.ts'
import {planAll} from '../../../src/engine/converge/converge.ts'
import {openEngine} from '../../../src/engine/engine.ts'
import {logFiles} from '../../../src/engine/show/logs.ts'
import {qemuFiles} from '../../../src/hypervisor/qemu/files.ts'
import {makeSpec} from '../../support/builders.ts'
import {resultOrFailure, type Target} from '../target.ts'
import {scratchDirectory} from './directory.ts'

const damages = ['vmctl::vm::record_damaged', 'vmctl::vm::owned_elsewhere', 'vmctl::backend::not_available'] as const

export const vmRecord: Target = {
  about: 'vm.json, as list, status, log and plan read it',
  json: true,
  dictionary: [
    '"schema":1',
    '"phase":"started"',
    '"provision":[]',
    'null',
    '{}',
    '[]',
    '"..\\/x"',
    '"type":"tap"',
    '"bridge":',
    '"noop"',
    '"qemu"',
  ],
  async open() {
    const scratch = scratchDirectory()
    const directory = join(scratch.path, 'vms', 'web')
    mkdirSync(directory, {recursive: true, mode: 0o700})
    const files = qemuFiles(directory)
    writeFileSync(files.overlay, 'the disk')
    writeFileSync(files.privateKey, 'the key')
    const engine = await openEngine({stateDirectory: scratch.path, backend: 'noop', env: {}})
    const vmfile = {path: '/project/VMFile.kdl', directory: '/project', networks: [], volumes: [], vms: [makeSpec()], warnings: []}
    return {
      async try(input) {
        writeFileSync(files.record, input)
        const [summary, ...others] = await list(engine)
        assert.equal(summary?.name, 'web')
        assert.deepEqual(others, [])
        await resultOrFailure(damages, () => status(engine, 'web'))
        await resultOrFailure(damages, () => logFiles(engine, 'web'))
        const codes = [...damages, 'vmctl::image::not_found'] as const
        await resultOrFailure(codes, () => planAll(engine, {vmfile, verb: 'up', provision: true}))
        await resultOrFailure(codes, () => planAll(engine, {vmfile, verb: 'down', provision: true, destroy: true}))
        assert.equal(readFileSync(files.overlay, 'utf8'), 'the disk')
        assert.equal(readFileSync(files.privateKey, 'utf8'), 'the key')
      },
      [Symbol.asyncDispose]: async () => scratch.remove(),
    }
  },
}
