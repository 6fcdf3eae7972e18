import {join} from 'node:path'

import {inTurn, median, timesAsLong} from '../lib/measure.ts'
import type {Row, Skipped} from '../lib/report.ts'
import {type Workspace, writeVmfile} from '../lib/workspace.ts'
import {guestLack, microImage} from './cold.ts'

const blocks = 1000
const blockBytes = 60_000
const port = 5000

/** 60 MB by TCP from one guest to another through the hub of a mesh, against the same from a guest to itself. */
export const meshGuests = async (workspace: Workspace): Promise<(Row | Skipped)[]> => {
  const lack = await guestLack()
  if (lack !== undefined) return [{what: 'from guest to guest over a mesh', skipped: lack}]
  const directory = await workspace.directory('mesh-guests')
  const image = await microImage(workspace)
  const vm = (name: string): string =>
    `vm "${name}" {\n  image "${image}" format="qcow2"\n  memory 192\n  ssh { user "vm"; }\n  cloud-init { hostname "${name}"; }\n}\n`
  const file = await writeVmfile(directory, `network "default"\n${vm('a')}${vm('b')}`)
  const where = ['--state-dir', join(directory, 'state')]
  await workspace.vmctl(['up', '--file', file, ...where])
  const {vms} = JSON.parse((await workspace.vmctl(['ps', '--file', file, '--json', ...where])).stdout) as Stack
  const address = vms.find(({name}) => name === 'a')?.ips[0] ?? ''
  const guest = async (name: string, command: string): Promise<string> =>
    (await workspace.vmctl(['ssh', name, ...where, '--', command])).stdout.trim()
  const transfer = async (to: string, at: string): Promise<number> => {
    await guest(to, receive)
    const [begun, ended, arrived] = (await guest('b', send(at))).split(' ')
    if (arrived !== `${blocks}+0`) throw new Error(`${arrived} blocks of ${blocks} have arrived.`)
    return (Number(ended) - Number(begun)) * 1000
  }
  const samples = await inTurn(
    {count: 5, warmUp: 1, budgetMs: 120_000},
    () => transfer('a', address),
    () => transfer('b', '127.0.0.1'),
  )
  await workspace.vmctl(['down', '--destroy', '--file', file, ...where])
  const rate = ((blocks * blockBytes) / 1000 / median(samples.ours)).toFixed(0)
  return [timesAsLong({what: `60 MB from guest to guest over a mesh (${rate} MB/s)`, referenceName: 'from a guest to itself', samples})]
}

interface Stack {
  readonly vms: readonly {readonly name: string; readonly ips: readonly string[]}[]
}

/** Answers how many blocks have arrived as soon as all have; head and wc of busybox would take byte by byte. */
const receive = `echo 'dd bs=${blockBytes} count=${blocks} iflag=fullblock of=/dev/null 2>&1 | head -n 1' >receive; nohup nc -l -p ${port} -e sh receive >/dev/null 2>&1 &`

/** Sends as soon as somebody listens, and prints when it began and when the answer came, by the guest's clock, and the answer. */
const send = (address: string): string => `until
  read -r begun rest </proc/uptime
  arrived=$(dd if=/dev/zero bs=${blockBytes} count=${blocks} 2>/dev/null | nc ${address} ${port} 2>/dev/null)
  [ -n "$arrived" ]
do sleep 0.1; done
read -r ended rest </proc/uptime
echo "$begun $ended $arrived"`
