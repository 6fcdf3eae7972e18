import {expect, test} from 'vitest'

import {bootSigns, emptyBootLog, readBoot} from './boot-signs.ts'

const firmware = '\u001Bc\u001B[?7l\u001B[2J\u001B[0mSeaBIOS (version 1.16.2-debian-1.16.2-1)\r\nBooting from Hard Disk...\r\n'
const loader = 'GRUB loading..\r\n\u001B[0;30;47mWelcome to GRUB!\r\n\r\n'
const kernel = '[    0.000000] Linux version 6.1.0-57-amd64 (debian-kernel@lists.debian.org)\r\n[    0.000000] Command line: quiet\r\n'
const system = 'Welcome to Debian GNU/Linux 12!\r\n[  OK  ] Reached target basic\r\nnode login: '

test('the stages of a boot are read off its console, in pieces of any length', () => {
  const text = firmware + loader + kernel + system
  for (const size of [1, 7, 64, text.length]) {
    let log = emptyBootLog
    const stages = new Set<string>()
    for (let at = 0; at < text.length; at += size) {
      log = readBoot(log, text.slice(at, at + size))
      const {stage} = bootSigns(log)
      if (stage) stages.add(stage)
    }
    expect(bootSigns(log)).toMatchObject({stage: 'system', restarts: 0, lastLine: 'node login:'})
    if (size < 64) expect([...stages]).toEqual(['firmware', 'boot loader', 'kernel', 'system'])
  }
})

const signsOf = (...texts: readonly string[]) => bootSigns(texts.reduce(readBoot, emptyBootLog))

test('a guest that begins again is counted, wherever it was', () => {
  expect(signsOf((firmware + loader).repeat(4))).toMatchObject({stage: 'boot loader', restarts: 3})
  expect(signsOf(firmware.repeat(3))).toMatchObject({stage: 'firmware', restarts: 2})
  const uefi = 'BdsDxe: loading Boot0001 "UEFI Misc Device"\r\nBdsDxe: starting Boot0001\r\n'
  expect(signsOf(uefi + kernel + uefi)).toMatchObject({stage: 'firmware', restarts: 1})
  expect(signsOf(kernel + system + firmware)).toMatchObject({stage: 'firmware', restarts: 1})
})

test('a firmware that finds nothing to boot is understood, until something else is said', () => {
  const failed = `${firmware}Boot failed: not a bootable disk\r\n\r\nNo bootable device.\r\n`
  expect(signsOf(failed)).toMatchObject({stage: 'firmware', nothingToBoot: 'No bootable device.'})
  expect(signsOf(failed, 'GRUB loading..\n')).not.toHaveProperty('nothingToBoot')
  expect(signsOf('error: no such partition.\r\ngrub rescue> ')).toMatchObject({nothingToBoot: 'grub rescue>'})
})

test('words of a guest that are no sign leave the stage as it is', () => {
  expect(signsOf('hello\n')).toEqual({restarts: 0, lastLine: 'hello'})
  expect(signsOf('')).toEqual({restarts: 0, lastLine: ''})
  expect(signsOf(system, '\n\u001B[31mGRUB is what I talk about\n')).toMatchObject({
    stage: 'system',
    restarts: 0,
    lastLine: 'GRUB is what I talk about',
  })
})
