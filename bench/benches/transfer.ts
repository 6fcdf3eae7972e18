import {randomBytes} from 'node:crypto'
import {mkdir, open, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'

import {inTurn, memory, timesAsFast} from '../lib/measure.ts'
import {missing, run} from '../lib/process.ts'
import type {Row, Skipped} from '../lib/report.ts'
import {type Sshd, startSshd} from '../lib/sshd.ts'
import {work} from '../lib/work.ts'
import {type Workspace, writeVmfile} from '../lib/workspace.ts'

const mib = 2 ** 20
const fileBytes = 256 * mib
const outputBytes = 100_000_000
const goal = {atLeast: 0.9}

/** One large file each way against OpenSSH's sftp. */
export const upload = async (workspace: Workspace): Promise<(Row | Skipped)[]> => {
  const lack = await missing('/usr/sbin/sshd', 'sftp')
  if (lack !== undefined) return [{what: 'one large file', skipped: lack}]
  const sshd = await startSshd(workspace)
  const directory = await workspace.directory('upload', 'memory')
  const [source, destination] = [join(directory, 'source'), join(directory, 'destination')]
  await writeNoise(source)
  const sftp = (verb: 'put' | 'get') => async (): Promise<number> => {
    const {ms} = await run('sftp', [...sshd.options, '-P', String(sshd.port), '-b', '-', host(sshd)], {
      input: `${verb} ${source} ${destination}\n`,
    })
    await rm(destination)
    return ms
  }
  const ours = (task: 'upload' | 'download' | 'file-step') => async (): Promise<number> => {
    const ms = await work(workspace, task, {...login(sshd), source, destination, state: join(directory, 'state')})
    await rm(destination)
    return ms
  }
  const rounds = {count: 3, warmUp: 1}
  const size = `${fileBytes / mib} MiB`
  return [
    timesAsFast({
      what: `a file of ${size} up`,
      referenceName: 'sftp put',
      samples: await inTurn(rounds, ours('upload'), sftp('put')),
      goal,
    }),
    timesAsFast({
      what: `a file of ${size} down`,
      referenceName: 'sftp get',
      samples: await inTurn(rounds, ours('download'), sftp('get')),
      goal,
    }),
    timesAsFast({
      what: `a file of ${size} up, as a provision step`,
      referenceName: 'sftp put',
      samples: await inTurn({count: 2}, ours('file-step'), sftp('put')),
    }),
  ]
}

/** 10,000 small files against `scp -r`. */
export const tree = async (workspace: Workspace): Promise<(Row | Skipped)[]> => {
  const lack = await missing('/usr/sbin/sshd', 'scp', 'tar', 'gzip')
  if (lack !== undefined) return [{what: 'a tree of files', skipped: lack}]
  const sshd = await startSshd(workspace)
  const directory = await workspace.directory('tree', 'memory')
  const [source, destination] = [join(directory, 'source'), join(directory, 'destination')]
  await plantTree(source)
  const measured = (action: () => Promise<number>) => async (): Promise<number> => {
    const ms = await action()
    const {stdout} = await run('sh', ['-c', 'find "$0" -type f -size 4096c | wc -l', destination])
    if (Number(stdout) !== 10_000) throw new Error(`${stdout.trim()} of 10000 files arrived`)
    await rm(destination, {recursive: true})
    return ms
  }
  const scp = measured(
    async () => (await run('scp', ['-r', ...sshd.options, '-P', String(sshd.port), source, `${host(sshd)}:${destination}`])).ms,
  )
  const ours = (task: 'tree' | 'file-step') =>
    measured(() => work(workspace, task, {...login(sshd), source, destination, state: join(directory, 'state')}))
  return [
    timesAsFast({
      what: '10,000 files of 4 KiB up',
      referenceName: 'scp -r',
      samples: await inTurn({count: 3}, ours('tree'), scp),
      goal: {atLeast: 5},
    }),
    timesAsFast({what: 'the same as a provision step', referenceName: 'scp -r', samples: await inTurn({count: 1}, ours('file-step'), scp)}),
  ]
}

/** 100 MB of lines from a step to provision.log and to a terminal that is never slow. */
export const output = async (workspace: Workspace): Promise<(Row | Skipped)[]> => {
  const lack = await missing('/usr/sbin/sshd', 'ssh')
  if (lack !== undefined) return [{what: 'output of a step', skipped: lack}]
  const sshd = await startSshd(workspace)
  const directory = await workspace.directory('output', 'memory')
  const lines = join(directory, 'lines')
  await writeFile(lines, 'The quick brown fox jumps over the lazy dog, as ever. 0123456789\n'.repeat(outputBytes / 65))
  const state = join(directory, 'state')
  const step = {...login(sshd), state, command: `cat ${lines}`}
  const ours = async (): Promise<number> => {
    const ms = await work(workspace, 'shell-step', step)
    await rm(join(state, 'vms/guest/provision.log'))
    return ms
  }
  const cat = async (): Promise<number> =>
    (await run('ssh', [...sshd.options, '-p', String(sshd.port), host(sshd), `cat ${lines}`], {stdout: 'discard'})).ms
  const samples = await inTurn({count: 4, warmUp: 1}, ours, cat)
  return [
    timesAsFast({what: '100 MB of lines from a step', referenceName: 'ssh host cat', samples, goal: {atLeast: 0.8}}),
    memory('its peak memory, vmctl up', await peaks(workspace, sshd, {directory, command: step.command})),
    memory('the same for one line', await peaks(workspace, sshd, {directory, command: 'echo'})),
  ]
}

const peaks = async (workspace: Workspace, sshd: Sshd, {directory, command}: {directory: string; command: string}): Promise<number[]> => {
  const vmfile = await writeVmfile(
    directory,
    `vm "guest" {\n  image "${vmfileDisk(directory)}" format="raw"\n  ssh {\n    user "${sshd.user}"\n    private-key "${sshd.keyPath}"\n  }\n  provision "shell" {\n    inline "${command}"\n  }\n}\n`,
  )
  await writeFile(vmfileDisk(directory), Buffer.alloc(mib))
  const seen: number[] = []
  for (let round = 0; round < 2; round++) {
    const state = join(directory, 'cli-state')
    const env = {VMCTL_BACKEND: 'noop', VMCTL_NOOP_SSH: `127.0.0.1:${sshd.port}`}
    seen.push((await workspace.vmctl(['up', '--file', vmfile, '--state-dir', state], {env, stdout: 'discard'})).peakMiB)
    await rm(state, {recursive: true})
  }
  return seen
}

const vmfileDisk = (directory: string): string => join(directory, 'empty.raw')

const host = (sshd: Sshd): string => `${sshd.user}@127.0.0.1`

const login = ({port, user, keyPath, hostKey}: Sshd) => ({port, user, keyPath, hostKey})

/** Bytes that no compression makes smaller. */
const writeNoise = async (path: string): Promise<void> => {
  const file = await open(path, 'wx', 0o644)
  for (let written = 0; written < fileBytes; written += 16 * mib) await file.write(randomBytes(16 * mib))
  await file.close()
}

const plantTree = async (root: string): Promise<void> => {
  for (let branch = 0; branch < 100; branch++) {
    const directory = join(root, `d${branch}`)
    await mkdir(directory, {recursive: true})
    for (let leaf = 0; leaf < 100; leaf++) {
      const text = Buffer.alloc(4096, `line of file ${branch}/${leaf}\n`)
      await writeFile(join(directory, `f${leaf}.txt`), Buffer.concat([randomBytes(1024), text]).subarray(0, 4096))
    }
  }
}
