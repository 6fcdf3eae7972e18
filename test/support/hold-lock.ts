/** A process of its own that works with a lock: `node hold-lock.ts PATH hold|once|count [FILE]`. */
import {readFileSync, writeFileSync} from 'node:fs'

import {acquireLock} from '../../src/host/lock.ts'
import {isVmctlError} from '../../src/model/errors.ts'

const [path = '', mode = '', file = ''] = process.argv.slice(2)
const take = (purpose: string, timeoutMs: number) =>
  acquireLock(path, {purpose, timeoutMs, onWait: (holder) => process.stdout.write(`waits for ${holder}\n`)})

if (mode === 'hold') {
  await take('hold for ever', 60_000)
  process.stdout.write('locked\n')
  setInterval(() => undefined, 1000)
} else if (mode === 'once') {
  try {
    await using _lock = await take('once', 0)
    process.stdout.write('locked\n')
  } catch (error) {
    process.stdout.write(`${isVmctlError(error) ? error.code : String(error)}\n`)
  }
} else {
  for (let round = 0; round < 20; round++) {
    await using _lock = await take('count', 60_000)
    // A lost update shows here when two processes are inside at once.
    writeFileSync(file, String(Number(readFileSync(file, 'utf8')) + 1))
  }
}
