import {cpSync, existsSync, readdirSync, readFileSync} from 'node:fs'
import {join, resolve} from 'node:path'

import {request} from 'undici'
import {expect, inject} from 'vitest'

import {eventually} from '../support/vm-guests.ts'
import {isAlive} from '../support/vm-processes.ts'
import {scenario} from '../support/vm-scenario.ts'

/**
 * examples/shop as it is in the repository: order, names, volume, share, ports. On the micro guest, and with VMCTL_SHOP=debian on the
 * Debian guest that it is written for, which takes some minutes.
 */
const {lab, step} = scenario('shop')
const guest = process.env.VMCTL_SHOP === 'debian' ? 'debian' : 'micro'
const memory = guest === 'debian' ? 512 : 192

const example = resolve(import.meta.dirname, '../../examples/shop')
// Two ports side by side, far from those that vmctl chooses itself.
const port = 31_000 + (process.pid % 1000) * 2

const vmfile = (change: (text: string) => string = (text) => text): void => {
  const text = readFileSync(join(example, 'VMFile.kdl'), 'utf8')
    .replaceAll('"debian:12"', JSON.stringify(inject(guest)))
    .replace('"512M"', `"${memory}M"`)
    .replace('"8080:80"', `"${port}:80"`)
  lab.vmfile(change(text))
}

interface Results {
  readonly vms: readonly {readonly name: string; readonly state: string; readonly actions: readonly {readonly action: string}[]}[]
}
const page = async (offset: number): Promise<string> => {
  const {body} = await request(`http://127.0.0.1:${port + offset}/`, {signal: AbortSignal.timeout(20_000)})
  return (await body.text()).replaceAll(/\s+/g, ' ')
}
const pidOf = async (name: string): Promise<number | undefined> => (await lab.status(name)).pid

step(
  'up brings the database first, then both web VMs, and the pages answer',
  async () => {
    cpSync(example, lab.project, {recursive: true})
    vmfile()
    const {vms} = await lab.json<Results>('up')
    expect(vms.map(({name, state}) => `${name} ${state}`)).toEqual(['shop.db running', 'shop.web-0 running', 'shop.web-1 running'])
    expect(await eventually(() => page(0))).toContain('web-0 has 12 apples for you.')
    expect(await eventually(() => page(1))).toContain('web-1 has 12 apples for you.')
  },
  480_000,
)

step('ps shows health, ports and addresses', async () => {
  const {vms} = await lab.json<{vms: readonly Record<string, unknown>[]}>('ps')
  expect(vms).toMatchObject([
    {name: 'shop.db', state: 'running', health: 'healthy'},
    {name: 'shop.web-0', state: 'running'},
    {name: 'shop.web-1', state: 'running'},
  ])
  const {stdout} = await lab.ok('ps')
  expect(stdout).toMatch(new RegExp(String.raw`shop\.web-1 +ready .*10\.10\.0\.4 .*127\.0\.0\.1:${port + 1}->80/tcp`))
})

step('the second up does nothing; an edit of one VM is planned for that one alone', async () => {
  const {vms} = await lab.json<Results>('up')
  expect(vms.flatMap(({actions}) => actions)).toEqual([])
  vmfile((text) => text.replace('    replicas 2 ', `    memory "${memory + 32}M"\n    replicas 2 `))
  const {stdout} = await lab.ok('plan')
  expect(stdout).toMatch(/shop\.db +none +is already running/)
  const changed = stdout.split('\n').filter((line) => line.includes(`memory ${memory} → ${memory + 32} MB`))
  expect(changed.map((line) => line.split(' ')[0])).toEqual(['shop.web-0', 'shop.web-1'])
})

step(
  'one service restarts with its change; the database keeps its process',
  async () => {
    const before = await pidOf('shop.db')
    await lab.guest('shop.db', 'echo 7 pears | sudo tee /var/lib/shop/stock.txt')
    await lab.ok('down', '--name', 'web')
    await lab.ok('up', '--name', 'web')
    expect(await pidOf('shop.db')).toBe(before)
    expect((await lab.status('shop.web-0')).memoryMiB).toBe(memory + 32)
    expect(await eventually(() => page(1))).toContain('web-1 has 7 pears for you.')
  },
  480_000,
)

step('down and destroy keep the volume; --volumes is what removes it, and nothing is left', async () => {
  const hub = Number(JSON.parse(readFileSync(join(lab.stateDirectory, 'networks/shop.default/hub.json'), 'utf8')).pid)
  await lab.ok('down', '--destroy')
  expect((await lab.ok('volume', 'ls')).stdout).toContain('shop.stock')
  expect(readdirSync(join(lab.stateDirectory, 'vms'))).toEqual([])
  await eventually(async () => expect(isAlive(hub)).toBe(false))
  await lab.ok('down', '--destroy', '--volumes')
  expect((await lab.ok('volume', 'ls')).stdout).not.toContain('shop.stock')
  expect(existsSync(join(lab.stateDirectory, 'networks/shop.default'))).toBe(false)
})
