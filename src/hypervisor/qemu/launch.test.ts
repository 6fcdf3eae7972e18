import {chmodSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {makeVm, temporaryDirectory} from '../../../test/support/builders.ts'
import {launch} from './launch.ts'

const facts = {accelerator: 'tcg', macAddress: '52:54:00:00:00:01', sshPort: 10_022, seed: false}

/** A program in QEMU's place. */
const fakeQemu = (directory: string, body: string): string => {
  const binary = join(directory, 'qemu')
  writeFileSync(binary, `#!/bin/sh\n${body}\n`)
  chmodSync(binary, 0o755)
  return binary
}

test('a QEMU that ends at once is told with its own words, and a taken port as such, however the ends are noticed', async () => {
  const directory = temporaryDirectory()
  const vm = makeVm({directory})
  const {signal} = new AbortController()
  const taken = fakeQemu(
    directory,
    `echo "qemu: -netdev user: Could not set up host forwarding rule 'tcp:127.0.0.1:10022-:22'" >&2; exit 1`,
  )
  const results = await Promise.all(Array.from({length: 20}, () => launch(vm, taken, facts, signal)))
  for (const result of results) expect(result).toMatchObject({taken: expect.stringContaining('10022')})
  const broken = fakeQemu(temporaryDirectory(), 'echo "qemu: no disk" >&2; exit 1')
  await expect(launch(makeVm({directory: temporaryDirectory()}), broken, facts, signal)).rejects.toMatchObject({
    code: 'vmctl::qemu::spawn_failed',
    message: expect.stringMatching(/ended at once \(status 1\): qemu: no disk$/),
  })
})
