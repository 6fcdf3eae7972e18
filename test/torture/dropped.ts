import {readFileSync, statSync} from 'node:fs'

import {startSshd} from '../support/sshd.ts'
import {type Tried, Wire, WiredProject} from './wire.ts'

const lines = 2000

const expected = {
  stdout: Array.from({length: lines}, (_, index) => `out ${index + 1} ${'x'.repeat(60)}\n`).join(''),
  stderr: Array.from({length: lines / 100}, (_, index) => `err ${(index + 1) * 100}\n`).join(''),
}

/** Says that it runs, prints for a while on both streams, and ends with the status that it finds in a file. */
const step = (project: WiredProject): string => {
  const command = `echo run >>'${project.path('runs')}'; i=0
while [ $i -lt ${lines} ]; do i=$((i+1)); printf 'out %d %s\\n' $i ${'x'.repeat(60)}
case $i in *00) echo "err $i" >&2; sleep 0.03 ;; esac; done; exit "$(cat '${project.path('status')}')"`
  return `  provision "shell" { inline ${JSON.stringify(command)}; }`
}

/** What is of one stream in a text where the lines of both and others are mixed. */
const streamOf = (text: string, word: 'out' | 'err'): string =>
  text
    .split('\n')
    .filter((line) => line.startsWith(`${word} `))
    .map((line) => `${line}\n`)
    .join('')

/** What is wrong after one more run of the step during which its connection was cut; empty when all is well. */
const tryCut = async (
  project: WiredProject,
  wire: Wire,
  {at, status}: {readonly at: number; readonly status: number},
): Promise<string[]> => {
  project.write('runs', '')
  project.write('status', String(status))
  const log = project.path('state/vms/web/provision.log')
  const before = statSync(log).size
  wire.reset(at)
  const ran = await project.run('provision')
  const wrong: string[] = []
  if (wire.connections < 2) wrong.push('nothing was cut')
  if (ran.exitCode !== (status === 0 ? 0 : 6)) wrong.push(`vmctl ended with ${ran.exitCode}: ${ran.stderr.slice(-500)}`)
  if (status !== 0 && !ran.stderr.includes(`ended with exit code ${status}`)) wrong.push(`another failure: ${ran.stderr.slice(-500)}`)
  const runs = readFileSync(project.path('runs'), 'utf8')
  if (runs !== 'run\n') wrong.push(`the step ran ${runs.split('\n').length - 1} times`)
  const logged = readFileSync(log).subarray(before).toString()
  if (streamOf(logged, 'out') !== expected.stdout) wrong.push('the log has other lines of stdout')
  if (streamOf(logged, 'err') !== expected.stderr) wrong.push('the log has other lines of stderr')
  if (streamOf(ran.stdout, 'out') !== expected.stdout) wrong.push('the terminal has other lines')
  return wrong.map((what) => `cut after ${at} bytes, exit code ${status}: ${what}`)
}

/** F9: the SSH connection of a running step is cut, each time after other bytes; the step runs once and its output is whole. */
export const dropped = {
  id: 'F9',
  async *rows({trials = 100}: {readonly trials?: number | undefined}): AsyncGenerator<Tried> {
    await using sshd = await startSshd()
    await using wire = await Wire.to(() => sshd.port)
    using project = new WiredProject(wire, sshd)
    project.vmfile(step(project))
    project.write('runs', '')
    project.write('status', '0')
    await project.ok('up')
    wire.reset()
    await project.ok('provision')
    const total = wire.bytes
    const wrong: string[] = []
    for (let trial = 0; trial < trials; trial++) {
      const at = Math.max(1, Math.floor((total * (trial + 0.5)) / trials))
      wrong.push(...(await tryCut(project, wire, {at, status: [0, 7, 255][trial % 3] ?? 0})))
    }
    yield {what: `the connection of a step is cut after 1 to ${total} bytes`, trials, wrong}
  },
}
