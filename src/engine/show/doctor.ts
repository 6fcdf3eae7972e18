import {statfs} from 'node:fs/promises'

import {programCheck} from '../../host/program-check.ts'
import type {Check} from '../../model/check.ts'
import {formatSize} from '../../model/quantity.ts'
import {type Engine, hypervisorOf} from '../engine.ts'
import {homeAccess, homesDirectory} from '../homes.ts'
import {examineStacks} from './doctor-stacks.ts'

/** Looks at everything that vmctl and the backend of new VMs need from this host, by running it. */
export const examine = async (engine: Engine): Promise<Check[]> => {
  const {signal} = engine
  return [
    {name: 'node', status: 'ok', detail: process.version},
    ...examineProcessor(process.arch),
    ...((await (await hypervisorOf(engine)).examine?.({signal})) ?? []),
    await programCheck({name: 'ssh', command: ['ssh', '-V'], need: 'warn', use: '`vmctl ssh`', signal}),
    await programCheck({name: 'iproute', command: ['ip', '-V'], need: 'warn', use: '`network "tap"`', signal}),
    ...(await examineStacks()),
    await examineState(engine),
  ]
}

/** Looks at the server of a home, and changes nothing there. @throws VmctlError `vmctl::home::not_found` */
export const examineHome = async ({env, homeServers, signal}: Engine, name: string): Promise<readonly Check[]> => {
  const access = await homeAccess({homes: homesDirectory(env), name})
  return (await homeServers()).examine(access, {signal})
}

/** Guests are x86-64 whatever the host is. */
const examineProcessor = (processor: string): Check[] =>
  processor === 'x64'
    ? []
    : [
        {
          name: 'processor',
          status: 'warn',
          detail: `this host is ${processor}: guests are x86-64, so TCG emulates them, many times slower; ${processor} images cannot be run yet`,
        },
      ]

const enoughBytes = 5 * 2 ** 30

const examineState = async (engine: Engine): Promise<Check> => {
  const {bavail, bsize} = await statfs(engine.store.directory)
  const free = bavail * bsize
  const detail = `${engine.store.directory}, ${formatSize(free)} free`
  if (free >= enoughBytes) return {name: 'state', status: 'ok', detail}
  return {
    name: 'state',
    status: 'warn',
    detail,
    help: 'Images and disks need room: free some, or choose another directory with VMCTL_STATE_DIR.',
  }
}
