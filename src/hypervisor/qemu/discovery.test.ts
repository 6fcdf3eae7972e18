import {chmodSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, onTestFinished, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {addressFromLeases, addressFromNeighbours, discoverAddress} from './discovery.ts'

const mac = '52:54:00:12:34:56'

const neighbour = (dst: string, lladdr: string | undefined, ...state: readonly string[]) => ({
  dst,
  ...(lladdr !== undefined && {lladdr}),
  state,
})

test.each([
  ['the only entry', [neighbour('10.0.0.5', mac, 'REACHABLE')], '10.0.0.5'],
  ['upper case', [neighbour('10.0.0.5', mac.toUpperCase(), 'REACHABLE')], '10.0.0.5'],
  ['a stale one, when there is no better', [neighbour('10.0.0.5', mac, 'STALE')], '10.0.0.5'],
  ['the usable one before the stale one', [neighbour('10.0.0.4', mac, 'STALE'), neighbour('10.0.0.5', mac, 'REACHABLE')], '10.0.0.5'],
  ['one being probed before the stale one', [neighbour('10.0.0.4', mac, 'STALE'), neighbour('10.0.0.5', mac, 'DELAY')], '10.0.0.5'],
  ['a permanent one', [neighbour('10.0.0.5', mac, 'PERMANENT')], '10.0.0.5'],
  ['not a failed one', [neighbour('10.0.0.5', mac, 'FAILED'), neighbour('10.0.0.6', undefined, 'INCOMPLETE')], undefined],
  ['not one of another MAC', [neighbour('10.0.0.5', '52:54:00:12:34:57', 'REACHABLE')], undefined],
  [
    'not a prefix of a MAC',
    [neighbour('10.0.0.5', `${mac}:00`, 'REACHABLE'), neighbour('10.0.0.6', mac.slice(0, -1), 'REACHABLE')],
    undefined,
  ],
  ['not an IPv6 address', [neighbour('fe80::1', mac, 'REACHABLE')], undefined],
  ['nothing', [], undefined],
  ['strange entries', [null, 7, {}, {dst: 5, lladdr: mac, state: ['REACHABLE']}, {dst: '10.0.0.5', lladdr: mac}], undefined],
])('neighbours: %s', (_, entries, expected) => {
  expect(addressFromNeighbours(JSON.stringify(entries), mac)).toBe(expected)
})

test('no neighbours at all print nothing', () => {
  expect(addressFromNeighbours('', mac)).toBeUndefined()
  expect(addressFromNeighbours('{}', mac)).toBeUndefined()
  expect(addressFromNeighbours('[{"dst":"10.0.0.5",', mac)).toBeUndefined()
})

test.each([
  ['one lease', `1700000000 ${mac} 10.0.0.5 web 01:${mac}`, '10.0.0.5'],
  ['upper case', `1700000000 ${mac.toUpperCase()} 10.0.0.5 web *`, '10.0.0.5'],
  ['the one that ends last', `1700000009 ${mac} 10.0.0.5 a *\n1700000001 ${mac} 10.0.0.6 b *`, '10.0.0.5'],
  ['the later line of two', `1700000000 ${mac} 10.0.0.5 a *\n1700000000 ${mac} 10.0.0.6 b *`, '10.0.0.6'],
  ['one for ever', `0 ${mac} 10.0.0.5 a *\n1700000000 ${mac} 10.0.0.6 b *`, '10.0.0.5'],
  ['another MAC', `1700000000 52:54:00:12:34:57 10.0.0.5 web *`, undefined],
  ['a client id that looks like the MAC', `1700000000 52:54:00:12:34:57 10.0.0.5 web ${mac}`, undefined],
  ['IPv6 leases', `duid 00:01\n1700000000 ${mac} fd00::5 web *`, undefined],
  ['cut lines', `1700000000 ${mac}\n1700000000\n\n${mac}`, undefined],
  ['nothing', '', undefined],
])('leases: %s', (_, text, expected) => {
  expect(addressFromLeases(text, mac)).toBe(expected)
})

/** A program `ip` first on PATH that knows the neighbours of some bridges. */
const withNeighbours = (bridges: Readonly<Record<string, readonly unknown[]>>): void => {
  const directory = temporaryDirectory()
  const cases = Object.entries(bridges).map(([bridge, entries]) => `${bridge}) echo '${JSON.stringify(entries)}' ;;`)
  writeFileSync(
    join(directory, 'ip'),
    `#!/bin/sh\n[ "$*" = "-4 -json neigh show dev $6" ] || exit 9\ncase $6 in ${cases.join(' ')} *) echo "Cannot find device" >&2; exit 1 ;; esac\n`,
  )
  chmodSync(join(directory, 'ip'), 0o755)
  const old = process.env.PATH
  process.env.PATH = `${directory}:${old}`
  onTestFinished(() => {
    process.env.PATH = old
  })
}

const never = new AbortController().signal

test('only the neighbours of the very bridge count: br1 is not br10', async () => {
  withNeighbours({br1: [neighbour('10.1.0.5', mac, 'REACHABLE')], br10: [neighbour('10.10.0.5', mac, 'REACHABLE')]})
  expect(await discoverAddress({bridge: 'br1', macAddress: mac, leaseFiles: []}, never)).toBe('10.1.0.5')
  expect(await discoverAddress({bridge: 'br10', macAddress: mac, leaseFiles: []}, never)).toBe('10.10.0.5')
})

test('leases are asked when no neighbour is known, and files that are not there do no harm', async () => {
  withNeighbours({br0: [neighbour('10.0.0.9', '52:54:00:00:00:01', 'REACHABLE')]})
  const leases = join(temporaryDirectory(), 'leases')
  writeFileSync(leases, `1700000000 ${mac} 10.0.0.5 web *\n`)
  expect(await discoverAddress({bridge: 'br0', macAddress: mac, leaseFiles: ['/no/such/file', leases]}, never)).toBe('10.0.0.5')
  expect(await discoverAddress({bridge: 'gone', macAddress: mac, leaseFiles: [leases]}, never)).toBe('10.0.0.5')
  await expect(discoverAddress({bridge: 'br0', macAddress: '52:54:00:99:99:99', leaseFiles: [leases]}, never)).rejects.toMatchObject({
    code: 'vmctl::network::ip_discovery_timeout',
    message: 'No address is known for 52:54:00:99:99:99 on the bridge br0.',
  })
})
