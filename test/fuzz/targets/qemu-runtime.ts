import {strict as assert} from 'node:assert'
import {mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {findAnyProcess} from '../../../src/hypervisor/qemu/process.ts'
import {holdingOf, readRuntime} from '../../../src/hypervisor/qemu/runtime.ts'
import {qemuFiles} from '../../../src/hypervisor/qemu/files.ts'
import {makeVm} from '../../support/builders.ts'
import type {Target} from '../target.ts'
import {scratchDirectory} from './directory.ts'

/** The first line of an input is the pid file; the rest is qemu.json. */
export const qemuRuntime: Target = {
  about: 'qemu.json and the pid file: no process is ours without proof',
  dictionary: [
    '1\n',
    `${process.pid}\n`,
    '-1\n',
    '0\n',
    '1e3\n',
    '"process":{"pid":1,"startTime":"0","bootId":""}',
    '"sshPort":22',
    'null',
  ],
  open() {
    const scratch = scratchDirectory()
    const directory = join(scratch.path, 'web')
    mkdirSync(directory)
    const files = qemuFiles(directory)
    let tries = 0
    return {
      async try(input) {
        const end = input.indexOf('\n')
        writeFileSync(files.pidfile, input.subarray(0, end + 1))
        writeFileSync(files.qemu, input.subarray(end + 1))
        const runtime = await readRuntime(directory)
        if (runtime?.sshPort !== undefined) assert.ok(runtime.sshPort > 0 && runtime.sshPort < 65_536)
        if (runtime) assert.equal(typeof runtime.name, 'string')
        assert.equal((await holdingOf(directory))?.vm, runtime?.name)
        // Looking at all processes of the computer takes a while.
        tries += 1
        if (tries % 50 === 0) assert.equal(await findAnyProcess(makeVm({directory})), undefined)
      },
      [Symbol.asyncDispose]: async () => scratch.remove(),
    }
  },
}
