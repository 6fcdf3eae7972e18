/** One piece of work with the library, in a process of its own: worker.ts TASK REPORT OPTIONS. Writes the milliseconds into the file REPORT. */
import {mkdir, writeFile} from 'node:fs/promises'
import {dirname, join} from 'node:path'

import {openProgress} from '../src/cli/progress.ts'
import {asGuest} from '../src/engine/reach/session.ts'
import {sshCandidates} from '../src/guest/ssh/candidates.ts'
import {connectTcp} from '../src/host/sockets.ts'
import * as library from '../src/index.ts'
import {uploadTree} from '../src/provision/tree/tree-upload.ts'

export type Task = 'upload' | 'download' | 'tree' | 'file-step' | 'shell-step' | 'image'

/** What a task needs; each takes what it understands. */
export interface TaskOptions {
  readonly port?: number
  readonly user?: string
  readonly keyPath?: string
  readonly hostKey?: string
  readonly source?: string
  readonly destination?: string
  readonly command?: string
  readonly state?: string
}

const [task = '', report = '', json = '{}'] = process.argv.slice(2)
const {
  port = 0,
  user = '',
  keyPath = '',
  hostKey = '',
  source = '',
  destination = '',
  command = '',
  state = '',
} = JSON.parse(json) as TaskOptions

/** A connection made as vmctl makes it. The modules that it needs are loaded before the clock starts. */
const connect = async (): Promise<library.GuestConnection> => {
  const stream = await connectTcp('127.0.0.1', port, new AbortController().signal)
  const auth = await sshCandidates({explicit: keyPath})
  return library.connect({stream, user, auth, verifyHostKey: (key) => key.toString('base64') === hostKey.split(' ')[1]})
}

const connected = async (action: (guest: library.GuestConnection) => Promise<void>): Promise<number> => {
  await import('ssh2')
  const began = performance.now()
  const guest = await connect()
  await action(guest)
  guest.close()
  return performance.now() - began
}

/** `vmctl provision` with one step on a VM of the noop backend whose guest is the sshd, as the command does it, terminal included. */
const provisioned = async (step: string): Promise<number> => {
  await mkdir(state, {recursive: true, mode: 0o700})
  const disk = join(dirname(state), 'empty.raw')
  await writeFile(disk, Buffer.alloc(2 ** 20))
  const progress = openProgress({json: false})
  const env = {...process.env, VMCTL_NOOP_SSH: `127.0.0.1:${port}`}
  const engine = await library.openEngine({stateDirectory: state, backend: 'noop', env, onEvent: (event) => progress.show(event)})
  const path = join(dirname(state), `${task}.kdl`)
  const define = async (steps: string): Promise<library.Vmfile> => {
    await writeFile(
      path,
      `vm "guest" {\n  image "${disk}" format="raw"\n  ssh {\n    user "${user}"\n    private-key "${keyPath}"\n  }\n${steps}}\n`,
    )
    return library.parse(engine, path)
  }
  await library.converge(engine, {vmfile: await define(''), verb: 'up', provision: true})
  const vmfile = await define(step)
  const began = performance.now()
  await library.converge(engine, {vmfile, verb: 'provision', provision: true})
  const ms = performance.now() - began
  await progress.close()
  return ms
}

const cached = async (): Promise<number> => {
  const engine = await library.openEngine({stateDirectory: state})
  const began = performance.now()
  await library.ensureImage(engine.images, {kind: 'file', source, format: 'raw'}, {signal: engine.signal})
  return performance.now() - began
}

const tasks: Readonly<Record<Task, () => Promise<number>>> = {
  upload: () => connected((guest) => library.upload(guest, source, destination)),
  download: () => connected((guest) => library.download(guest, source, destination)),
  tree: () => connected(async (guest) => void (await uploadTree(asGuest(guest), {source, destination}))),
  'file-step': () => provisioned(`  provision "file" {\n    source "${source}"\n    destination "${destination}"\n  }\n`),
  'shell-step': () => provisioned(`  provision "shell" {\n    inline "${command}"\n  }\n`),
  image: cached,
}

await writeFile(report, String(await tasks[task as Task]()))
