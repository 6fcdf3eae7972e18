import {expect, test} from 'vitest'

import {useWorkspace, type Workspace} from '../../../fixtures/vmfiles/workspace.ts'
import {makeVm} from '../../../test/support/builders.ts'
import {newGuest} from '../../guest/record.ts'
import type {VmSpec} from '../../model/vm.ts'
import {emptyJournal} from '../../provision/run/journal.ts'
import {planVm} from './plan.ts'

let workspace: Workspace
useWorkspace((made) => {
  workspace = made
})

const stack = `
project "shop" {
    defaults { vcpus 1; env TZ="UTC"; }
    label tier="test"
}
network "default"
network "front" driver="bridge" { subnet "10.30.0.0/24"; }
volume "data" size="1G"
volume "cache" size="1G"
vm "db" {
    image "image.qcow2"
    memory 512
    volume "data" "/data"
    healthcheck { tcp 5432; interval 2; }
    stop-grace-period "60s"
}
vm "web" {
    image "image.qcow2"
    replicas 2
    depends-on "db"
    network "default"
    network "front"
    port "8080:80"
    port 443
    volume "cache" "/cache" per-replica=#true
    share "www" "/srv"
    cloud-init { packages "nginx"; }
}
vm "lone" {
    image "image.qcow2"
    network "user"
    ssh { user "me"; }
    provision "shell" { inline "true"; }
}
`

const specsOf = async (text: string): Promise<ReadonlyMap<string, VmSpec>> => {
  const {vms} = await workspace.parse(text)
  return new Map(vms.map((spec) => [spec.name, spec]))
}

/** What `vmctl up` would do after an edit, while all VMs of the stack run: one line for each VM that it concerns. */
const plansAfter = async (edit: (text: string) => string): Promise<readonly string[]> => {
  const edited = edit(stack)
  expect(edited).not.toBe(stack)
  const [before, after] = await Promise.all([specsOf(stack), specsOf(edited)])
  return [...after].flatMap(([name, spec]) => {
    const applied = before.get(name)
    const observed = {
      ...(applied && {vm: makeVm({name, spec: applied})}),
      observation: applied ? ({state: 'running', pid: 1} as const) : ({state: 'destroyed'} as const),
      journal: emptyJournal,
      guest: {...newGuest, ready: true},
      imageIsHere: true,
    }
    const {steps, notices} = planVm({spec, steps: []}, observed, {verb: 'up', provision: true})
    const told = [...steps.map(({action, cause}) => `${action}: ${cause}`), ...notices.filter((notice) => notice !== 'is already running')]
    return told.length > 0 ? [`${name.replace('shop.', '')} ${told.join('; ')}`] : []
  })
}

const restart = (name: string, change: string): string => `${name} changed, needs a restart (\`vmctl restart shop.${name}\`): ${change}`
const reload = (name: string, change: string): string => `${name} changed, needs \`vmctl reload --name shop.${name}\`: ${change}`
const both = (line: (name: string) => string): readonly string[] => ['web-0', 'web-1'].map(line)

/** An edit of the file, as what is replaced by what, and what `up` says. */
const edits: readonly (readonly [title: string, from: string, to: string, expected: readonly string[]])[] = [
  ['a comment', 'volume "data"', '// kept\nvolume "data"', []],
  ['a value in other words', 'memory 512', 'memory "512M"', []],
  ['the same by the defaults', 'memory 512', 'memory 512; vcpus 1', []],
  ['memory of one VM', 'memory 512', 'memory 1024', [restart('db', 'memory 512 → 1024 MB')]],
  [
    'the default of the processors',
    'vcpus 1',
    'vcpus 2',
    [...['db', 'web-0', 'web-1', 'lone'].map((name) => restart(name, 'vcpus 1 → 2'))],
  ],
  ['the default environment', 'TZ="UTC"', 'TZ="CET"', ['db', 'web-0', 'web-1', 'lone'].map((name) => `${name} update: env TZ`)],
  ['a label of the project', 'tier="test"', 'tier="live"', ['db', 'web-0', 'web-1', 'lone'].map((name) => `${name} update: label tier`)],
  ['a new replica', 'replicas 2', 'replicas 3', ['web-2 create: does not exist; start: new; wait: first start']],
  ['one replica less', 'replicas 2', 'replicas 1', ['web create: does not exist; start: new; wait: first start']],
  ['another port', '8080:80', '9090:80', [`web-0 update: port +9090:80 −8080:80`, `web-1 update: port +9091:80 −8081:80`]],
  ['a port less', 'port 443', '', both((name) => `${name} update: port −443`)],
  ['a health check', 'interval 2', 'interval 3', ['db update: healthcheck']],
  [
    'no health check',
    'healthcheck { tcp 5432; interval 2; }',
    '',
    ['db update: healthcheck', ...both((name) => `${name} update: depends-on shop.db`)],
  ],
  ['what is waited for', 'depends-on "db"', 'depends-on "db" condition="started"', both((name) => `${name} update: depends-on shop.db`)],
  ['the time to stop', '"60s"', '"90s"', ['db update: stop-grace-period 1 min 0 s → 1 min 30 s']],
  ['autostart', 'memory 512', 'memory 512; autostart #false', ['db update: autostart #false']],
  ['the size of a volume', '"data" size="1G"', '"data" size="2G"', [restart('db', 'volume data')]],
  ['a volume per replica', '"cache" size="1G"', '"cache" size="2G"', both((name) => restart(name, 'volume cache'))],
  ['where a share is', '"www" "/srv"', '"www" "/var/www"', both((name) => restart(name, 'share +/var/www −/srv'))],
  ['packages', '"nginx"', '"nginx" "curl"', both((name) => reload(name, 'cloud-init packages'))],
  ['the subnet of a network', '10.30.0.0', '10.40.0.0', both((name) => restart(name, 'networks front'))],
  ['NAT of a network', 'subnet "10.30.0.0/24"', 'subnet "10.30.0.0/24"; nat #false', both((name) => restart(name, 'networks front'))],
  [
    'a network of the defaults',
    'network "default"\nnetwork',
    'network "default" mtu=1400\nnetwork',
    ['db', 'web-0', 'web-1'].map((name) => restart(name, 'networks default')),
  ],
  ['a VM that joins a network', 'memory 512', 'memory 512; network "front"', [restart('db', 'networks +front −default')]],
  [
    'a VM that leaves',
    'network "user"\n    ssh { user "me"; }\n    provision "shell" { inline "true"; }',
    'network "none"\n    ssh { user "me"; }',
    [restart('lone', 'network user → none')],
  ],
  ['the user of SSH', 'user "me"', 'user "you"', ['lone update: ssh']],
  ['the kind of keys', 'user "me"', 'user "me"; key-type "rsa"', [reload('lone', 'ssh key-type ed25519 → rsa')]],
  ['the port of SSH', 'user "me"', 'user "me"; port 2200', [restart('lone', 'ssh port none → 2200')]],
  [
    'a device',
    'memory 512',
    'memory 512; device "pci" "01:00.0"',
    [[restart('db', 'device +0000:01:00.0'), restart('db', 'firmware bios → uefi').replace(/^db /, '')].join('; ')],
  ],
]

test.each(edits)('%s', async (_title, from, to, expected) => {
  expect(await plansAfter((text) => text.replace(from, to))).toEqual(expected)
})

test('the order of the VMs in the file', async () => {
  const [head = '', ...vms] = stack.split('\nvm ')
  expect(await plansAfter(() => [head, ...vms.toReversed()].join('\nvm '))).toEqual([])
})
