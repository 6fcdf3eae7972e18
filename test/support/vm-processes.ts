import {readdirSync, readFileSync, readlinkSync} from 'node:fs'
import {basename} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

export interface Qemu {
  readonly pid: number
  /** UUID of its VM. */
  readonly id: string
  readonly args: readonly string[]
}

export const argumentsOf = (pid: number): string[] => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1)
  } catch {
    return []
  }
}

export const directoryOf = (pid: number): string => {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return ''
  }
}

export const processes = (): number[] =>
  readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)

/** Every live QEMU that works in a directory below `root`: a VM's QEMU works in the VM's directory. */
export const qemusBelow = (root: string): Qemu[] =>
  processes().flatMap((pid) => {
    const args = argumentsOf(pid)
    if (!basename(args[0] ?? '').startsWith('qemu-system') || !directoryOf(pid).startsWith(`${root}/`)) return []
    return [{pid, id: args[args.indexOf('-uuid') + 1] ?? '', args}]
  })

export const isAlive = (pid: number): boolean => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))
  } catch {
    return false
  }
}

/** Kills what a test has left running: processes that work below its root or name it. The root has a random name, so nobody else's do. */
export const stopAll = async (root: string): Promise<void> => {
  const mine = (): number[] =>
    processes().filter((pid) => {
      if (pid === process.pid || !isAlive(pid)) return false
      const directory = directoryOf(pid)
      return directory === root || directory.startsWith(`${root}/`) || argumentsOf(pid).some((argument) => argument.includes(root))
    })
  for (let attempt = 0; attempt < 100; attempt++) {
    const left = mine()
    if (left.length === 0) return
    for (const pid of left) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended by itself.
      }
    }
    await sleep(50)
  }
  throw new Error(`Processes of ${root} survive SIGKILL: ${mine().join(', ')}`)
}
