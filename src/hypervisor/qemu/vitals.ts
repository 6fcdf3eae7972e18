import {cpuSecondsOf, isBusy} from '../../host/proc.ts'
import {qemuFiles} from './files.ts'
import type {Vitals} from '../../model/vitals.ts'
import type {Vm} from '../../model/vm.ts'
import {acceptedConnections, userNetwork} from './forwards.ts'
import {findProcess} from './process.ts'
import {connectQmp, type QmpClient} from './qmp.ts'
import {readRuntime} from './runtime.ts'

const patienceMs = 1000

/** What QEMU and the kernel know of a guest; undefined when nothing runs. */
export const vitalsOf = async (vm: Vm): Promise<Vitals | undefined> => {
  const [running, runtime] = await Promise.all([findProcess(vm), readRuntime(vm.directory)])
  if (!running) return undefined
  const [cpuSeconds, busy, seen] = await Promise.all([cpuSecondsOf(running.pid), isBusy(running.pid), askMonitor(vm).catch(() => ({}))])
  return {
    busy,
    ...(cpuSeconds !== undefined && {cpuSeconds}),
    ...(runtime?.consoleFrom !== undefined && {consoleFrom: runtime.consoleFrom}),
    ...seen,
  }
}

const askMonitor = async (vm: Vm): Promise<Vitals> => {
  using qmp = await connectQmp(qemuFiles(vm.directory).monitorSocket, {timeoutMs: patienceMs})
  return {...(await diskRequests(qmp)), ...(vm.spec.network.type === 'user' && {connections: acceptedConnections(await userNetwork(qmp))})}
}

/** `query-blockstats` of QEMU's QMP reference: the requests of the guest to each of its devices. */
const diskRequests = async (qmp: QmpClient): Promise<Vitals> => {
  const answer = await qmp.execute('query-blockstats', undefined, patienceMs)
  if (!Array.isArray(answer)) return {}
  const total = (name: string): number =>
    answer.reduce((sum: number, device: {readonly stats?: Readonly<Record<string, unknown>>}) => sum + Number(device.stats?.[name] ?? 0), 0)
  return {diskReads: total('rd_operations'), diskWrites: total('wr_operations')}
}
