import {expect} from 'vitest'

import {inline, microVm} from '../support/vm-guests.ts'
import {expectFailure} from '../support/vm-lab.ts'
import {scenario} from '../support/vm-scenario.ts'

/** What goes wrong in the guest while it is provisioned: its disk is full, its kernel panics. One VM for all. */
const {lab, step, check} = scenario('guest-faults')

const project = (...steps: readonly string[]): void => {
  lab.vmfile(microVm('box', steps.join('\n')))
}
/** Takes all that is left of the disk, to the last block. */
const fill = (name: string): string =>
  `fallocate -l $(($(df -k / | tail -n 1 | tr -s " " | cut -d " " -f 4) - 64))k /fill-${name} 2>/dev/null; dd if=/dev/zero of=/rest-${name} bs=4k 2>/dev/null; sync`
const privileged = 'privileged #true'
const states = async (): Promise<string[]> => (await lab.status('box')).provision.map(({state}) => state)

const first = inline('echo first >>~/ran; sync')
const last = inline('echo last >>~/ran; sync')

step('a step that fills the disk and fails is a failed step, with its own exit code', async () => {
  project(first, inline(`${fill('step')}; exit 17`, privileged), last)
  const {stderr} = expectFailure(await lab.vmctl('up'), 6, 'vmctl::provision::failed')
  expect(stderr).toContain('ended with exit code 17')
  expect(await states()).toEqual(['done', 'failed', 'pending'])
})

step('on a full disk no step is called done, and the disk is named', async () => {
  // What the step itself had needed is free again.
  await lab.guest('box', `sudo sh -c '${fill('again')}'`)
  const {stderr} = expectFailure(await lab.vmctl('provision', '--from', '3'), 6, 'vmctl::provision::failed')
  expect(stderr).toContain('is its disk full?')
  expect((await states())[2]).not.toBe('done')
  expect(await lab.guest('box', 'cat ran')).toBe('first')
})

check('a file that finds no room is a failed step, and nothing of it stays', async () => {
  lab.write('large.bin', Buffer.alloc(2 ** 20, 'x'))
  project(first, '    provision "file" { source "large.bin"; destination "/home/dev/large.bin"; }', last)
  const {stderr} = expectFailure(await lab.vmctl('up'), 6, 'vmctl::guest::copy_failed')
  expect(stderr).toMatch(/large\.bin.*(?:No space left|no room|full)/is)
  expect(await states()).toEqual(['done', 'failed', 'pending'])
  expect(await lab.guest('box', 'ls -A')).not.toMatch(/large|vmctl/)
})

step('once there is room again, up goes on where it was', async () => {
  await lab.guest('box', 'sudo rm -f /fill-* /rest-*')
  await lab.ok('up')
  expect(await states()).toEqual(['done', 'done', 'done'])
  expect(await lab.guest('box', 'cat ran; stat -c %s large.bin')).toBe('first\nlast\n1048576')
})

step(
  'a step under which the kernel panics has an unknown end, and does not run again unasked',
  async () => {
    const panic = inline('echo panicking >>~/ran; sync; echo 1 >/proc/sys/kernel/panic; echo c >/proc/sysrq-trigger; sleep 60')
    project(first, panic.replace('provision "shell" {', `provision "shell" { ${privileged};`), last)
    const {stderr} = expectFailure(await lab.vmctl('up'), 6, 'vmctl::provision::unknown_outcome')
    expect(stderr).toContain('the guest has restarted while it ran. Its console says: Kernel panic - not syncing: sysrq triggered crash')
    expect((await states())[1]).toBe('unknown')
    expectFailure(await lab.vmctl('up'), 6, 'vmctl::provision::unknown_outcome')
    expect(await lab.guest('box', 'sudo grep -c panicking /root/ran ran | cut -d: -f2 | sort -n | tail -n 1')).toBe('1')
  },
  300_000,
)

step('the user decides, and up goes on', async () => {
  project(first, inline('echo harmless >>~/ran; sync'), last)
  expectFailure(await lab.vmctl('up'), 6, 'vmctl::provision::unknown_outcome')
  await lab.ok('provision', '--rerun', '2')
  expect(await states()).toEqual(['done', 'done', 'done'])
})

step(
  'a kernel that panics and hangs is noticed, status names it, and up starts the guest anew',
  async () => {
    const hang = 'sync; echo 0 >/proc/sys/kernel/panic; echo c >/proc/sysrq-trigger; sleep 1000'
    project(first, inline('echo harmless >>~/ran; sync'), inline(hang, privileged))
    const {stderr} = expectFailure(await lab.vmctl('up'), 7, 'vmctl::ssh::unreachable')
    expect(stderr).toContain("the guest's kernel panicked (sysrq triggered crash)")
    expect(await lab.status('box')).toMatchObject({state: 'failed', crash: "the guest's kernel panicked (sysrq triggered crash)"})
    const again = expectFailure(await lab.vmctl('up'), 6, 'vmctl::provision::unknown_outcome')
    expect(again.stderr).toContain('will stop (the guest has crashed)')
    expect((await lab.status('box')).state).toBe('running')
  },
  300_000,
)
