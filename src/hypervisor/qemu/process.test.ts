import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, onTestFinished, test} from 'vitest'

import {makeVm, temporaryDirectory} from '../../../test/support/builders.ts'
import {findAnyProcess} from './process.ts'

/** A program that waits, with the option of QEMU that names a VM in its command line. */
const launch = async (id: string, cwd: string): Promise<number> => {
  const child = spawn('sh', ['-c', 'read -r line', 'sh', '-uuid', id], {cwd, stdio: ['pipe', 'ignore', 'ignore']})
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child, 'spawn')
  return child.pid ?? 0
}

test("a process is a VM's QEMU when it works in its directory, not when its command line alone says so", async () => {
  const directory = temporaryDirectory()
  const vm = makeVm({directory})
  const stranger = await launch(vm.id, '/')
  await launch('123e4567-e89b-42d3-a456-426614174001', directory)
  writeFileSync(join(directory, 'pidfile'), `${stranger}\n`)
  expect(await findAnyProcess(vm)).toBeUndefined()
  const pid = await launch(vm.id, directory)
  expect(await findAnyProcess(vm)).toMatchObject({pid})
  const link = join(temporaryDirectory(), 'state')
  symlinkSync(directory, link)
  expect(await findAnyProcess({...vm, directory: link})).toMatchObject({pid})
})
