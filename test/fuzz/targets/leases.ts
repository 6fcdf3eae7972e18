import {strict as assert} from 'node:assert'
import {isIPv4} from 'node:net'

import {addressFromLeases, addressFromNeighbours} from '../../../src/hypervisor/qemu/discovery.ts'
import {pureTrial, type Target} from '../target.ts'

const macAddress = '52:54:00:12:34:56'

export const leases: Target = {
  about: 'a lease file of dnsmasq, and what ip says of neighbours',
  json: true,
  dictionary: [
    macAddress,
    macAddress.toUpperCase(),
    ' 10.0.0.2 ',
    '192.168.1.300',
    '"lladdr":',
    '"dst":',
    '"state":["REACHABLE"]',
    '0 ',
    '\n',
    'null',
    '[{}]',
    '[null]',
    '"state":null',
  ],
  open: () =>
    pureTrial((input) => {
      const text = input.toString()
      for (const find of [addressFromLeases, addressFromNeighbours]) {
        const address = find(text, macAddress)
        if (address === undefined) continue
        assert.ok(isIPv4(address) && text.includes(address), `${find.name} gives ${address}`)
        assert.ok(text.toLowerCase().includes(macAddress), 'it is the address of somebody else')
      }
    }),
}
