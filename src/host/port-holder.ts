import {readdir, readFile, readlink} from 'node:fs/promises'
import {basename, join} from 'node:path'

import {listProcesses, processArguments} from './proc.ts'

/** States of sockets that keep others from a port: a listening TCP socket, a UDP socket without a peer (Linux, tcp_states.h). */
const holding: Readonly<Record<'tcp' | 'udp', string>> = {tcp: '0A', udp: '07'}

/**
 * Who holds a local port, in words: `nginx (process 4711)`. Undefined when it is a process of another user, or none.
 */
export const portHolder = async (protocol: 'tcp' | 'udp', port: number): Promise<string | undefined> => {
  const tables = await Promise.all(['', '6'].map((version) => readFile(`/proc/net/${protocol}${version}`, 'utf8').catch(() => '')))
  const sockets = new Set(tables.flatMap((table) => inodesOf(table, holding[protocol], port)).map((inode) => `socket:[${inode}]`))
  if (sockets.size === 0) return undefined
  for (const pid of await listProcesses()) {
    if (await holdsOneOf(pid, sockets)) return `${basename((await processArguments(pid))[0] ?? '?')} (process ${pid})`
  }
  return undefined
}

/** Inodes of the sockets of a table of /proc/net in that state on that local port (proc_net_tcp in the kernel's documentation). */
const inodesOf = (table: string, state: string, port: number): string[] =>
  table.split('\n').flatMap((line) => {
    const fields = line.trim().split(/\s+/)
    const [local = '', inode] = [fields[1], fields[9]]
    return fields[3] === state && inode !== undefined && Number.parseInt(local.split(':')[1] ?? '', 16) === port ? [inode] : []
  })

const holdsOneOf = async (pid: number, sockets: ReadonlySet<string>): Promise<boolean> => {
  const directory = `/proc/${pid}/fd`
  for (const descriptor of await readdir(directory).catch(() => [])) {
    if (sockets.has(await readlink(join(directory, descriptor)).catch(() => ''))) return true
  }
  return false
}
