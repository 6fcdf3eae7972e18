import {join} from 'node:path'

import {timesAsLong, inTurn} from '../lib/measure.ts'
import {missing} from '../lib/process.ts'
import type {Row, Skipped} from '../lib/report.ts'
import {startSshd} from '../lib/sshd.ts'
import {emptyDisk, type Workspace, writeVmfile} from '../lib/workspace.ts'
import {emptyNode} from './startup.ts'

const names = Array.from({length: 10}, (_, index) => `vm-${index}`)
const goal = {atMost: 6}

/** `vmctl up` of ten VMs that run and are as the VMFile wants them: it has to look, and to do nothing. */
export const unchanged = async (workspace: Workspace): Promise<(Row | Skipped)[]> => [
  ...(await onNoop(workspace)),
  ...(await onQemu(workspace)),
]

/** Each VM has three steps, run against a real sshd, which is gone when the time is taken: a guest that were touched would not answer. */
const onNoop = async (workspace: Workspace): Promise<(Row | Skipped)[]> => {
  const what = 'vmctl up, 10 running VMs unchanged (noop, 3 steps each)'
  const lack = await missing('bash', '/usr/sbin/sshd')
  if (lack !== undefined) return [{what, skipped: lack}]
  const directory = await workspace.directory('unchanged-noop')
  const sshd = await startSshd(workspace)
  const disk = await emptyDisk(directory)
  const steps = [1, 2, 3].map((step) => `  provision "shell" {\n    inline "echo ${step}"\n  }\n`).join('')
  const ssh = `  ssh {\n    user "${sshd.user}"\n    private-key "${sshd.keyPath}"\n  }\n`
  const vmfile = await writeVmfile(
    directory,
    names.map((name) => `vm "${name}" {\n  image "${disk}" format="raw"\n${ssh}${steps}}\n`).join(''),
  )
  const args = ['up', '--file', vmfile, '--state-dir', join(directory, 'state')]
  const env = {VMCTL_BACKEND: 'noop', VMCTL_NOOP_SSH: `127.0.0.1:${sshd.port}`}
  await workspace.vmctl(args, {env})
  sshd.stop()
  return measured(workspace, {what, args, env})
}

/** Real QEMU processes whose firmware finds nothing to boot and goes to sleep. */
const onQemu = async (workspace: Workspace): Promise<(Row | Skipped)[]> => {
  const what = 'the same on QEMU (no steps)'
  const lack = await missing('bash', 'qemu-system-x86_64', 'qemu-img')
  if (lack !== undefined) return [{what, skipped: lack}]
  const directory = await workspace.directory('unchanged-qemu')
  const disk = await emptyDisk(directory)
  const vmfile = await writeVmfile(
    directory,
    names.map((name) => `vm "${name}" {\n  image "${disk}" format="raw"\n  memory "64M"\n}\n`).join(''),
  )
  const args = ['up', '--file', vmfile, '--state-dir', join(directory, 'state')]
  await workspace.vmctl(args)
  const rows = await measured(workspace, {what, args})
  await workspace.vmctl(['down', '--destroy', ...args.slice(1)])
  return rows
}

const measured = async (
  workspace: Workspace,
  {what, args, env}: {what: string; args: readonly string[]; env?: NodeJS.ProcessEnv},
): Promise<Row[]> => {
  const {stdout} = await workspace.vmctl(['plan', '--json', ...args.slice(1)], {...(env && {env})})
  const {vms} = JSON.parse(stdout) as {readonly vms: readonly {readonly steps: readonly unknown[]}[]}
  if (vms.length !== names.length || vms.some(({steps}) => steps.length > 0)) throw new Error(`there is something to do: ${stdout}`)
  const samples = await inTurn(
    {count: 7, warmUp: 1},
    () => workspace.cpuOfVmctl(args, {...(env && {env})}),
    () => emptyNode(workspace),
  )
  return [timesAsLong({what, referenceName: 'node -e 0', samples, goal})]
}
