import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {basename, join, resolve} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {expect} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {testUnless} from '../../../test/support/programs.ts'
import {sshdMissing, startSshd} from '../../../test/support/sshd.ts'
import {eventually} from '../../../test/support/vm-guests.ts'
import {argumentsOf, directoryOf, processes} from '../../../test/support/vm-processes.ts'
import {readJournal} from './journal.ts'

const missing = sshdMissing()
const program = resolve(import.meta.dirname, '../../../test/support/follow-step.ts')

/** The two streams use letters that vmctl's own words in the log do not have, so that each can be picked out of it. */
const alphabets = {stdout: 'ABCDEFGHIJ<', stderr: 'KLMNOPQRUV>'}

const encode = (alphabet: string, count: number): string => {
  let text = ''
  for (let index = 0; index < count; index++)
    text += `${String(index).replaceAll(/\d/g, (digit) => alphabet[Number(digit)] ?? '')}${alphabet[10]}`
  return text
}

/** Prints numbered words on both streams in bursts until the file `stop` is there, then says how many in `count`. */
const script = (directory: string): string => `#!/bin/sh
echo run >>${directory}/runs
i=0
while [ ! -e ${directory}/stop ]; do
  awk -v from=$i 'function word(n, letters,   w, k) { w = ""; for (k = 1; k <= length(n); k++) w = w substr(letters, substr(n, k, 1) + 1, 1); return w substr(letters, 11, 1) }
    BEGIN { for (n = from; n < from + 40; n++) { printf "%s", word(n "", "${alphabets.stdout}"); printf "%s", word(n "", "${alphabets.stderr}") >"/dev/stderr" } }'
  i=$((i+40))
  sleep 0.01
done
echo $i >${directory}/count
`

testUnless(missing)(
  'a vmctl that is killed again and again: the step runs once, and the log holds every byte of both streams exactly once',
  {timeout: 300_000},
  async () => {
    const directory = temporaryDirectory()
    await using sshd = await startSshd()
    const path = join(directory, 'talk.sh')
    writeFileSync(path, script(directory))
    const words = ['--disable-warning=ExperimentalWarning', program, directory, String(sshd.port), sshd.keyPath, sshd.user, path]
    const follow = () => spawn(process.execPath, words, {stdio: ['ignore', 'pipe', 'inherit']})
    let kills = 0
    while (kills < 32) {
      const child = follow()
      const ended = once(child, 'exit')
      // Most kills fall into the flow of output, some into what comes before it.
      if (kills % 8 === 7) await sleep(200 + Math.random() * 400)
      else await Promise.race([once(child.stdout, 'data'), ended])
      await sleep(Math.random() * 120)
      child.kill('SIGKILL')
      expect((await ended)[1]).toBe('SIGKILL')
      kills++
    }
    // Followers of those who were killed, which would go on until the step ends.
    const isFollower = (pid: number): boolean =>
      directoryOf(pid).includes(`/vmctl-${basename(directory)}-`) && argumentsOf(pid).some((argument) => argument.includes('emit()'))
    await eventually(() => expect(processes().filter(isFollower)).toEqual([]))
    writeFileSync(join(directory, 'stop'), '')
    const last = follow()
    last.stdout.resume()
    expect(await once(last, 'exit')).toEqual([0, null])
    expect(readFileSync(join(directory, 'runs'), 'utf8')).toBe('run\n')
    expect(existsSync(join(directory, 'count'))).toBe(true)
    const count = Number(readFileSync(join(directory, 'count'), 'utf8'))
    const log = readFileSync(join(directory, 'provision.log'), 'utf8')
    for (const alphabet of Object.values(alphabets)) {
      const logged = log.replaceAll(new RegExp(`[^${alphabet}]`, 'g'), '')
      expect(logged === encode(alphabet, count), `${logged.length} bytes of ${encode(alphabet, count).length}`).toBe(true)
    }
    expect((await readJournal(directory)).steps).toMatchObject([{state: 'done', exitCode: 0}])
  },
)
