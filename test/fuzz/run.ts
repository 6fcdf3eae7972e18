import {randomInt} from 'node:crypto'
import {readFileSync} from 'node:fs'
import {join, relative} from 'node:path'
import {parseArgs} from 'node:util'

import {fuzzTarget, saveInput} from './fuzz.ts'
import {targets} from './targets.ts'

// npm run fuzz [-- TARGET… [--seconds N] [--seed S] [--replay FILE]]: lists the targets, or fuzzes them one after the other.
const {values, positionals} = parseArgs({
  allowPositionals: true,
  options: {
    seconds: {type: 'string', default: '60'},
    seed: {type: 'string'},
    replay: {type: 'string'},
  },
})

const say = (line: string): boolean => process.stdout.write(`${line}\n`)
const names = positionals[0] === 'all' ? Object.keys(targets) : positionals
const unknown = names.find((name) => !Object.hasOwn(targets, name))
const crashes = join(import.meta.dirname, 'crashes')

const fuzz = async (name: string): Promise<boolean> => {
  const seed = Number(values.seed ?? randomInt(2 ** 32 - 1))
  const replay = values.replay === undefined ? undefined : readFileSync(values.replay)
  const started = performance.now()
  const {tried, defect} = await fuzzTarget(name, {seed, ...(replay ? {replay} : {seconds: Number(values.seconds)})})
  const seconds = (performance.now() - started) / 1000
  say(`${name.padEnd(14)} ${String(tried).padStart(9)} inputs in ${seconds.toFixed(0)} s, seed ${seed}${defect ? ': DEFECT' : ''}`)
  if (!defect) return true
  say(defect.what)
  const path = values.replay ?? relative(process.cwd(), saveInput(crashes, name, defect))
  say(`Try it again: npm run fuzz -- ${name} --replay ${path}`)
  return false
}

if (names.length === 0 || unknown !== undefined) {
  if (unknown !== undefined) say(`There is no target ${unknown}. The targets:`)
  for (const [name, {about}] of Object.entries(targets)) say(`${name.padEnd(14)} ${about}`)
  process.exitCode = unknown === undefined ? 0 : 2
} else {
  for (const name of names) if (!(await fuzz(name))) process.exitCode = 1
}
