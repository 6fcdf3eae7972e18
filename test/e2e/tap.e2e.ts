import {execFileSync, spawn, spawnSync} from 'node:child_process'
import {readFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, expect} from 'vitest'

import type {VmStatus} from '../../src/engine/show/inspect.ts'
import {needsRoot} from '../support/programs.ts'
import {eventually, inline, microVm} from '../support/vm-guests.ts'
import {expectFailure, expectSuccess, type Outcome} from '../support/vm-lab.ts'
import {needs, scenario} from '../support/vm-scenario.ts'

/** A VM on a bridge with a DHCP server, all in a network namespace of the test's own. */
const {lab, step} = scenario('tap', {missing: needsRoot() ?? needs('ip', 'dnsmasq', 'setpriv')})

const namespace = `vmctl-tap-${process.pid}`
const inside = ['ip', 'netns', 'exec', namespace]
const leases = join(lab.root, 'leases')
const vmctl = (...args: readonly string[]): Promise<Outcome> => lab.run(args, {prefix: inside, env: {VMCTL_LEASES: leases}})
const taps = (): string[] =>
  execFileSync('ip', ['-n', namespace, '-o', 'link', 'show', 'type', 'tun'], {encoding: 'utf8'}).split('\n').filter(Boolean)
const vmfile = (bridge: string, steps = ''): void => lab.vmfile(microVm('lan', `    network "tap" { bridge "${bridge}"; }\n${steps}`))

afterAll(() => {
  spawnSync('ip', ['netns', 'delete', namespace], {stdio: 'ignore'})
})

step('a bridge that does not exist is an error before anything is made', async () => {
  execFileSync('ip', ['netns', 'add', namespace])
  for (const words of ['link set lo up', 'link add vbr0 type bridge', 'address add 10.77.0.1/24 dev vbr0', 'link set vbr0 up']) {
    execFileSync('ip', ['-n', namespace, ...words.split(' ')])
  }
  vmfile('vbr1')
  const outcome = expectFailure(await vmctl('up'), 4, 'vmctl::network::bridge_not_found')
  expect(outcome.stderr).toContain('vbr1')
  expect(JSON.parse((await vmctl('list', '--json')).stdout)).toEqual({vms: []})
})

step('without CAP_NET_ADMIN it is an error that says so', async () => {
  vmfile('vbr0')
  const outcome = await lab.run(['up'], {prefix: [...inside, 'setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin']})
  expectFailure(outcome, 4, 'vmctl::network::permission')
  expect(outcome.stderr).toContain('CAP_NET_ADMIN')
  expect(taps()).toEqual([])
})

step('up attaches a TAP device, finds the address of the VM by its MAC, and provisions it', async () => {
  const words = [
    'dnsmasq',
    '--keep-in-foreground',
    '--conf-file=/dev/null',
    '--port=0',
    '--interface=vbr0',
    '--bind-interfaces',
    '--user=root',
    '--dhcp-range=10.77.0.50,10.77.0.99,1h',
    `--dhcp-leasefile=${leases}`,
    `--pid-file=${join(lab.root, 'dnsmasq.pid')}`,
    '--log-facility=-',
  ]
  // It works below the lab's root and is ended with it.
  spawn('ip', ['netns', 'exec', namespace, ...words], {cwd: lab.root, env: lab.env, stdio: 'ignore'})
  await eventually(() => expect(readFileSync(join(lab.root, 'dnsmasq.pid'), 'utf8')).toMatch(/\d/))
  vmfile('vbr0', inline('ip -4 addr show; echo provisioned over the bridge'))
  const outcome = expectSuccess(await vmctl('up'))
  expect(outcome.stdout).toContain('provisioned over the bridge')
  const {macAddress, bridge, sshPort} = JSON.parse((await vmctl('status', 'lan', '--json')).stdout) as VmStatus
  expect(bridge).toBe('vbr0')
  expect(sshPort).toBeUndefined()
  const [, , address] = (
    readFileSync(leases, 'utf8')
      .split('\n')
      .find((line) => line.includes(macAddress ?? 'none')) ?? ''
  ).split(' ')
  expect(outcome.stdout).toContain(`inet ${address}/24`)
  expect(taps()).toHaveLength(1)
  expect(execFileSync('ip', ['-n', namespace, '-o', 'link', 'show', 'master', 'vbr0'], {encoding: 'utf8'})).toMatch(
    /vmctl[0-9a-f]{10}.*state UP/,
  )
})

step('ssh reaches the VM at that address', async () => {
  const outcome = expectSuccess(await vmctl('ssh', '--', 'echo $SSH_CONNECTION'))
  expect(outcome.stdout).toMatch(/^10\.77\.0\.1 \d+ 10\.77\.0\.\d+ 22\n$/)
})

step('the TAP device goes when the VM stops, also after a crash of QEMU', async () => {
  expectSuccess(await vmctl('down'))
  expect(taps()).toEqual([])
  expectSuccess(await vmctl('up', '--no-provision'))
  expect(taps()).toHaveLength(1)
  const {pid} = JSON.parse((await vmctl('status', 'lan', '--json')).stdout) as VmStatus
  process.kill(pid ?? 0, 'SIGKILL')
  expectSuccess(await vmctl('up', '--no-provision'))
  expect(taps()).toHaveLength(1)
  expectSuccess(await vmctl('down', '--destroy'))
  expect(taps()).toEqual([])
})
