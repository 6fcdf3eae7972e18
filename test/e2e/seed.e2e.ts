import {readdirSync, readFileSync, readlinkSync} from 'node:fs'
import {join} from 'node:path'

import {expect} from 'vitest'

import {inline, microVm} from '../support/vm-guests.ts'
import {scenario} from '../support/vm-scenario.ts'

/** The seed after the first boot: without the private host key, and still there for the boots to come. */
const {lab, step} = scenario('seed')

const secret = 'BEGIN OPENSSH PRIVATE KEY'

const openFiles = (pid: number): string[] =>
  readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`)
    } catch {
      return ''
    }
  })

/** What the guest reads from its CD-ROM, and the host key that it uses. */
const ask = async (): Promise<{readonly disc: string; readonly hostKey: string}> => {
  const disc = (await lab.ok('ssh', 'seeded', '--', 'sudo cat /dev/sr0 | strings -n 8')).stdout
  const hostKey = (await lab.ok('ssh', 'seeded', '--', 'cat /etc/ssh/ssh_host_ed25519_key.pub')).stdout
  return {disc, hostKey}
}

let before: {readonly disc: string; readonly hostKey: string}

step('after the first up neither the host nor the running guest can read the private host key from the seed', async () => {
  const block = 'write-file "/etc/written" { content "once\\n"; }; bootcmd "echo >>/var/boots"; runcmd "echo >>/var/runs"'
  lab.vmfile(microVm('seeded', inline('echo up')).replace('hostname "seeded";', `hostname "seeded"; ${block};`))
  await lab.ok('up')
  const directory = lab.directory('seeded')
  expect(readFileSync(join(directory, 'seed.iso'), 'latin1')).not.toContain(secret)
  expect(readdirSync(directory)).not.toContain('seed-spent.iso')
  const {pid} = await lab.status('seeded')
  const seeds = openFiles(pid ?? 0).filter((path) => /\/seed[^/]*\.iso/.test(path))
  expect(seeds).toEqual([join(directory, 'seed.iso')])
  before = await ask()
  expect(before.disc).toContain('instance-id')
  expect(before.disc).not.toContain(secret)
})

step('after the guest reboots, and after a stop and a start, it is the same guest', async () => {
  await lab.vmctl('ssh', 'seeded', '--', 'sudo reboot')
  await lab.ok('down')
  await lab.ok('up')
  expect(await ask()).toEqual(before)
  // What is for the first boot is not done again, what is for every boot is.
  expect(await lab.guest('seeded', 'cat /etc/written; wc -l </var/runs; test $(wc -l </var/boots) -gt 1 && echo again')).toBe(
    'once\n1\nagain',
  )
})
