import {expect, test} from 'vitest'

import {inOneLine, useWorkspace, type Workspace} from '../../../fixtures/vmfiles/workspace.ts'

let workspace: Workspace
useWorkspace((made) => {
  workspace = made
})

const project = 'project "shop" { home "incus" { remote "lab"; pool "fast"; }; }\n'

const homes = async (text: string, home?: string): Promise<readonly unknown[]> =>
  (await workspace.parse(text, {home})).vms.map((spec) => spec.home)

test('the home of the file is that of its VMs, unless another one is asked for', async () => {
  const text = `${project}vm "web" { image "image.qcow2"; }\nvm "db" { image "image.qcow2"; }`
  expect(await homes(text)).toEqual([
    {name: 'lab', pool: 'fast'},
    {name: 'lab', pool: 'fast'},
  ])
  expect(await homes(text, 'lab')).toEqual(await homes(text))
  // What is said of one home is not said of another.
  expect(await homes(text, 'edge')).toEqual([{name: 'edge'}, {name: 'edge'}])
  expect(await homes(text, 'local')).toEqual([undefined, undefined])
  expect(await homes('vm "web" { image "image.qcow2"; }', 'lab')).toEqual([{name: 'lab'}])
  expect(await homes('vm "web" { image "image.qcow2"; }')).toEqual([undefined])
})

test.each([
  ['share "www" "/www"', '3:1+5 error: a folder of this host cannot be had in the home "lab" | copy it: provision "file", or `vmctl cp`'],
  ['qemu { cpu "host"; }', '3:1+4 error: qemu { … } cannot be had in the home "lab" | it is for the backend qemu of this host'],
  [
    'network "tap" bridge="br0"',
    '3:1+7 error: network "tap" cannot be had in the home "lab" | write home "incus" { network "…" } for another network of the server',
  ],
  [
    'port "8080:80"',
    '3:1+4 error: a published port of a VM cannot be had in the home "lab" | write kind "container", or tunnel it: `ssh -L`, with `vmctl ssh-config`',
  ],
  [
    'ssh { port 2222; }',
    '3:12+4 error: a port of this host for SSH cannot be had in the home "lab" | remove it: `vmctl ssh` finds the way by itself',
  ],
  [
    'kind "container"; port "8080:80"',
    '3:24+9 error: a port of 127.0.0.1 would be for the server of the home alone | write bind="0.0.0.0", or an address of the server',
  ],
  ['kind "container"; firmware "uefi"', '3:19+8 error: a container has no firmware | remove it'],
])('%s is refused at its place in a home, and can be had on this host or be stopped', async (node, problem) => {
  const text = `${project}vm "web" { image "image.qcow2"\n${node}\n}`
  expect((await workspace.problems(text)).map(inOneLine)).toEqual([problem])
  expect(await workspace.problems(text, {toleratesMissing: true})).toEqual([])
  if (!node.includes('kind') && !node.includes('tap')) expect(await workspace.problems(text, {home: 'local'})).toEqual([])
})

test('volumes, and networks of this host, are refused in a home', async () => {
  const text = `${project}volume "data" { size "1G"; }\nnetwork "lan" driver="bridge"\nvm "web" { image "image.qcow2"\nnetwork "lan"\nvolume "data" "/data"\n}`
  expect((await workspace.problems(text)).map(inOneLine)).toEqual([
    '5:9+5 error: a network of the driver bridge cannot be had in the home "lab" | leave driver out: a mesh connects its VMs',
    '6:1+6 error: a volume cannot be had in the home "lab" | keep the data on the disk of the VM, or bring it up with --home local',
  ])
})

test('the name of an image is the disk of a VM, of which no container is made', async () => {
  const text = `${project}vm "web" { image "debian:12"\nkind "container"\n}`
  expect((await workspace.problems(text)).map(inOneLine)).toEqual([
    '2:18+11 error: "debian:12" is the disk of a VM, and a container wants a root file system | name a squashfs or an archive as Incus has them: image "./rootfs.squashfs"',
  ])
})

test('this host has no containers, and no places', async () => {
  expect((await workspace.problems('vm "web" { image "image.qcow2"\nkind "container"\n}')).map(inOneLine)).toEqual([
    '2:6+11 error: this host has no system containers | leave it out, or choose a home: home "incus" { remote "…" }, or --home NAME',
  ])
  expect((await workspace.problems('vm "web" { image "image.qcow2"\nplace member="n2"\n}')).map(inOneLine)).toEqual([
    '2:1+5 warning: a place has no effect on this host | it is for homes that are clusters',
  ])
})
