import {expect, test} from 'vitest'

import type {ForwardedPort} from '../../model/port.ts'
import {clash} from '../../model/port.ts'
import {acceptedConnections, describeEndpoint, forwardRule, forwardsOf, parseForwards, refusedForward, takenSide} from './forwards.ts'

const port = (change: Partial<ForwardedPort> = {}): ForwardedPort => ({
  protocol: 'tcp',
  bind: '127.0.0.1',
  host: 8080,
  guest: 80,
  ...change,
})

test('rules as QEMU reads them', () => {
  expect(forwardRule(port())).toBe('tcp:127.0.0.1:8080-:80')
  expect(forwardRule(port({protocol: 'udp', bind: '0.0.0.0'}))).toBe('udp:0.0.0.0:8080-:80')
  expect(forwardRule(port({bind: '::1'}))).toBe('tcp:[::1]:8080-:80')
  expect(describeEndpoint(port({bind: '::1'}))).toBe('[::1]:8080/tcp')
  expect(forwardsOf({sshPort: 10_022, ports: [port()]}).map(forwardRule)).toEqual(['tcp:127.0.0.1:10022-:22', 'tcp:127.0.0.1:8080-:80'])
  expect(forwardsOf({})).toEqual([])
})

/** Printed by QEMU 7.2. */
const usernet = [
  'Hub -1 (net0):',
  '  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ',
  '  TCP[HOST_FORWARD]  38               * 18083       10.0.2.15    80     0     0',
  '  TCP[ESTABLISHED]   39       127.0.0.1 18083       10.0.2.15    80     0     0',
  '  TCP[TIME_WAIT]     37       127.0.0.1 10047       10.0.2.15    22     0     0',
  '  TCP[HOST_FORWARD]  16       127.0.0.1 10047       10.0.2.15    22     0     0',
  '  UDP[HOST_FORWARD]  33       127.0.0.1 18080       10.0.2.15    53     0     0',
  '',
].join('\r\n')

test('the forwards of a running QEMU', () => {
  expect(parseForwards(usernet)).toEqual([
    port({bind: '0.0.0.0', host: 18_083}),
    port({host: 10_047, guest: 22}),
    port({protocol: 'udp', host: 18_080, guest: 53}),
  ])
  expect(parseForwards('')).toEqual([])
})

test('what cannot stand side by side', () => {
  expect(clash(port(), port({guest: 81}))).toBe(true)
  expect(clash(port(), port({protocol: 'udp'}))).toBe(false)
  expect(clash(port(), port({host: 8081}))).toBe(false)
  expect(clash(port(), port({bind: '127.0.0.2'}))).toBe(false)
  expect(clash(port(), port({bind: '0.0.0.0'}))).toBe(true)
  expect(clash(port({bind: '::'}), port())).toBe(true)
})

test('what QEMU says of a forward that it cannot make', async () => {
  const taken = "qemu-system-x86_64: -netdev user,id=net0: Could not set up host forwarding rule 'tcp:127.0.0.1:1-:80'"
  expect(takenSide(taken)).toBe('tcp:127.0.0.1:1')
  expect(await refusedForward(taken)).toMatchObject({
    code: 'vmctl::network::port_taken',
    message: 'The port 127.0.0.1:1/tcp is held by another program.',
  })
  const invalid = "Invalid host forwarding rule 'tcp:[::1]:18081-:80' (Bad host address)"
  expect(takenSide(invalid)).toBeUndefined()
  expect(await refusedForward(invalid)).toMatchObject({
    code: 'vmctl::network::port_refused',
    message: 'This QEMU cannot listen on [::1]:18081/tcp: it forwards ports of IPv4 addresses only.',
  })
  expect(await refusedForward('No such file')).toBeUndefined()
})

test('a connection is accepted when the guest has answered it, not when QEMU holds it open', () => {
  const table = (...lines: readonly string[]): string =>
    ['Hub -1 (net0):', '  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ', ...lines, ''].join('\r\n')
  const forward = '  TCP[HOST_FORWARD]  12       127.0.0.1 25999       10.0.2.15    22     0     0'
  const waiting = '  TCP[SYN_SENT]      19       127.0.0.1 25999       10.0.2.15    22     0     0'
  const closed = '  TCP[TIME_WAIT]     20       127.0.0.1 25999       10.0.2.15    22     0     0'
  const accepted = '  TCP[ESTABLISHED]   21       127.0.0.1 25999       10.0.2.15    22     0     0'
  const ofTheGuest = '  TCP[ESTABLISHED]   22       10.0.2.15 40222     192.0.2.10   443     0     0'
  expect(acceptedConnections(table(waiting, closed, waiting, ofTheGuest, forward))).toBe(0)
  expect(acceptedConnections(table(accepted, waiting, closed, ofTheGuest, forward))).toBe(1)
  expect(acceptedConnections('')).toBe(0)
})
