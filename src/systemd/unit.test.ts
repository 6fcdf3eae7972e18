import {spawnSync} from 'node:child_process'
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {describe, expect, test} from 'vitest'

import {missingProgram, testUnless} from '../../test/support/programs.ts'
import {unitName, type UnitSettings, unitText, vmfileOfUnit} from './unit.ts'

const settings: UnitSettings = {
  vmfile: '/srv/shop/VMFile.kdl',
  project: 'shop',
  command: ['/usr/bin/node', '/usr/lib/vmctl/bin/run.js'],
  environment: {PATH: '/usr/bin:/bin'},
  stopSeconds: 150,
}

test('names tell projects and directories apart', () => {
  expect(unitName(settings)).toBe('vmctl-shop.service')
  const names = ['/a/x/VMFile.kdl', '/b/x/VMFile.kdl', '/b/x y/VMFile.kdl'].map((vmfile) => unitName({vmfile}))
  expect(names[0]).toMatch(/^vmctl-x-[0-9a-f]{8}\.service$/)
  expect(names[2]).toMatch(/^vmctl-x-y-[0-9a-f]{8}\.service$/)
  expect(new Set(names).size).toBe(3)
})

test('a unit of a user', () => {
  expect(unitText(settings)).toBe(`[Unit]
Description=VMs of shop (vmctl)

[Service]
Type=oneshot
RemainAfterExit=yes
WorkingDirectory=/srv/shop
Environment="PATH=/usr/bin:/bin"
ExecStart=/usr/bin/node /usr/lib/vmctl/bin/run.js up --autostart --file /srv/shop/VMFile.kdl
ExecStop=/usr/bin/node /usr/lib/vmctl/bin/run.js down --file /srv/shop/VMFile.kdl
TimeoutStartSec=infinity
TimeoutStopSec=150
KillMode=process

[Install]
WantedBy=default.target
`)
})

test.each([
  '/srv/shop/VMFile.kdl',
  '/srv/a b/VMFile.kdl',
  '/srv/100%/$HOME/VMFile.kdl',
  String.raw`/srv/dir %h $HOME "q" \x 'é' $$/VM File.kdl`,
])('the VMFile of a unit is known again: %s', (vmfile) => {
  expect(vmfileOfUnit(unitText({...settings, vmfile}))).toBe(vmfile)
})

test('a unit of anybody else has none', () => {
  expect(vmfileOfUnit('[Service]\nExecStart=/usr/bin/other up --file /srv/shop/VMFile.kdl\n')).toBeUndefined()
})

test('nothing ever destroys', () => {
  expect(unitText({...settings, system: {user: 'alice'}})).not.toContain('destroy')
})

describe('systemd accepts', () => {
  const lacking = missingProgram('systemd-analyze')
  const odd = String.raw`dir %h $HOME "q" \x 'é'`
  testUnless(lacking)('paths of any kind, of users and of the system', () => {
    const directory = mkdtempSync(join(tmpdir(), 'vmctl-unit-'))
    try {
      mkdirSync(join(directory, odd))
      const program = join(directory, odd, 'run.js')
      writeFileSync(program, '#!/bin/sh\n', {mode: 0o755})
      const vmfile = join(directory, odd, 'VMFile.kdl')
      for (const system of [undefined, {user: 'root'}]) {
        const path = join(directory, 'vmctl-test.service')
        writeFileSync(path, unitText({...settings, vmfile, command: [process.execPath, program], ...(system && {system})}))
        const {status, stdout, stderr} = spawnSync('systemd-analyze', ['verify', '--man=no', ...(system ? [] : ['--user']), path], {
          encoding: 'utf8',
          env: {...process.env, XDG_RUNTIME_DIR: directory},
        })
        const about = `${stdout}${stderr}`.split('\n').filter((line) => line.includes('vmctl-test'))
        expect(about).toEqual([])
        expect(status).toBe(0)
      }
    } finally {
      rmSync(directory, {recursive: true, force: true})
    }
  })
})
