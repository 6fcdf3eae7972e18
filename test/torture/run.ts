import {startSshd} from '../support/sshd.ts'
import {damage} from './bit-flips.ts'
import {dropped} from './dropped.ts'
import {faults} from './faults.ts'
import {impostor} from './impostor.ts'
import {countPoints, killAt, scenarios} from './kill-points.ts'

// Prints a table of what was tried and what went wrong; exits 1 when anything did. `npm run test:torture` builds first.
await using sshd = await startSshd()
let failures = 0
let total = 0
process.stdout.write('killed at every durable act, then run once more\n')
for (const scenario of scenarios) {
  const points = await countPoints(sshd, scenario)
  let wrong = 0
  for (let point = 1; point <= points; point++) {
    const problems = await killAt(sshd, scenario, point)
    if (problems.length === 0) continue
    wrong += 1
    process.stdout.write(`  ${scenario.name}, point ${point}: ${problems.join('; ')}\n`)
  }
  failures += wrong
  total += points
  process.stdout.write(`${scenario.name.padEnd(16)} ${String(points).padStart(4)} points ${String(wrong).padStart(4)} wrong\n`)
}
process.stdout.write(`${'together'.padEnd(16)} ${String(total).padStart(4)} points ${String(failures).padStart(4)} wrong\n`)
for (const figure of [faults, damage]) {
  for await (const {what, trials, wrong} of figure.rows({jobs: 2, seed: Date.now() % 1_000_000})) {
    process.stdout.write(
      `${figure.id.padEnd(4)} ${what.padEnd(72)} ${String(trials).padStart(6)} tried ${String(wrong.length).padStart(4)} wrong\n`,
    )
    for (const problem of wrong) process.stdout.write(`  ${problem}\n`)
    failures += wrong.length
  }
}
for (const figure of [dropped, impostor]) {
  for await (const {what, trials, wrong} of figure.rows({})) {
    process.stdout.write(
      `${figure.id.padEnd(4)} ${what}: ${trials} tried, ${wrong.length} wrong\n${wrong.map((text) => `  ${text}\n`).join('')}`,
    )
    failures += wrong.length
  }
}
process.exitCode = failures === 0 ? 0 : 1
