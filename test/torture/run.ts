import {parseArgs} from 'node:util'

import {figures} from './figures.ts'

// `npm run test:torture -- [F1 F3 …] [--trials N] [--jobs N] [--seed N]`: a table of what was tried and what went wrong.
// The exit status is 0 only when nothing did and something was tried.
const {values, positionals} = parseArgs({
  allowPositionals: true,
  options: {
    trials: {type: 'string'},
    jobs: {type: 'string', default: '2'},
    seed: {type: 'string', default: String(Date.now() % 1_000_000)},
  },
})
const wanted = positionals.map((word) => word.toUpperCase())
const unknown = wanted.filter((id) => figures.every((figure) => figure.id !== id))
if (unknown.length > 0) throw new Error(`There is no figure ${unknown.join(', ')}; there are: ${figures.map(({id}) => id).join(', ')}.`)

const stop = new AbortController()
// The trials that are under way end and tidy up; the table has what was tried until then.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort())

const options = {
  jobs: Number(values.jobs),
  seed: Number(values.seed),
  signal: stop.signal,
  ...(values.trials !== undefined && {trials: Number(values.trials)}),
}

const line = (id: string, what: string, ...numbers: readonly (string | number)[]): string =>
  `${id.padEnd(5)} ${what.padEnd(76)} ${numbers.map((number) => String(number).padStart(7)).join(' ')}\n`

let failures = 0
let total = 0
process.stdout.write(`seed ${options.seed}\n${line('', 'what', 'trials', 'wrong', 'seconds')}`)
for (const figure of figures) {
  if (wanted.length > 0 && !wanted.includes(figure.id)) continue
  let started = performance.now()
  for await (const {what, trials, wrong} of figure.rows(options)) {
    process.stdout.write(line(figure.id, what, trials, wrong.length, Math.round((performance.now() - started) / 1000)))
    for (const problem of wrong) process.stdout.write(`       ${problem.replaceAll('\n', '\n       ')}\n`)
    total += trials
    failures += wrong.length
    started = performance.now()
    if (stop.signal.aborted) break
  }
  if (stop.signal.aborted) break
}
process.stdout.write(line('', stop.signal.aborted ? 'together, until it was stopped' : 'together', total, failures))
process.exitCode = failures === 0 && total > 0 && !stop.signal.aborted ? 0 : 1
