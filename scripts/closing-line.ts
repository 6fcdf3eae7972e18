// Sums up vitest's JSON reports of a directory in one line, and fails when anything failed or nothing ran.
import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'

interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
}

const [directory = '.'] = process.argv.slice(2)
const files = readdirSync(directory)
const total = {passed: 0, failed: 0, skipped: 0}
const withFailedTests = new Set<string>()
for (const file of files.filter((name) => name.endsWith('.json'))) {
  const report = JSON.parse(readFileSync(join(directory, file), 'utf8')) as Report
  total.passed += report.numPassedTests
  total.failed += report.numFailedTests
  total.skipped += report.numPendingTests + report.numTodoTests
  if (report.numFailedTests > 0) withFailedTests.add(file.replace('.json', ''))
}

// A step may fail without a failed test: a check, a file that does not load, a runner that died. It counts as one.
const steps = files.includes('failed') ? readFileSync(join(directory, 'failed'), 'utf8').trim().split('\n') : []
if (steps.length > 0) process.stdout.write(`\nfailed: ${steps.join(', ')}\n`)
if (total.passed === 0) process.stdout.write('\nno test ran\n')
const failed = total.failed + steps.filter((step) => !withFailedTests.has(step)).length
process.stdout.write(`\n${total.passed} passed, ${failed} failed, ${total.skipped} skipped\n`)
process.exitCode = failed > 0 || total.passed === 0 ? 1 : 0
