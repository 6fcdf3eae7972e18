import {readFileSync} from 'node:fs'

import {describe, expect, it} from 'vitest'

import {inOneLine, publicKey, useWorkspace, type Workspace} from '../../fixtures/vmfiles/workspace.ts'
import type {VmSpec} from '../model/vm.ts'

let workspace: Workspace
useWorkspace((made) => {
  workspace = made
})

const specs = async (text: string): Promise<readonly VmSpec[]> => (await workspace.parse(text)).vms
const spec = async (text: string): Promise<VmSpec> => {
  const [only, ...others] = await specs(text)
  if (!only || others.length > 0) throw new Error('this is not one VM')
  return only
}
const problems = async (text: string): Promise<readonly string[]> => (await workspace.problems(text)).map(inOneLine)
const vm = (body: string, name = 'a'): string => `vm "${name}" {\n  image "image.qcow2"\n  ${body}\n}\n`

describe('names', () => {
  const names = async (text: string): Promise<readonly string[]> => (await specs(text)).map(({name}) => name)

  it('have the project and the replica, where there is one', async () => {
    expect(await names(vm('replicas 1'))).toEqual(['a'])
    expect(await names(vm('replicas 3'))).toEqual(['a-0', 'a-1', 'a-2'])
    expect(await names(`project "p"\n${vm('')}`)).toEqual(['p.a'])
    expect(await names(`project "p"\n${vm('replicas 2')}`)).toEqual(['p.a-0', 'p.a-1'])
  })

  it('say in the spec what they are made of, and nothing when there is nothing to say', async () => {
    const parts = async (text: string): Promise<readonly unknown[]> =>
      (await specs(text)).map(({project, service, replica}) => ({project, service, replica}))
    expect(await parts(vm(''))).toEqual([{}])
    expect(await parts(`project "p"\n${vm('')}`)).toEqual([{project: 'p', service: 'a'}])
    expect(await parts(vm('replicas 2'))).toEqual([0, 1].map((replica) => ({service: 'a', replica})))
  })

  it('of hosts are numbered, before the domain', async () => {
    const hosts = async (body: string): Promise<readonly unknown[]> => (await specs(vm(body))).map(({cloudInit}) => cloudInit?.hostname)
    expect(await hosts('replicas 2')).toEqual(['a-0', 'a-1'])
    expect(await hosts('replicas 2; cloud-init { hostname "www.example.com"; }')).toEqual(['www-0.example.com', 'www-1.example.com'])
  })

  it('of networks and volumes are the own ones of a project, or of the file', async () => {
    const ids = async (text: string, path: string): Promise<readonly string[]> => {
      const {networks, volumes} = await workspace.parse(`${text}network "n"\nvolume "v"\n${vm('network "n"; volume "v" "/v"')}`, {path})
      return [...networks, ...volumes].map(({id}) => id)
    }
    expect(await ids('project "p"\n', '/x/VMFile.kdl')).toEqual(['p.n', 'p.v'])
    const [one, other] = [await ids('', '/x/VMFile.kdl'), await ids('', '/y/VMFile.kdl')]
    expect(one).toEqual([expect.stringMatching(/^f[0-9a-f]{8}\.n$/), expect.stringMatching(/^f[0-9a-f]{8}\.v$/)])
    expect(one).not.toEqual(other)
  })
})

describe('the defaults of a project', () => {
  const withDefaults = (defaults: string, body: string): Promise<VmSpec> =>
    spec(`network "n"\nproject "p" { defaults {\n${defaults}\n}\n label from="project" both="project"; }\n${vm(body)}`)

  it('give way to what a VM says, even when that is what it would be anyway', async () => {
    expect(await withDefaults('vcpus 4; memory "2G"; disk 10', 'vcpus 1')).toMatchObject({
      vcpus: 1,
      memoryMiB: 2048,
      diskBytes: 10 * 2 ** 30,
    })
    expect(await withDefaults('vcpus 4', 'vcpus=2'.replace('=', ' '))).toMatchObject({vcpus: 2})
  })

  it('are merged by name where names have values', async () => {
    const {env, labels} = await withDefaults('env A="1" B="1"; label both="defaults"', 'env B="2" C="2"; label own="1"')
    expect(env).toEqual({A: '1', B: '2', C: '2'})
    expect(labels).toEqual({from: 'project', both: 'defaults', own: '1'})
  })

  it('are merged by field where there are blocks', async () => {
    const merged = await withDefaults(
      'ssh user="a" private-key="~/.ssh/id_ed25519"; cloud-init { packages "x"; timezone "UTC"; write-file "/a" content="a"; }; firmware "uefi" secure-boot=#true; qemu machine="q35" cpu="host"',
      'ssh user="b"; cloud-init { packages "y" "z"; }; firmware "uefi"; qemu { cpu "max"; }',
    )
    expect(merged.ssh).toEqual({user: 'b', privateKeyPath: workspace.path('home/.ssh/id_ed25519')})
    expect(merged.cloudInit).toMatchObject({packages: ['y', 'z'], timezone: 'UTC', writeFiles: [{path: '/a', content: 'a'}]})
    expect(merged.firmware).toEqual({type: 'uefi', secureBoot: true})
    expect(merged.qemu).toEqual({machine: 'q35', cpu: 'max'})
  })

  it('of a health check give way to another kind of test, and keep the rest', async () => {
    const {healthcheck} = await withDefaults('healthcheck { tcp 80; interval 7; }', 'healthcheck http="http://localhost/"')
    expect(healthcheck).toMatchObject({test: {kind: 'http', url: 'http://localhost/'}, intervalMs: 7000})
  })

  it('of nodes that can be repeated are used as a whole or not at all', async () => {
    const {ports, networks} = await withDefaults('port "8080:80"; port 81; network "n"', 'port 90')
    expect(ports).toEqual([{protocol: 'tcp', bind: '127.0.0.1', guest: 90}])
    expect(networks).toHaveLength(1)
    expect((await withDefaults('network "n"', 'network "user"')).networks).toBeUndefined()
  })

  it('are complained about once, however many VMs there are', async () => {
    const found = await problems(`project "p" { defaults { volume "v" "/v"; share "nothing" "/n"; }; }\n${vm('')}${vm('', 'b')}`)
    expect(found).toEqual([
      '1:33+3 error: there is no volume named v | declare it at the top level: volume "v"',
      expect.stringMatching(/^1:49\+9 error: source not found: "nothing"/),
    ])
  })

  it('and keys of the project reach every VM that has cloud-init', async () => {
    const text = `project "p" { ssh-key "two.pub"; defaults { network "user"; }; }\n${vm('cloud-init ssh-key="~/.ssh/id_ed25519.pub"')}${vm('', 'b')}${vm('env A="1"', 'c')}`
    expect((await specs(text)).map(({cloudInit}) => cloudInit?.sshKeys)).toEqual([
      [publicKey('a'), publicKey('b', 'ssh-rsa'), publicKey()],
      undefined,
      [publicKey('a'), publicKey('b', 'ssh-rsa')],
    ])
  })
})

describe('a VM without a cloud-init block', () => {
  const seeds = async (body: string, top = ''): Promise<boolean> =>
    (await specs(`${top}${vm(body)}`)).every(({cloudInit}) => cloudInit !== undefined)

  it.each(['', 'ssh { }', 'port 80', 'label a="b"', 'depends-on "b"', 'ssh private-key="~/.ssh/id_ed25519"; healthcheck tcp=80'])(
    'has no seed: %s',
    async (body) => expect(await seeds(body, body.includes('"b"') ? vm('cloud-init', 'b') : '')).toBe(false),
  )

  it.each([
    'share "www" "/w"',
    'volume "v" "/v"',
    'replicas 2',
    'dockerfile "Dockerfile"',
    'network "n"',
    'env A="1"',
    'healthcheck tcp=80',
  ])('has one when the guest must be set up: %s', async (body) => expect(await seeds(body, 'network "n"\nvolume "v"\n')).toBe(true))
})

describe('a VM without an ssh block', () => {
  const step = 'provision "shell" { inline "true"; }'
  const login = async (body: string): Promise<unknown> => {
    const {ssh, cloudInit} = await spec(vm(body))
    return {ssh, hasSeed: cloudInit !== undefined}
  }

  it('with steps is one with an empty block, and its guest gets a user', async () => {
    expect(await login(step)).toEqual({ssh: {}, hasSeed: true})
    expect(await spec(vm(`cloud-init; ${step}`))).toEqual(await spec(vm(`cloud-init; ssh { }; ${step}`)))
    const inherited = `project "p" { defaults { ${step}; }; }\n${vm('')}`
    expect((await spec(inherited)).ssh).toEqual({})
  })

  it('is as it was when it has the block, or nothing that works through SSH', async () => {
    expect(await login(`ssh { }; ${step}`)).toEqual({ssh: {}, hasSeed: false})
    expect(await login('')).toEqual({ssh: undefined, hasSeed: false})
    expect(await login('healthcheck tcp=80')).toEqual({ssh: undefined, hasSeed: true})
    expect(await login('dockerfile "Dockerfile"')).toEqual({ssh: undefined, hasSeed: true})
  })

  it.each(['healthcheck tcp=80', 'dockerfile "Dockerfile"', step])(
    'is entered also when user-data of its own makes the user: %s',
    async (body) => expect(await login(`cloud-init user-data="cloud-config.yaml"; ${body}`)).toEqual({ssh: {}, hasSeed: true}),
  )
})

describe('ports', () => {
  const ports = async (body: string): Promise<unknown> => (await specs(vm(body))).map((one) => one.ports)
  const forward = {protocol: 'tcp', bind: '127.0.0.1'}

  it.each([
    ['8080:80', {...forward, host: 8080, guest: 80}],
    ['80', {...forward, guest: 80}],
    ['0.0.0.0:8080:80', {...forward, bind: '0.0.0.0', host: 8080, guest: 80}],
    ['[::1]:8080:80', {...forward, bind: '::1', host: 8080, guest: 80}],
    ['5353:53/udp', {...forward, protocol: 'udp', host: 5353, guest: 53}],
    ['53/udp', {...forward, protocol: 'udp', guest: 53}],
  ])('%s', async (text, expected) => expect(await ports(`port "${text}"`)).toEqual([[expected]]))

  it('may be given as fields, in part or as a whole', async () => {
    const expected = {protocol: 'udp', bind: '0.0.0.0', host: 5353, guest: 53}
    expect(await ports('port host=5353 guest=53 protocol="udp" bind="0.0.0.0"')).toEqual([[expected]])
    expect(await ports('port "5353:53" protocol="udp" { bind "0.0.0.0"; }')).toEqual([[expected]])
    expect(await ports('port 53 { host 5353; protocol "udp"; bind "0.0.0.0"; }')).toEqual([[expected]])
  })

  it('of replicas follow each other', async () => {
    expect(await ports('replicas 2; port "8080:80"; port 81')).toEqual([
      [
        {...forward, host: 8080, guest: 80},
        {...forward, guest: 81},
      ],
      [
        {...forward, host: 8081, guest: 80},
        {...forward, guest: 81},
      ],
    ])
  })

  it('clash by address and protocol only', async () => {
    expect(
      await problems(vm('port "127.0.0.1:80:1"; port "127.0.0.2:80:1"; port "[::1]:80:1"; port "80:1/udp"; port "81:1"; port "81:1/udp"')),
    ).toEqual([])
  })
})

describe('depends-on', () => {
  const waits = async (body: string, others: string): Promise<unknown> => (await specs(`${vm(body)}${others}`))[0]?.dependsOn

  it('waits for health where that is known, else for the start', async () => {
    const others = `${vm('healthcheck tcp=1', 'b')}${vm('', 'c')}`
    expect(await waits('depends-on "b" "c"', others)).toEqual([
      {vm: 'b', condition: 'healthy'},
      {vm: 'c', condition: 'started'},
    ])
    expect(await waits('depends-on "b" condition="started"; depends-on "c"', others)).toEqual([
      {vm: 'b', condition: 'started'},
      {vm: 'c', condition: 'started'},
    ])
  })

  it('of a service is of all its replicas; one of them can be named', async () => {
    const others = `project "p"\n${vm('replicas 2', 'b')}`
    expect(await waits('depends-on "b"', others)).toEqual([
      {vm: 'p.b-0', condition: 'started'},
      {vm: 'p.b-1', condition: 'started'},
    ])
    expect(await waits('depends-on "b-1"', others)).toEqual([{vm: 'p.b-1', condition: 'started'}])
    expect(await waits('depends-on "b-0"', `project "p"\n${vm('', 'b')}`)).toEqual([{vm: 'p.b', condition: 'started'}])
  })

  it('finds its way through a long chain, and a cycle at its end', async () => {
    const chain = `network "default" subnet="10.0.0.0/8"\n${Array.from({length: 3000}, (_, index) => vm(`depends-on "v${index + 1}"`, `v${index}`)).join('')}`
    expect(await problems(`${chain}${vm('', 'v3000')}`)).toEqual([])
    expect(await problems(`${chain}${vm('depends-on "v2999"', 'v3000')}`)).toEqual([
      '12000:14+7 error: these VMs wait for each other: v2999 → v3000 → v2999 | remove one of the dependencies; the others are v3000 → v2999 in line 12004',
    ])
  })
})

describe('VMs that wait for each other and share no network', () => {
  const warnings = async (top: string, a: string, b: string): Promise<readonly string[]> =>
    (await problems(`${top}\n${vm(`depends-on "b"; ${a}`)}${vm(b, 'b')}`)).map((line) => line.replace(/^.*? warning: /, ''))
  const told = 'a waits for b, but shares no network with it'
  const bare = `${told} | declare network "default" at the top level: VMs that name no network join it`
  const other = `${told} | name one network in both of them, if they are to reach each other`

  it.each([
    ['none is declared', '', '', '', [bare]],
    ['the default network', 'network "default"', '', '', []],
    ['one of them has left the default network', 'network "default"', '', 'network "user"', [other]],
    ['two networks', 'network "x"\nnetwork "y"', 'network "x"', 'network "y"', [other]],
    ['one in common', 'network "x"\nnetwork "y"', 'network "x"; network "y"', 'network "y"', []],
    ['one bridge', '', 'network "tap" { bridge "br0"; }', 'network "tap" { bridge "br0"; }', []],
    ['two bridges', '', 'network "tap" { bridge "br0"; }', 'network "tap" { bridge "br1"; }', [other]],
    [
      'a bridge, once declared and once not',
      'network "lan" driver="external" { bridge-name "br0"; }',
      'network "lan"',
      'network "tap" { bridge "br0"; }',
      [],
    ],
    ['a VM that is meant to have none', '', '', 'network "none"', []],
    ['one that would join no default network', '', '', 'network "user"', [other]],
    ['a project', 'project "p"', '', '', []],
    ['one of them has left the network of the project', 'project "p"', '', 'network "user"', [other]],
  ])('%s', async (_title, ...[top, a, b, expected]) => {
    expect(await warnings(top, a, b)).toEqual(expected)
  })

  it('is said once where one remedy helps all, with its place, and not among errors', async () => {
    const three = `${vm('depends-on "b"')}${vm('depends-on "c"', 'b')}${vm('', 'c')}`
    expect(await problems(three)).toEqual([`3:14+3 warning: ${bare}`])
    expect(await problems(`${three}${vm('vcpus 0', 'd')}`)).toHaveLength(1)
  })
})

describe('the network of a project', () => {
  const networks = async (text: string): Promise<unknown> => {
    const {vms, networks: all, impliesNetwork} = await workspace.parse(text)
    const joined = vms.map(({networks: own = []}) => own.map(({network}) => network.id).join(' '))
    return {joined, all: all.map(({id}) => id), impliesNetwork}
  }
  const shared = {joined: ['p.default', 'p.default'], all: ['p.default'], impliesNetwork: true}
  const apart = {joined: ['', ''], all: []}

  it.each([
    ['is there without a word', `project "p"\n${vm('')}${vm('', 'b')}`, shared],
    ['is that of replicas', `project "p"\n${vm('replicas 2')}`, shared],
    ['may be named', `project "p"\n${vm('network "default"')}${vm('', 'b')}`, shared],
    ['is not for one VM', `project "p"\n${vm('')}`, {joined: [''], all: []}],
    ['needs a project', `${vm('')}${vm('', 'b')}`, apart],
    ['is not for one VM beside one that says no', `project "p"\n${vm('')}${vm('network "user"', 'b')}`, apart],
    ['can be refused for all', `project "p" { defaults { network "user"; }; }\n${vm('')}${vm('', 'b')}`, apart],
    ['gives way to declared ones', `project "p"\nnetwork "n"\n${vm('')}${vm('network "n"', 'b')}`, {joined: ['', 'p.n'], all: ['p.n']}],
  ])('%s', async (_title, text, expected) => {
    expect(await networks(text)).toEqual(expected)
  })

  it('is the one that an empty declaration makes, so that writing it down changes nothing', async () => {
    const text = `${vm('ssh { }')}${vm('replicas 2', 'b')}`
    expect(await specs(`project "p"\n${text}`)).toEqual(await specs(`project "p"\nnetwork "default"\n${text}`))
  })

  it('has room for 253', async () => {
    expect(await problems(`project "p"\n${vm('replicas 253')}${vm('', 'b')}`)).toEqual([
      '1:9+3 error: network "default" has 254 VMs, and room for 253 | give it a larger subnet, such as "10.20.0.0/16"',
    ])
  })
})

describe('images', () => {
  const image = async (body: string): Promise<VmSpec['image']> => (await spec(`vm "a" {\n  ${body}\n}\n`)).image
  const debian12 = {
    kind: 'url',
    source: expect.stringMatching(/^https:\/\/cloud\.debian\.org\/images\/cloud\/bookworm\/latest\/debian-12-generic-amd64\.qcow2$/),
    checksumUrl: 'https://cloud.debian.org/images/cloud/bookworm/latest/SHA512SUMS',
    user: 'debian',
    os: 'systemd',
  }

  it('have aliases, unless a file has that name', async () => {
    expect(await image('image "debian:12"')).toEqual(debian12)
    expect(await image('image "alpine"')).toMatchObject({user: 'alpine', os: 'openrc'})
    workspace.write('alpine', 'QFI')
    expect(await image('image "alpine"')).toEqual({kind: 'file', source: workspace.path('alpine')})
  })

  it('that look like a path are one', async () => {
    expect(await problems('vm "a" { image "debian:12.qcow2"; }')).toEqual([
      expect.stringContaining('error: image file not found: "debian:12.qcow2" | vmctl looks for'),
    ])
  })

  it('that are well known need no checksum, and take one', async () => {
    const sha256 = '0'.repeat(64)
    const {checksumUrl: _, ...rest} = debian12
    expect(await image(`image "debian:12" sha256="${sha256}" os="openrc"`)).toEqual({...rest, sha256, os: 'openrc'})
  })

  it('of a Dockerfile are those of FROM, unless the VM names one', async () => {
    expect(await image('dockerfile "api/Dockerfile"')).toEqual(debian12)
    expect(await image('dockerfile "api/Dockerfile" { build-arg RELEASE="11"; }')).toMatchObject({
      source: expect.stringContaining('debian-11'),
    })
    expect(await image('dockerfile "api/Dockerfile"; image "image.qcow2"')).toEqual({kind: 'file', source: workspace.path('image.qcow2')})
  })

  it('of a Dockerfile that is gone do not keep a VM from being stopped', async () => {
    const {vms} = await workspace.parse('vm "a" { dockerfile "gone"; }', {toleratesMissing: true})
    expect(vms.map(({name}) => name)).toEqual(['a'])
  })
})

describe('cloud-init', () => {
  it('tells a line for the shell from a program with arguments', async () => {
    const {cloudInit} = await spec(vm('cloud-init { bootcmd "a b"; runcmd "c" "d e"; runcmd "f"; }'))
    expect(cloudInit).toMatchObject({bootCommands: ['a b'], runCommands: [['c', 'd e'], 'f']})
  })

  it('keeps a hash of a password, the same each time, and none that is made from the password alone', async () => {
    const hash = async (password: string, name = 'a'): Promise<string | undefined> =>
      (await spec(vm(`cloud-init { password "${password}"; }`, name))).cloudInit?.passwordHash
    const made = await hash('secret')
    expect(made).toMatch(/^\$6\$[./\w]{16}\$[./\w]{86}$/)
    expect(await hash('secret')).toBe(made)
    expect(await hash('secret', 'b')).not.toBe(made)
    expect((await hash('other'))?.slice(0, 20)).toBe(made?.slice(0, 20))
    expect(await hash('$y$j9T$abc$def')).toBe('$y$j9T$abc$def')
  })

  it('passes what is generated beside user-data when asked to', async () => {
    const {cloudInit} = await spec(
      vm('cloud-init user-data="cloud-config.yaml" merge=#true { user "a"; packages "x"; ssh-key "two.pub"; }'),
    )
    expect(cloudInit).toMatchObject({merge: true, user: 'a', packages: ['x'], userData: {path: workspace.path('cloud-config.yaml')}})
  })
})

it('the complete example of the design is valid, and means this', async () => {
  const text = readFileSync(new URL('../../fixtures/vmfiles/good/stack.kdl', import.meta.url), 'utf8')
  const {path: _path, directory: _directory, places: _places, ...stack} = await workspace.parse(text)
  const shown = JSON.stringify(stack, undefined, 2).replaceAll(workspace.directory, '/project')
  await expect(`${shown}\n`).toMatchFileSnapshot('../../fixtures/vmfiles/good/stack.json')
})

describe('a VM that vmctl cannot log in to', () => {
  const raw = 'cloud-init user-data="cloud-config.yaml"'

  it.each([
    ['user-data alone', raw, false],
    ['user-data beside what is generated', `${raw} { merge #true; }`, true],
    ['user-data, and a user to log in as', `${raw}; ssh user="a"`, true],
    ['no cloud-init', '', false],
    ['a network of the file', 'network "n"', true],
  ])('cannot be waited for: %s', async (_title, body, can) => {
    const all = await problems(`network "n"\n${vm('depends-on "b" condition="ssh"')}${vm(body, 'b')}`)
    const found = all.filter((line) => !line.includes('shares no network'))
    expect(found.length === 0).toBe(can)
    if (!can) expect(found[0]).toContain('vmctl cannot log in to VM "b"')
  })
})
