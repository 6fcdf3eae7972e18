// Sums up vitest's JSON reports of a directory: what failed and why, then one line of counts. Fails when anything
// failed or nothing ran.
import {readdirSync, readFileSync} from 'node:fs'
import {join, relative} from 'node:path'

interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly message: string
    readonly assertionResults: readonly {
      readonly fullName: string
      readonly status: string
      readonly failureMessages: readonly string[] | null
    }[]
  }[]
}

const LINES_OF_A_FAILURE = 40

const [directory = '.'] = process.argv.slice(2)
const files = readdirSync(directory)
const total = {passed: 0, failed: 0, skipped: 0}
const withFailedTests = new Set<string>()

const tell = (where: string, why: string): void => {
  process.stdout.write(`\nfailed: ${where}\n${why.split('\n').slice(0, LINES_OF_A_FAILURE).join('\n')}\n`)
}

for (const file of files.filter((name) => name.endsWith('.json'))) {
  const report = JSON.parse(readFileSync(join(directory, file), 'utf8')) as Report
  total.passed += report.numPassedTests
  total.failed += report.numFailedTests
  total.skipped += report.numPendingTests + report.numTodoTests
  if (report.numFailedTests > 0) withFailedTests.add(file.replace('.json', ''))
  for (const suite of report.testResults) {
    const where = relative(process.cwd(), suite.name)
    const failed = suite.assertionResults.filter((test) => test.status === 'failed')
    if (suite.status === 'failed' && failed.length === 0) tell(where, suite.message)
    for (const test of failed) tell(`${where} > ${test.fullName}`, (test.failureMessages ?? []).join('\n'))
  }
}

// A step may fail without a failed test: a check, a file that does not load, a runner that died. It counts as one.
const steps = files.includes('failed') ? readFileSync(join(directory, 'failed'), 'utf8').trim().split('\n') : []
for (const step of steps.filter((name) => !withFailedTests.has(name))) {
  const said = files.includes(`${step}.out`) ? readFileSync(join(directory, `${step}.out`), 'utf8') : ''
  tell(step, said.trimEnd().split('\n').slice(-LINES_OF_A_FAILURE).join('\n'))
}
if (total.passed === 0) process.stdout.write('\nno test ran\n')
const failed = total.failed + steps.filter((step) => !withFailedTests.has(step)).length
process.stdout.write(`\n${total.passed} passed, ${failed} failed, ${total.skipped} skipped\n`)
process.exitCode = failed > 0 || total.passed === 0 ? 1 : 0
