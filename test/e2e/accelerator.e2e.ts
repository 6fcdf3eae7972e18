import {execFileSync, spawnSync} from 'node:child_process'

import {expect} from 'vitest'

import {expectFailure, expectSuccess} from '../support/vm-lab.ts'
import {qemusBelow} from '../support/vm-processes.ts'
import {scenario} from '../support/vm-scenario.ts'

/** The accelerator is proven by a run, not by the presence of /dev/kvm. */
const {lab, step} = scenario('accelerator')

const notices = (text: string): string[] => text.split('\n').filter((line) => line.includes('No hardware acceleration'))
const vmfile = (settings: string): string => `vm "cold" { image "empty.qcow2"; memory 64; ${settings} }\n`

step('an accelerator that cannot run a guest is an error when it is asked for, and nothing is made', async () => {
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', `${lab.project}/empty.qcow2`, '16M'])
  lab.vmfile(vmfile(''))
  // No x86 Linux has hvf; whether there is KVM depends on the host.
  const outcome = await lab.run(['up'], {env: {VMCTL_ACCEL: 'hvf'}})
  expectFailure(outcome, 4, 'vmctl::qemu::accelerator_unavailable')
  expect(outcome.stderr).toContain('hvf does not work here')
  expect(await lab.json('list')).toEqual({vms: []})
})

step('VMCTL_ACCEL and the qemu block decide, the variable first', async () => {
  lab.vmfile(vmfile('qemu { accel "hvf"; };'))
  expectFailure(await lab.vmctl('up'), 4, 'vmctl::qemu::accelerator_unavailable')
  expectSuccess(await lab.run(['up'], {env: {VMCTL_ACCEL: 'tcg'}}))
  expect((await lab.status('cold')).accelerator).toBe('tcg')
  expect(qemusBelow(lab.root)[0]?.args.join(' ')).toContain('-accel tcg')
  await lab.ok('down', '--destroy')
})

step('by default KVM is used where it works, and TCG with one notice where it does not', async () => {
  lab.vmfile(vmfile(''))
  const outcome = await lab.ok('up')
  const {accelerator} = await lab.status('cold')
  const usable = kvmWorks()
  expect(accelerator).toBe(usable ? 'kvm' : 'tcg')
  expect(notices(outcome.stderr)).toHaveLength(usable ? 0 : 1)
  const forced = await lab.run(
    ['up', '--file', lab.write('other/VMFile.kdl', `vm "other" { image "${lab.project}/empty.qcow2"; memory 64; }\n`)],
    {env: {VMCTL_ACCEL: 'kvm'}},
  )
  if (usable) expectSuccess(forced)
  else expectFailure(forced, 4, 'vmctl::qemu::accelerator_unavailable')
})

step('doctor says the same', async () => {
  const {stdout, stderr} = await lab.vmctl('doctor')
  expect(`${stdout}${stderr}`).toMatch(kvmWorks() ? /^ok +kvm/m : /^warn +kvm +no guest can be run with it/m)
})

/** An opinion of its own: the guest of two instructions halts QEMU through the debug port, or it does not. */
const kvmWorks = (): boolean => {
  // mov al, 0x10; out 0xf4, al; hlt: at the reset vector of a 64 KiB BIOS.
  const bios = Buffer.alloc(65_536, 0xf4)
  Buffer.from([0xb0, 0x10, 0xe6, 0xf4, 0xf4]).copy(bios, 65_520)
  const path = lab.write('bios.bin', bios)
  const result = spawnSync(
    'qemu-system-x86_64',
    [
      '-nodefaults',
      '-display',
      'none',
      '-machine',
      'pc,accel=kvm',
      '-cpu',
      'host',
      '-bios',
      path,
      '-device',
      'isa-debug-exit,iobase=0xf4,iosize=4',
    ],
    {timeout: 5000},
  )
  return result.status === 0x21
}
