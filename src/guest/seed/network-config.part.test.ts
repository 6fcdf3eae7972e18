import {spawnSync} from 'node:child_process'
import {readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {missingProgram, testUnless} from '../../../test/support/programs.ts'
import type {Nic} from '../../model/vm.ts'
import {networkConfig} from './network-config.ts'

const mesh: Nic = {
  network: 'shop.default',
  mac: '56:4d:0a:0a:00:02',
  ip: '10.10.0.2',
  prefix: 24,
  dhcp: false,
  link: {kind: 'socket', name: 'mesh.sock'},
}
const bridge: Nic = {
  network: 'shop.front',
  mac: '56:4d:ac:10:00:02',
  ip: '172.16.0.2',
  prefix: 24,
  dhcp: true,
  link: {kind: 'bridge', bridge: 'vmbr-0'},
}

/** What each renderer of cloud-init is to make of it: the static address, and DHCP on the two others. */
const renderers = [
  ['netplan', 'debian', /^\s+- 10\.10\.0\.2\/24$/m, /dhcp4: true/g],
  ['networkd', 'debian', /^Address=10\.10\.0\.2\/24$/m, /DHCP=ipv4/g],
  ['eni', 'debian', /^\s+address 10\.10\.0\.2\/24$/m, /inet dhcp/g],
  ['sysconfig', 'centos', /^IPADDR=10\.10\.0\.2$/m, /BOOTPROTO=dhcp/g],
  ['network-manager', 'centos', /^address1=10\.10\.0\.2\/24$/m, /method=auto/g],
] as const

testUnless(missingProgram('cloud-init'))(
  'every renderer of cloud-init understands it, and finds the interfaces by their MAC addresses',
  () => {
    const directory = temporaryDirectory()
    const path = join(directory, 'network-config')
    writeFileSync(path, networkConfig({management: '52:54:00:12:34:56', nics: [mesh, bridge]}))
    const unnamed = join(directory, 'unnamed')
    writeFileSync(unnamed, networkConfig({management: '52:54:00:12:34:56', nics: [mesh, bridge], byNetplan: true}))
    const all = [
      ...renderers.map((one) => [path, ...one] as const),
      [unnamed, ...renderers[0]] as const,
      [unnamed, ...renderers[1]] as const,
    ]
    for (const [from, renderer, distribution, address, dhcp] of all) {
      const out = join(directory, `${renderer}-${from === path}`)
      const args = ['devel', 'net-convert', '-p', from, '-k', 'yaml', '-d', out, '-D', distribution, '-O', renderer]
      const {status, stderr} = spawnSync('cloud-init', args, {encoding: 'utf8'})
      expect(status, `${renderer}: ${stderr}`).toBe(0)
      const files = readdirSync(out, {recursive: true, encoding: 'utf8'}).map((entry) => join(out, entry))
      const text = files
        .filter((entry) => statSync(entry).isFile())
        .map((entry) => readFileSync(entry, 'utf8'))
        .join('\n')
      expect(text, renderer).toMatch(address)
      if (from === unnamed) expect(text).not.toMatch(/eth\d|set-name/)
      expect(text.match(dhcp), renderer).toHaveLength(2)
      for (const mac of ['52:54:00:12:34:56', mesh.mac, bridge.mac]) expect(text.toLowerCase(), renderer).toContain(mac)
    }
  },
)
