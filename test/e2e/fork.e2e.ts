import {existsSync, readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, inject} from 'vitest'

import {eventually} from '../support/vm-guests.ts'
import {expectSuccess, vmctlProgram} from '../support/vm-lab.ts'
import {qemusBelow} from '../support/vm-processes.ts'
import {scenario} from '../support/vm-scenario.ts'

/** VMs that begin where others are: a stack of guests that run, forked twice at once, and a clone of one of them. */
const {lab, step} = scenario('fork')

const [db, web] = ['shop.db', 'shop.web']
const hostKey = (name: string): Promise<string> => lab.guest(name, 'cut -d" " -f2 /etc/ssh/ssh_host_ed25519_key.pub')
const machineId = (name: string): Promise<string> => lab.guest(name, 'cat /etc/machine-id')
const bootId = (name: string): Promise<string> => lab.guest(name, 'cat /proc/sys/kernel/random/boot_id')
const forks = (): readonly string[] => readdirSync(join(lab.stateDirectory, 'forks'))
const script = (text: string): readonly string[] => [
  'sh',
  '-ec',
  `vmctl() { ${JSON.stringify(process.execPath)} ${JSON.stringify(vmctlProgram)} "$@"; }; ${text}`,
]
/** What a guest of a fork says of itself, and that it reaches the other by name. */
const look = (mark: string): string =>
  `vmctl exec db -- sh -c 'echo ${mark} | sudo tee /srv/data/mark /run/answer >/dev/null; sudo sh -c "while :; do nc -l -p 5000 </run/answer; done >/dev/null 2>&1 </dev/null &"'
for vm in db web; do vmctl exec $vm -- sh -c 'cat /etc/machine-id /proc/sys/kernel/random/boot_id; cut -d" " -f2 /etc/ssh/ssh_host_ed25519_key.pub'; done
vmctl exec web -- sh -c 'n=0; until nc -w 5 db 5000 </dev/null | grep .; do n=$((n+1)); [ $n -lt 20 ]; sleep 1; done'
echo "$VMCTL_WEB_8080"`

let before: readonly string[]

step('a stack of two with a volume, a fixed port and a process that counts in memory', async () => {
  const block = (name: string, body: string): string =>
    `vm "${name}" { image ${JSON.stringify(inject('micro'))}; memory 192; ssh { user "dev"; }; cloud-init {}; ${body} }`
  lab.vmfile(
    [
      'project "shop"',
      'network "default"',
      'volume "data" { size "64M"; }',
      block('db', 'volume "data" target="/srv/data";'),
      block('web', 'port guest=8080;'),
    ].join('\n'),
  )
  await lab.ok('up')
  for (const name of [db, web]) await lab.guest(name, `echo ${name} | sudo tee /etc/machine-id >/dev/null; sync`)
  await lab.guest(db, 'echo original | sudo tee /srv/data/mark /run/answer >/dev/null')
  before = await Promise.all([hostKey(db), hostKey(web), bootId(db), bootId(web)])
})

step('two forks side by side go on from memory as other guests, each with its own db; the stack notices nothing', async () => {
  const run = async (mark: string) => {
    const {stdout, exitCode, stderr} = await lab.run(['try', '--', ...script(`${look(mark)}; exit 7`)])
    expect([exitCode, stderr]).toEqual([7, expect.stringMatching(/fork [0-9a-f]{6} of shop\.db, shop\.web: ready after [^,]*$/m)])
    const [dbId = '', dbBoot, dbKey = '', webId = '', webBoot, webKey = '', answer, port = ''] = stdout.trimEnd().split('\n')
    expect([dbBoot, webBoot], 'they have not booted').toEqual(before.slice(2))
    expect(answer).toBe(mark)
    return [dbId, dbKey, webId, webKey, port]
  }
  // The layers of one moment are made under the locks of the VMs, so the second waits for the first one's.
  const [one, other] = await Promise.all([run('one'), run('other')])
  const own = [await machineId(db), before[0], await machineId(web), before[1]]
  expect(own.filter((_, index) => index % 2 === 0)).toEqual([db, web])
  const all = [...one, ...other, ...own, ...((await lab.status(web)).ports ?? []).map(({host}) => `127.0.0.1:${host}`)]
  expect(new Set(all).size, all.join('\n')).toBe(all.length)
  expect(await lab.guest(db, 'cat /srv/data/mark /run/answer')).toBe('original\noriginal')
  expect(await Promise.all([hostKey(db), hostKey(web), bootId(db), bootId(web)])).toEqual(before)
  expect(forks()).toEqual([])
  expect(qemusBelow(lab.root)).toHaveLength(2)
})

step(
  'one that is killed is listed, and removed by the next; one that is kept is what it is after a restart too',
  async () => {
    const mark = join(lab.root, 'ready')
    const running = lab.start(['try', db, '--', 'sh', '-c', `echo $$ >${mark}; exec sleep 600`])
    const pid = await eventually(
      () => {
        const text = existsSync(mark) ? readFileSync(mark, 'utf8') : ''
        expect(text).toMatch(/^\d+\n$/)
        return Number(text)
      },
      {timeoutMs: 120_000},
    )
    running.kill('SIGKILL')
    // It has the output open.
    process.kill(pid)
    await running.outcome
    const [left = ''] = forks()
    expect((await lab.ok('ps')).stderr).toContain(`The fork ${left} of shop.db was left`)
    const kept = await lab.run(['try', db, '--keep', '--', ...script('vmctl exec db -- sudo cat /srv/data/mark')]).then(expectSuccess)
    expect(kept.stdout).toBe('original\n')
    const [fork = '', ...others] = forks()
    expect([others, fork === left]).toEqual([[], false])
    // The host key that it was given while it ran is the one that its seed brings.
    const there = ['--state-dir', join(lab.stateDirectory, 'forks', fork)]
    await lab.ok('restart', db, ...there)
    expect((await lab.ok('exec', ...there, db, '--', 'cat', '/srv/data/mark')).stdout).toBe('original\n')
    await lab.ok('try', '--remove', fork)
    expect(forks()).toEqual([])
  },
  400_000,
)

step('a clone of a guest that runs is another guest, and goes its own way', async () => {
  await lab.guest(db, 'echo cloned | sudo tee /srv/data/mark >/dev/null')
  expect((await lab.ok('clone', db, 'db2', '--start')).stdout).toMatch(/^db2: cloned from shop\.db, which was paused for \d+ ms; started$/m)
  expect(await lab.guest('db2', 'hostname; cat /srv/data/mark')).toBe('db2\ncloned')
  expect(await machineId('db2')).toMatch(/^[0-9a-f]{32}$/)
  expect(await hostKey('db2')).not.toBe(before[0])
  await lab.guest(db, 'echo later | sudo tee /srv/data/mark >/dev/null')
  expect((await lab.ok('down', '--destroy', '--yes')).stdout).not.toContain('db2')
  expect(await lab.guest('db2', 'cat /srv/data/mark')).toBe('cloned')
  await lab.ok('destroy', 'db2', '--yes')
})
