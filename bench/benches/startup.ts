import {randomUUID} from 'node:crypto'
import {cp, mkdir, readFile, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'

import {seal, unseal} from '../../src/host/sealed.ts'
import {timesAsLong, inTurn} from '../lib/measure.ts'
import {cpuMs, missing} from '../lib/process.ts'
import type {Row, Skipped} from '../lib/report.ts'
import {emptyDisk, type Workspace, writeVmfile} from '../lib/workspace.ts'

const vmCount = 100

/** What it costs to start vmctl at all, and to tell about 100 VMs. */
export const startup = async (workspace: Workspace): Promise<(Row | Skipped)[]> => {
  const lack = await missing('bash')
  if (lack !== undefined) return [{what: 'start-up', skipped: lack}]
  const state = await hundredVms(workspace)
  const empty = await workspace.directory('no-vms')
  const commands = [
    {what: 'vmctl --version', args: ['--version'], goal: {atMost: 2}},
    {what: `vmctl list, ${vmCount} VMs`, args: ['list', '--state-dir', state], goal: {atMost: 3}},
    {what: 'vmctl list, no VM', args: ['list', '--state-dir', empty]},
    {what: 'vmctl --help', args: ['--help']},
  ]
  const rows: Row[] = []
  for (const {what, args, goal} of commands) {
    const samples = await inTurn(
      {count: 9, warmUp: 2},
      () => workspace.cpuOfVmctl(args),
      () => emptyNode(workspace),
    )
    rows.push(timesAsLong({what, referenceName: 'node -e 0', samples, ...(goal && {goal})}))
  }
  return rows
}

/** CPU time of a Node that does nothing. */
export const emptyNode = (workspace: Workspace): Promise<number> => cpuMs([process.execPath, '-e', '0'], {env: workspace.env})

/** One VM is made by vmctl itself, the others are copies of its record. */
const hundredVms = async (workspace: Workspace): Promise<string> => {
  const directory = await workspace.directory('startup')
  const state = join(directory, 'state')
  const vmfile = await writeVmfile(directory, `vm "vm-0" {\n  image "${await emptyDisk(directory)}" format="raw"\n}\n`)
  await workspace.vmctl(['up', '--file', vmfile, '--state-dir', state], {env: {VMCTL_BACKEND: 'noop'}})
  const first = join(state, 'vms', 'vm-0')
  const record = await readFile(join(first, 'vm.json'), 'utf8')
  const {id} = unseal(record) as {readonly id: string}
  for (let index = 1; index < vmCount; index++) {
    const copy = join(state, 'vms', `vm-${index}`)
    await mkdir(copy, {mode: 0o700})
    await cp(first, copy, {recursive: true})
    await rm(join(copy, 'vm.json'))
    const other = record.replaceAll('"vm-0"', `"vm-${index}"`).replaceAll(id, randomUUID())
    const {sha256: _seal, ...rest} = JSON.parse(other)
    await writeFile(join(copy, 'vm.json'), seal(rest), {mode: 0o600})
  }
  return state
}
