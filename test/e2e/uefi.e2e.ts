import {existsSync, statSync} from 'node:fs'
import {join} from 'node:path'

import {expect} from 'vitest'

import {inline, microVm} from '../support/vm-guests.ts'
import {expectFailure} from '../support/vm-lab.ts'
import {scenario} from '../support/vm-scenario.ts'

/** UEFI: firmware and variables that belong together, the variables kept with the VM. */
const {lab, step} = scenario('uefi', {missing: existsSync('/usr/share/qemu/firmware') ? undefined : 'ovmf not installed'})

// GRUB needs the memory.
const roomy = {memory: 384}

step('a firmware file that is not there is an error, not a fall-back to BIOS', async () => {
  lab.vmfile(microVm('efi', '    firmware "uefi" { code "nowhere.fd"; vars "nowhere-either.fd"; }'))
  const outcome = await lab.vmctl('up')
  expect(outcome.exitCode).not.toBe(0)
  expect(outcome.stderr).toContain('nowhere.fd')
  expect(await lab.json('list')).toEqual({vms: []})
})

step('a guest boots by UEFI and keeps its variables over a restart', async () => {
  lab.vmfile(microVm('efi', `    firmware "uefi"\n${inline('test -d /sys/firmware/efi && echo booted by UEFI')}`, roomy))
  expect((await lab.ok('up')).stdout).toContain('booted by UEFI\n')
  const variables = join(lab.directory('efi'), 'efivars.fd')
  const {ino, mode} = statSync(variables)
  expect(mode & 0o777).toBe(0o600)
  await lab.ok('down')
  expect((await lab.ok('up')).stdout).toContain('booted by UEFI\n')
  expect(statSync(variables).ino).toBe(ino)
})

step('going back to BIOS needs a restart and is told so', async () => {
  lab.vmfile(microVm('efi', inline('! test -d /sys/firmware/efi && echo booted by BIOS'), roomy))
  const outcome = await lab.vmctl('up')
  expect(outcome.stderr).toMatch(/needs a restart .*firmware uefi → bios/)
  // The changed step runs on the VM as it is, which still is UEFI.
  expectFailure(outcome, 6, 'vmctl::provision::failed')
  await lab.ok('down')
  expect((await lab.ok('up')).stdout).toContain('booted by BIOS\n')
})
