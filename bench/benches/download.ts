import {randomBytes} from 'node:crypto'
import {readFile, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {type ImageServer, startImageServer} from '../../test/support/image-server.ts'
import {timesAsLarge} from '../lib/measure.ts'
import {missing, run} from '../lib/process.ts'
import type {Row, Skipped} from '../lib/report.ts'
import type {Workspace} from '../lib/workspace.ts'

const mib = 2 ** 20
const sizeMiB = 64
const together = 32

/** What an image costs the network: one that many want at once, and one whose transfer is cut. */
export const download = async (workspace: Workspace): Promise<(Row | Skipped)[]> => {
  const lack = await missing('qemu-img')
  if (lack !== undefined) return [{what: 'downloads of images', skipped: lack}]
  await using server = await startImageServer()
  const content = await makeDisk(await workspace.directory('download'))
  const size = content.length / mib
  const compared = (servedMiB: number) => ({ours: [servedMiB], reference: [size]})
  const subject = {referenceName: 'its size'}
  return [
    timesAsLarge({
      ...subject,
      what: `an image of ${sizeMiB} MiB that ${together} processes pull at once`,
      samples: compared(await pulledTogether(workspace, server, content)),
      goal: {atMost: 1},
    }),
    timesAsLarge({
      ...subject,
      what: 'one whose connection is cut in the middle',
      samples: compared(await cutOnce(workspace, server, content)),
      goal: {atMost: 1.01},
    }),
    timesAsLarge({
      ...subject,
      what: 'one whose vmctl is killed in the middle, and run again',
      samples: compared(await killedOnce(workspace, server, content)),
    }),
  ]
}

/** A qcow2 file of bytes that no compression makes smaller. */
const makeDisk = async (directory: string): Promise<Buffer> => {
  const [raw, disk] = [join(directory, 'disk.raw'), join(directory, 'disk.qcow2')]
  await writeFile(raw, randomBytes(sizeMiB * mib))
  await run('qemu-img', ['convert', '-q', '-f', 'raw', '-O', 'qcow2', raw, disk])
  return readFile(disk)
}

const sentMiB = ({requests}: ImageServer, path: string): number =>
  requests.filter((one) => one.path === path).reduce((sum, {sentBytes}) => sum + sentBytes, 0) / mib

const pull = (workspace: Workspace, url: string, state: string) => workspace.vmctl(['image', 'pull', url, '--state-dir', state])

const pulledTogether = async (workspace: Workspace, server: ImageServer, content: Buffer): Promise<number> => {
  const state = await workspace.directory('together')
  server.files.set('/together.img', {content})
  await Promise.all(Array.from({length: together}, () => pull(workspace, `${server.origin}/together.img`, state)))
  return sentMiB(server, '/together.img')
}

const cutOnce = async (workspace: Workspace, server: ImageServer, content: Buffer): Promise<number> => {
  server.files.set('/cut.img', {content, cutAfter: [Math.floor(content.length / 2)], cutGraceMs: 2000})
  await pull(workspace, `${server.origin}/cut.img`, await workspace.directory('cut'))
  return sentMiB(server, '/cut.img')
}

const killedOnce = async (workspace: Workspace, server: ImageServer, content: Buffer): Promise<number> => {
  const state = await workspace.directory('killed')
  const url = `${server.origin}/killed.img`
  server.files.set('/killed.img', {content, answers: [{stallsAfter: Math.floor(content.length / 2)}]})
  const killed = new AbortController()
  const first = workspace.vmctl(['image', 'pull', url, '--state-dir', state], {signal: killed.signal}).catch(() => undefined)
  while (sentMiB(server, '/killed.img') * mib < Math.floor(content.length / 2)) await sleep(20)
  // What was sent is on its way to the file.
  await sleep(2000)
  killed.abort()
  await first
  await pull(workspace, url, state)
  return sentMiB(server, '/killed.img')
}
