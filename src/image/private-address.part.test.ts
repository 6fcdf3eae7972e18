import {execFileSync, spawnSync} from 'node:child_process'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {testUnless} from '../../test/support/programs.ts'
import {isPrivateAddress} from './private-address.ts'

test.each([
  '0.0.0.0',
  '10.1.2.3',
  '100.64.0.1',
  '127.0.0.1',
  '127.255.255.255',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '198.18.0.1',
  '::',
  '::1',
  'fd00::1',
  'fe80::1',
  '::ffff:10.0.0.1',
  '::ffff:a9fe:a9fe',
  '64:ff9b::7f00:1',
])('%s is private', (address) => {
  expect(isPrivateAddress(address)).toBe(true)
})

test.each([
  '1.1.1.1',
  '8.8.8.8',
  '100.63.0.1',
  '172.15.0.1',
  '172.32.0.1',
  '192.169.0.1',
  '203.0.113.7',
  '2606:4700::1111',
  '::ffff:8.8.8.8',
  'localhost',
  '',
])('%s is not', (address) => {
  expect(isPrivateAddress(address)).toBe(false)
})

const prepare = 'ip link set lo up && ip addr add 203.0.113.7/32 dev lo && ip addr add 169.254.169.254/32 dev lo'
const missing = spawnSync('unshare', ['-n', 'sh', '-c', prepare]).status === 0 ? undefined : 'no network namespace can be made'

testUnless(missing)('a redirect leads from the internet into the own network only when that is allowed', () => {
  const script = join(import.meta.dirname, '../../test/support/private-redirects.ts')
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/_proxy$/i.test(name)))
  const output = execFileSync('unshare', ['-n', 'sh', '-c', `${prepare} && exec "$@"`, 'sh', process.execPath, script], {
    encoding: 'utf8',
    env,
  })
  const refused = (host: string) => expect.stringContaining(`redirects to ${host}:PORT, which is in the network of the host`)
  expect(JSON.parse(output)).toEqual({
    'to another name of the internet': 'ok',
    'to loopback': refused('127.0.0.1'),
    'to loopback, written otherwise': refused('127.0.0.1'),
    'to loopback in IPv6': refused('[::1]'),
    'to loopback in IPv4 in IPv6': refused('[::ffff:7f00:1]'),
    'to the metadata of a cloud': refused('169.254.169.254'),
    'to a name that leads there': refused('localhost'),
    'in the second step': refused('127.0.0.1'),
    'when that is allowed': 'ok',
    'from loopback, to loopback': 'ok',
    'from a name of loopback, to a private address': 'ok',
    'from loopback, to the internet, and back': 'ok',
  })
})
