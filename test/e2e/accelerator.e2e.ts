import {spawnSync} from 'node:child_process'
import {readFileSync} from 'node:fs'

import {expect} from 'vitest'

import {microVm} from '../support/vm-guests.ts'
import {expectFailure, expectSuccess} from '../support/vm-lab.ts'
import {qemusBelow} from '../support/vm-processes.ts'
import {scenario} from '../support/vm-scenario.ts'
import {makeDisk} from '../support/vmctl-process.ts'

/** The accelerator is proven by a run, not by the presence of /dev/kvm. */
const {lab, step} = scenario('accelerator')

const notices = (text: string): string[] => text.split('\n').filter((line) => line.includes('No hardware acceleration'))
const vmfile = (settings: string): string => `vm "cold" { image "empty.qcow2"; memory 64; ${settings} }\n`

step('an accelerator that cannot run a guest is an error when it is asked for, and nothing is made', async () => {
  makeDisk(`${lab.project}/empty.qcow2`, '16M')
  lab.vmfile(vmfile(''))
  // No x86 Linux has hvf; whether there is KVM depends on the host.
  const outcome = await lab.run(['up'], {env: {VMCTL_ACCEL: 'hvf'}})
  expectFailure(outcome, 4, 'vmctl::qemu::accelerator_unavailable')
  expect(outcome.stderr).toContain('HVF does not work here')
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

step('by default KVM is used where it works and is fast, and TCG with one notice where not', async () => {
  lab.vmfile(vmfile(''))
  const outcome = await lab.ok('up')
  const {accelerator} = await lab.status('cold')
  const kvm = kvmHere()
  expect(accelerator).toBe(kvm === 'fast' ? 'kvm' : 'tcg')
  expect(notices(outcome.stderr)).toHaveLength(kvm === 'fast' ? 0 : 1)
  const forced = await lab.run(
    ['up', '--file', lab.write('other/VMFile.kdl', `vm "other" { image "${lab.project}/empty.qcow2"; memory 64; }\n`)],
    {env: {VMCTL_ACCEL: 'kvm'}},
  )
  if (kvm === 'absent') expectFailure(forced, 4, 'vmctl::qemu::accelerator_unavailable')
  else expectSuccess(forced)
  expect(forced.stderr.includes('times slower than TCG')).toBe(kvm === 'slow')
})

step('doctor says the same', async () => {
  const {stdout, stderr} = await lab.vmctl('doctor')
  const sentence = {
    fast: /^ok +kvm +KVM works here, \d+(?:\.\d)? times as fast as TCG/m,
    slow: /^warn +kvm +KVM works here, but is (?:more than )?\d+(?:\.\d)? times slower than TCG/m,
    absent: /^warn +kvm +KVM does not work here \(/m,
  }
  expect(`${stdout}${stderr}`).toMatch(sentence[kvmHere()])
})

step('an accelerator that crawls loses: the VM runs under the other one, told in one line, and the next start asks nobody', async () => {
  const binary = lab.write(
    'qemu-crawling',
    `#!/bin/sh\ncase "$*" in *"-accel hvf"*) echo race >>${lab.root}/races; while :; do :; done ;; esac\nexec qemu-system-x86_64 "$@"\n`,
    0o755,
  )
  lab.vmfile(vmfile(`qemu { binary "${binary}"; accel "hvf" "tcg"; };`))
  await lab.ok('destroy', 'cold')
  const first = await lab.ok('up')
  expect(notices(first.stderr)).toEqual([expect.stringMatching(/HVF works here, but is more than [\d.]+ times slower than TCG/)])
  expect((await lab.status('cold')).accelerator).toBe('tcg')
  await lab.ok('down', '--destroy')
  await lab.ok('up')
  expect(readFileSync(`${lab.root}/races`, 'utf8')).toBe('race\n')
  await lab.ok('down', '--destroy')
})

step(
  'a guest that does not begin to boot under an accelerator is started once more under the next, and the verdict is corrected',
  async () => {
    // Wins the race, and shows nothing of any other guest: a processor that jumps to where it is.
    const spin = Buffer.alloc(65_536, 0xf4)
    Buffer.from([0xeb, 0xfe]).copy(spin, 65_520)
    const bios = lab.write('spin.bin', spin)
    const binary = lab.write(
      'qemu-hopeless',
      [
        '#!/bin/sh',
        'case "$*" in',
        `*"-accel hvf"*isa-debug-exit*) echo race >>${lab.root}/hopeless; printf B................; exit 99 ;;`,
        '*"-accel hvf"*) for word; do shift; [ "$word" = hvf ] && word=tcg; set -- "$@" "$word"; done',
        `  exec qemu-system-x86_64 "$@" -bios ${bios} ;;`,
        'esac',
        'exec qemu-system-x86_64 "$@"',
        '',
      ].join('\n'),
      0o755,
    )
    lab.vmfile(microVm('cold', `qemu { binary "${binary}"; accel "hvf" "tcg"; };`))
    const outcome = await lab.ok('up')
    expect(notices(outcome.stderr)).toEqual([
      expect.stringMatching(
        /HVF does not work here \(a guest did not begin to boot under it: no byte on the console and no disk read in \d+ s; its process (?:uses all of one CPU|is busy all the time)\)/,
      ),
    ])
    expect((await lab.status('cold')).accelerator).toBe('tcg')
    expect(await lab.guest('cold', 'hostname')).toBe('cold')
    await lab.ok('down', '--destroy')
    expect(notices((await lab.ok('up')).stderr)).toHaveLength(1)
    expect(readFileSync(`${lab.root}/hopeless`, 'utf8')).toBe('race\n')
    await lab.ok('down', '--destroy')
  },
)

/**
 * An opinion of its own: a guest of two instructions ends QEMU through the debug port, or does not; and a KVM without the
 * processor's help is slow.
 */
const kvmHere = (): 'fast' | 'slow' | 'absent' => {
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
  if (result.status !== 0x21) return 'absent'
  return /\b(?:vmx|svm)\b/.test(readFileSync('/proc/cpuinfo', 'utf8')) ? 'fast' : 'slow'
}
