import {readdirSync, readFileSync} from 'node:fs'

import {describe, expect, it} from 'vitest'

import {inOneLine, useWorkspace, type Workspace} from '../../fixtures/vmfiles/workspace.ts'

const book = new URL('../../fixtures/vmfiles/book/', import.meta.url)
const names = readdirSync(book)
  .filter((name) => name.endsWith('.kdl'))
  .toSorted()

/** The book shows most nodes alone; this puts a fragment where it belongs. */
const complete = (fragment: string): string => {
  const first = /^\s*(?:\/\/.*\s+)*([a-z-]+)/.exec(fragment)?.[1] ?? ''
  if (first === 'vm') return fragment
  if (['hostname', 'ssh-key', 'user-data'].includes(first)) return complete(`cloud-init {\n${fragment}}\n`)
  if (['user', 'private-key'].includes(first)) return complete(`ssh {\n${fragment}}\n`)
  const image = first.startsWith('image') ? '' : 'image "image.qcow2"\n'
  const ssh = first === 'provision' ? 'ssh { user "ubuntu"; }\n' : ''
  return `vm "example" {\n${image}${ssh}${fragment}}\n`
}

/** Templates that the book does not mean to be used as they stand, and what is wrong with them. */
const templates: Readonly<Record<string, readonly string[]>> = {
  '16': ['no image specified'],
  '17': ['duplicate node "image"'],
  '18': ['no image specified'],
  '25': ['unknown network type: mode', 'duplicate node "network"'],
  '27': ['duplicate node "network"'],
}

describe('every VMFile of the vmctl book', () => {
  let workspace: Workspace
  useWorkspace((made) => {
    workspace = made
  })

  it('is here', () => expect(names).toHaveLength(44))

  it.each(names)('%s', async (name) => {
    const text = complete(readFileSync(new URL(name, book), 'utf8'))
    const problems = await workspace.problems(text)
    const errors = problems.filter(({severity}) => severity === 'error')
    expect(
      errors.map(({message}) => message),
      problems.map(inOneLine).join('\n'),
    ).toEqual(templates[name.slice(0, 2)] ?? [])
  })

  it('means what the book says', async () => {
    const {vms} = await workspace.parse(readFileSync(new URL('40-full-example.kdl', book), 'utf8'))
    const cloudImage = {kind: 'url', source: 'https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img'}
    const shell = {args: [], env: {}, privileged: false}
    expect(vms).toEqual([
      {
        name: 'full-example',
        image: cloudImage,
        vcpus: 4,
        memoryMiB: 4096,
        diskBytes: 40 * 2 ** 30,
        network: {type: 'user'},
        cloudInit: {hostname: 'full-example', sshKeys: []},
        ssh: {user: 'ubuntu'},
        provision: [
          {type: 'shell', settings: {...shell, inline: 'sudo apt-get update && sudo apt-get install -y build-essential curl git'}},
          {type: 'file', settings: {source: workspace.path('config/bashrc'), destination: '/home/ubuntu/.bashrc', privileged: false}},
          {type: 'shell', settings: {...shell, script: workspace.path('scripts/setup-dev-tools.sh')}},
        ],
      },
      {
        name: 'tap-example',
        image: {kind: 'file', source: workspace.path('home/images/debian-12-generic-amd64.qcow2')},
        vcpus: 2,
        memoryMiB: 2048,
        network: {type: 'tap', bridge: 'br0'},
        cloudInit: {hostname: 'tap-vm', sshKeys: [expect.stringMatching(/^ssh-ed25519 \S+ test@example$/)]},
        ssh: {user: 'debian', privateKeyPath: workspace.path('home/.ssh/id_ed25519')},
        provision: [],
      },
      {name: 'minimal', image: cloudImage, vcpus: 1, memoryMiB: 1024, network: {type: 'user'}, provision: []},
    ])
  })
})
