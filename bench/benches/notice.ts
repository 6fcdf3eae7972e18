import {spawn} from 'node:child_process'
import {statSync} from 'node:fs'
import {open} from 'node:fs/promises'
import {connect} from 'node:net'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {inTurn, timesAsLong} from '../lib/measure.ts'
import {run} from '../lib/process.ts'
import type {Row, Skipped} from '../lib/report.ts'
import {type Workspace, writeVmfile} from '../lib/workspace.ts'
import {guestLack} from './cold.ts'

const mark = 'the-sshd-listens'
const limitMs = 600_000

/**
 * How long after its sshd has begun to listen a booting Debian guest is found, against a loop that does nothing but dial. systemd
 * writes a mark on the console when sshd says that it is ready, which is when both clocks start.
 */
export const notice = async (workspace: Workspace): Promise<(Row | Skipped)[]> => {
  const what = 'the SSH greeting of a booting Debian guest, noticed by vmctl up'
  const lack = await guestLack()
  if (lack !== undefined) return [{what, skipped: lack}]
  const image = (await run('sh', [join(workspace.repository, 'fixtures/guests/build.sh'), 'debian'])).stdout.trim()
  const directory = await workspace.directory('notice')
  const vmfile = await writeVmfile(directory, definition(image))
  const state = join(directory, 'state')
  const where = ['--file', vmfile, '--state-dir', state]
  const vmctl = (...words: readonly string[]) => workspace.vmctl([...words, ...where])
  const console = join(state, 'vms/notice/console.log')
  // The second boot is the first with the mark.
  await vmctl('up')
  await vmctl('stop')
  const boot = async (noticed: () => Promise<number>): Promise<number> => {
    // What is on its disk stands there since the first boot.
    await vmctl('stop', '--timeout', '0')
    const from = statSync(console).size
    const [at, marked] = await Promise.all([noticed(), untilMarked(console, from)])
    return at - marked
  }
  const samples = await inTurn(
    {count: 2, budgetMs: limitMs},
    () => boot(() => untilUpNotices(workspace.command('up', ...where), workspace.env)),
    () =>
      boot(async () => {
        await vmctl('start')
        const {stdout} = await vmctl('status', 'notice', '--json')
        return untilGreeted((JSON.parse(stdout) as {sshPort: number}).sshPort)
      }),
  )
  await vmctl('down', '--destroy')
  return [timesAsLong({what, referenceName: 'a loop that dials every 100 ms', samples})]
}

const definition = (image: string): string => `vm "notice" {
  image "${image}" format="qcow2"
  memory "384M"
  cloud-init {
    hostname "notice"
    user "vm"
    write-file "/etc/systemd/system/ssh.service.d/mark.conf" content="[Service]\\nExecStartPost=/bin/sh -c 'echo ${mark} >/dev/ttyS0'\\n"
  }
  ssh {
    user "vm"
  }
}
`

/** When the mark appeared on the console, whatever stood there before. */
const untilMarked = async (path: string, from: number): Promise<number> => {
  const began = performance.now()
  await using file = await open(path)
  let text = ''
  let position = from
  while (!text.includes(mark)) {
    if (performance.now() - began > limitMs) throw new Error('the guest has not started its sshd')
    const {buffer, bytesRead} = await file.read(Buffer.alloc(65_536), 0, 65_536, position)
    position += bytesRead
    text = text.slice(-mark.length) + buffer.toString('latin1', 0, bytesRead)
    if (bytesRead === 0) await sleep(10)
  }
  return performance.now()
}

/** When `up` said in its debug messages that SSH has greeted; what it does then is of no interest. */
const untilUpNotices = async (words: readonly string[], env: NodeJS.ProcessEnv): Promise<number> => {
  const child = spawn(words[0] ?? '', words.slice(1), {env: {...env, VMCTL_LOG: 'ssh=debug'}, stdio: ['ignore', 'ignore', 'pipe']})
  let text = ''
  let at: number | undefined
  for await (const chunk of child.stderr.setEncoding('utf8')) {
    text += String(chunk)
    if (at !== undefined || !text.includes('"milestone":"banner"')) continue
    at = performance.now()
    child.kill()
  }
  if (at === undefined) throw new Error(`vmctl up did not reach the guest: ${text.slice(-500)}`)
  return at
}

const untilGreeted = async (port: number): Promise<number> => {
  const began = performance.now()
  while (!(await greets(port))) {
    if (performance.now() - began > limitMs) throw new Error('the guest does not greet')
    await sleep(100)
  }
  return performance.now()
}

/** QEMU accepts a connection for the guest at once, and closes it when the guest does not. */
const greets = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const end = (isGreeted: boolean): void => {
      socket.destroy()
      resolve(isGreeted)
    }
    // A busy guest may take seconds from accepting to greeting.
    socket.setTimeout(10_000, () => end(false))
    socket.once('data', (chunk) => end(chunk.toString('latin1').startsWith('SSH-')))
    socket.once('error', () => end(false)).once('close', () => end(false))
  })
