import {execFile, execFileSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {chmodSync, chownSync, lchownSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {join, relative} from 'node:path'

import {describe, expect, it} from 'vitest'

import {needsUser, testUnless} from '../../test/support/programs.ts'
import {backends, inOneLine, privateKey, publicKey, useWorkspace, type Workspace} from '../../fixtures/vmfiles/workspace.ts'
import {parseImagesFile} from './catalogue.ts'
import {discoverVmfile, loadVmfile, nearestVmfile} from './index.ts'

const good = new URL('../../fixtures/vmfiles/good/everything.kdl', import.meta.url)
const minimal = 'vm "a" { image "image.qcow2"; }\n'

let workspace: Workspace
useWorkspace((made) => {
  workspace = made
})

describe('loadVmfile', () => {
  it('reads every node and field', async () => {
    const {vms, warnings} = await loadVmfile(workspace.write('VMFile.kdl', readFileSync(good)), {backends})
    expect(warnings).toEqual([])
    expect(vms).toEqual([
      {
        name: 'everything',
        image: {kind: 'file', source: workspace.path('images/ubuntu.qcow2'), format: 'qcow2', sha256: `abcdef${'0'.repeat(58)}`},
        vcpus: 4,
        memoryMiB: 2048,
        diskBytes: 40 * 2 ** 30,
        network: {type: 'tap', bridge: 'virbr1'},
        cloudInit: {hostname: 'every.thing', user: 'deploy', sshKeys: [publicKey('a'), publicKey('b', 'ssh-rsa'), publicKey()]},
        ssh: {user: 'deploy', privateKeyPath: workspace.path('home/.ssh/id_ed25519'), keyType: 'ecdsa'},
        firmware: {type: 'uefi', secureBoot: true, code: workspace.path('firmware/code.fd'), vars: workspace.path('firmware/vars.fd')},
        qemu: {
          machine: 'q35',
          cpu: 'host',
          accel: ['kvm', 'tcg'],
          binary: workspace.path('bin/qemu-system-x86_64'),
          args: ['-device', 'virtio-gpu-pci', '-display', 'egl-headless'],
        },
        provision: [
          {
            type: 'shell',
            settings: {
              script: workspace.path('scripts/setup.sh'),
              args: ['--fast', 'two words', ''],
              env: Object.fromEntries([
                ['LANG', 'C'],
                ['EMPTY', ''],
                ['__proto__', 'own'],
                ['constructor', 'too'],
              ]),
              timeoutMs: 150_000,
              privileged: true,
            },
          },
          {type: 'shell', settings: {inline: 'echo hello > /tmp/hello', args: [], env: {}, timeoutMs: 90_000, privileged: false}},
          {
            type: 'file',
            settings: {source: workspace.path('config'), destination: '/etc/app', mode: 0o640, owner: 'root:adm', privileged: true},
          },
        ],
      },
      {
        name: 'short_1.',
        image: {kind: 'url', source: 'https://example.com/a.img.zst', format: 'raw', checksumUrl: 'https://example.com/SHA512SUMS'},
        vcpus: 1,
        memoryMiB: 512,
        diskBytes: 20 * 2 ** 30,
        network: {type: 'vnic', name: 'vnic0'},
        cloudInit: {
          hostname: 'short-1',
          sshKeys: [],
          userData: {path: workspace.path('cloud-config.yaml'), sha256: createHash('sha256').update('#cloud-config\n').digest('hex')},
        },
        ssh: {user: 'debian'},
        firmware: {type: 'bios', secureBoot: false},
        qemu: {binary: 'qemu-kvm', accel: ['tcg']},
        provision: [
          {
            type: 'file',
            settings: {source: workspace.path('home/.ssh/id_ed25519.pub'), destination: '/home/debian/key', privileged: false},
          },
        ],
      },
      {
        name: 'user',
        image: {kind: 'file', source: workspace.path('image.qcow2')},
        vcpus: 1,
        memoryMiB: 1024,
        network: {type: 'user'},
        cloudInit: {hostname: 'user', sshKeys: []},
        provision: [],
      },
      {
        name: 'none',
        image: {kind: 'file', source: workspace.path('image.qcow2')},
        vcpus: 1,
        memoryMiB: 1024,
        network: {type: 'none'},
        ssh: {},
        qemu: {},
        provision: [],
      },
    ])
  })

  it('takes paths from the directory of the file, free of symbolic links', async () => {
    workspace.write('VMFile.kdl', minimal)
    symlinkSync(workspace.directory, workspace.path('link'))
    const {path, directory, vms} = await loadVmfile(workspace.path('link', 'VMFile.kdl'))
    expect({path, directory}).toEqual({path: workspace.path('VMFile.kdl'), directory: workspace.directory})
    expect(vms[0]?.image.source).toBe(workspace.path('image.qcow2'))
  })

  it('names the file in problems as it was given, and counts them', async () => {
    const given = relative(process.cwd(), workspace.write('broken.kdl', 'vm "a" { image "nothing"; vcpu 1 }'))
    await expect(loadVmfile(given)).rejects.toMatchObject({
      code: 'vmctl::vmfile::validation',
      message: `2 problems in ${given}`,
      problems: [
        {file: given, line: 1, column: 16},
        {file: given, line: 1, column: 27},
      ],
    })
    workspace.write('broken.kdl', 'vm "a')
    await expect(loadVmfile(given)).rejects.toMatchObject({code: 'vmctl::vmfile::parse_failed', message: `1 problem in ${given}`})
  })

  it('accepts a byte order mark and the line ends of Windows', async () => {
    const {vms} = await loadVmfile(workspace.write('windows.kdl', `\uFEFF${minimal.replaceAll('\n', '\r\n').replace('{', '{\r\n')}`))
    expect(vms).toHaveLength(1)
  })

  it.each([
    ['what is not UTF-8', Buffer.from([0x76, 0x6d, 0xff]), 'this is not a text in UTF-8'],
    ['a binary file', Buffer.from('QFI\xfb\0\0', 'utf8'), 'the character U+0000 is not allowed in a VMFile'],
    ['more than 1 MB', Buffer.alloc(2 ** 20 + 1, 32), 'a VMFile has 1 MB at most'],
    ['an empty file', Buffer.alloc(0), 'no vm definitions found'],
  ])('refuses %s', async (_name, content, message) => {
    await expect(loadVmfile(workspace.write('odd.kdl', content))).rejects.toMatchObject({problems: [{message, line: 1}]})
  })

  it('refuses what has no end', async () => {
    await expect(loadVmfile('/dev/zero')).rejects.toMatchObject({problems: [{message: 'a VMFile has 1 MB at most'}]})
  })

  it('reads from a pipe', async () => {
    const pipe = workspace.path('pipe')
    execFileSync('mkfifo', [pipe])
    execFile('cp', [workspace.write('piped.kdl', minimal), pipe])
    expect((await loadVmfile(pipe)).vms).toHaveLength(1)
  })

  it('says that a file does not exist, or is a directory', async () => {
    await expect(loadVmfile(workspace.path('nothing.kdl'))).rejects.toMatchObject({code: 'vmctl::vmfile::not_found'})
    await expect(loadVmfile(workspace.directory)).rejects.toMatchObject({code: 'vmctl::vmfile::not_found'})
  })

  testUnless(needsUser())('says what may not be read', async () => {
    chmodSync(workspace.write('secret', privateKey), 0)
    await expect(loadVmfile(workspace.path('secret'))).rejects.toMatchObject({
      code: 'vmctl::io',
      message: expect.stringContaining('permission denied'),
    })
    const problems = await workspace.problems('vm "a" {\n image "image.qcow2"\n ssh private-key="secret"\n cloud-init ssh-key="secret"\n}')
    expect(problems.map(inOneLine)).toEqual([
      '3:18+8 warning: private key "secret" cannot be read: permission denied | make it readable for you: chmod 600',
      '4:21+8 error: public key file "secret" cannot be read: permission denied',
    ])
  })
})

describe('the files that a VMFile names', () => {
  it('user-data has 16 MB at most', async () => {
    workspace.write('large.yaml', Buffer.alloc(16 * 2 ** 20 + 1, 35))
    workspace.write('just.yaml', Buffer.alloc(16 * 2 ** 20, 35))
    const messages = async (name: string): Promise<readonly string[]> =>
      (await workspace.problems(`vm "a" { image "image.qcow2"; cloud-init user-data="${name}"; }`)).map(({message}) => message)
    expect(await messages('large.yaml')).toEqual(['the user-data file is larger than 16 MB'])
    expect(await messages('just.yaml')).toEqual([])
  })

  it('takes a public key as text', async () => {
    const key = publicKey('me@here', 'ecdsa-sha2-nistp256')
    const {vms} = await workspace.parse(`vm "a" { image "image.qcow2"; cloud-init ssh-key="${key}"; }`)
    expect(vms[0]?.cloudInit?.sshKeys).toEqual([key])
  })

  it('does not let a key smuggle in a second line', async () => {
    const problems = await workspace.problems(`vm "a" { image "image.qcow2"; cloud-init ssh-key="${publicKey()}\\nuser: root"; }`)
    expect(problems.map(({message}) => message)).toEqual(['this is not a public key'])
  })

  it('survives paths that no system has', async () => {
    symlinkSync('loop', workspace.path('loop'))
    const problems = await workspace.problems(
      ['x'.repeat(300), 'a\\u{0}b', 'image.qcow2/x', 'loop'].map((path, index) => `vm "${index}" { image "${path}"; }\n`).join(''),
    )
    expect(problems.map(({message}) => message.replace(/x{20,}/, 'x…'))).toEqual([
      'image file "x……" cannot be used: the name is too long',
      'the path contains the character U+0000',
      'image file not found: "image.qcow2/x"',
      'image file "loop" cannot be used: too many symbolic links',
    ])
  })
})

describe('what plugins bring', () => {
  const provisionTypes = new Map([
    [
      'ansible',
      (settings: Readonly<Record<string, unknown>>) => {
        if (typeof settings.playbook !== 'string') throw new Error('playbook is missing')
        return settings
      },
    ],
  ])

  it('provision types get their settings as written', async () => {
    const text = `vm "a" {
      image "image.qcow2"
      ssh user="a"
      provision "ansible" become=#true { playbook "site.yml"; tags "a" "b"; tags "c"; forks 5; }
    }`
    const {vms} = await workspace.parse(text, {provisionTypes})
    expect(vms[0]?.provision).toEqual([{type: 'ansible', settings: {become: true, playbook: 'site.yml', tags: ['a', 'b', 'c'], forks: 5}}])
  })

  it('what they refuse is a problem at the step', async () => {
    const problems = await workspace.problems(
      'vm "a" {\n  image "image.qcow2"; ssh { }\n  provision "ansible" { x { y 1; }; z; }\n  provision "anible"\n}',
      {provisionTypes},
    )
    expect(problems.map(inOneLine)).toEqual([
      '3:3+9 error: provision "ansible": playbook is missing',
      '3:25+1 error: x has no block | remove { and }',
      '3:25+1 error: x needs a value | write x "…"',
      '3:37+1 error: z needs a value | write z "…"',
      '4:13+8 error: unknown provision type: anible | did you mean "ansible"?',
    ])
  })

  it('schemes of image URLs', async () => {
    const text = 'vm "a" { image-url "oci://ghcr.io/org/image:1"; }'
    expect((await workspace.parse(text, {imageSchemes: ['oci']})).vms[0]?.image).toEqual({kind: 'url', source: 'oci://ghcr.io/org/image:1'})
    expect((await workspace.problems(text)).map(inOneLine)).toEqual([
      '1:20+27 error: URLs of the scheme oci: are not supported | it starts with http://, https://',
    ])
    const known = await workspace.problems(text, {imageSchemes: ['https', 'http', 's3']})
    expect(known.map(inOneLine)).toEqual([
      '1:20+27 error: URLs of the scheme oci: are not supported | it starts with http://, https://, s3://',
    ])
  })
})

describe('an image in a registry', () => {
  const at = (reference: string, more = ''): string => `vm "a" { image-url "oci://${reference}" ${more}; }`
  const imageSchemes = ['oci']

  it('has one form', async () => {
    for (const reference of ['GHCR.io/org/image', 'ghcr.io/org/image:latest'])
      expect((await workspace.parse(at(reference), {imageSchemes})).vms[0]?.image.source).toBe('oci://ghcr.io/org/image:latest')
  })

  it.each([
    ['ghcr.io/Org/image', '', /^1:20\+\d+ error: this names no repository \| a repository has lower-case letters/],
    ['anna:secret@ghcr.io/image', '', /^1:20\+\d+ error: a registry is not given a user or a password/],
    ['ghcr.io/image@sha256:1', '', /^1:20\+\d+ error: this is no digest of a manifest/],
    ['ghcr.io/image:1', 'checksum-url="https://x/SUMS"', /^1:\d+\+\d+ error: a registry has no list of checksums/],
  ])('refused: %s %s', async (reference, more, message) => {
    const problems = (await workspace.problems(at(reference, more), {imageSchemes})).map(inOneLine)
    expect(problems).toEqual([expect.stringMatching(message)])
    expect(problems.join()).not.toContain('secret')
  })

  it('may have several mirrors of one publisher, which keep their order', () => {
    const text = ['far', 'near'].map((place) => `mirror "debian" "https://${place}.example.org"\n`).join('')
    expect(parseImagesFile(text, {file: 'images.kdl', known: ['debian']}).mirrors.map(({origin}) => origin)).toEqual([
      'https://far.example.org',
      'https://near.example.org',
    ])
  })

  it('may have a mirror, which is told from a misspelt publisher by its dot', () => {
    const read = (name: string) => parseImagesFile(`mirror "${name}" "https://m.example.org/x/"`, {file: 'images.kdl', known: ['debian']})
    expect(read('ghcr.io').mirrors).toEqual([{publisher: 'ghcr.io', origin: 'https://m.example.org/x', isComplete: false}])
    expect(() => read('debain')).toThrow(expect.objectContaining({code: 'vmctl::vmfile::validation'}))
  })
})

describe('discoverVmfile', () => {
  it('prefers the one that is named, then VMCTL_FILE, then VMFile.kdl', () => {
    const directory = workspace.path('discover')
    mkdirSync(join(directory, 'sub'), {recursive: true})
    for (const name of ['VMFile.kdl', 'named.kdl', 'env.kdl']) writeFileSync(join(directory, name), minimal)
    const env = {VMCTL_FILE: 'env.kdl'}
    expect(discoverVmfile('named.kdl', directory, env)).toBe(join(directory, 'named.kdl'))
    expect(discoverVmfile(undefined, directory, env)).toBe(join(directory, 'env.kdl'))
    expect(discoverVmfile(undefined, directory, {})).toBe(join(directory, 'VMFile.kdl'))
    expect(discoverVmfile(undefined, directory, {VMCTL_FILE: ''})).toBe(join(directory, 'VMFile.kdl'))
  })

  it('keeps what the user wrote when it means the same here', () => {
    const given = relative(process.cwd(), workspace.write('VMFile.kdl', minimal))
    expect(discoverVmfile(given, process.cwd(), {})).toBe(given)
  })

  it.each([
    ['nothing.kdl', {}, 'The VMFile nothing.kdl does not exist.'],
    ['sub', {}, 'The VMFile sub is a directory.'],
    [undefined, {VMCTL_FILE: 'nothing.kdl'}, 'The VMFile nothing.kdl (named by VMCTL_FILE) does not exist.'],
  ])('says what is wrong with %s %j', (explicit, env, message) => {
    expect(() => discoverVmfile(explicit, workspace.path('discover'), env)).toThrow(
      expect.objectContaining({code: 'vmctl::vmfile::not_found', message}),
    )
  })

  it('takes the nearest above, by a path from here, unless it is named', () => {
    const below = workspace.path('discover', 'sub', 'deep')
    mkdirSync(below, {recursive: true})
    expect(discoverVmfile(undefined, below, {})).toBe(workspace.path('discover', 'VMFile.kdl'))
    const here = process.cwd()
    process.chdir(below)
    try {
      expect(discoverVmfile(undefined, process.cwd(), {})).toBe('../../VMFile.kdl')
    } finally {
      process.chdir(here)
    }
    mkdirSync(workspace.path('discover', 'sub', 'VMFile.kdl'))
    expect(discoverVmfile(undefined, below, {}), 'a directory of that name is none').toBe(workspace.path('discover', 'VMFile.kdl'))
    expect(nearestVmfile(below)).toBe(workspace.path('discover', 'VMFile.kdl'))
    expect(() => discoverVmfile('VMFile.kdl', below, {})).toThrow('The VMFile VMFile.kdl does not exist.')
    rmSync(workspace.path('discover', 'sub', 'VMFile.kdl'), {recursive: true})
  })

  it('finds none at the root', () => {
    expect(() => discoverVmfile(undefined, '/', {})).toThrow('There is no VMFile.kdl in / or above it.')
    expect(nearestVmfile('/')).toBeUndefined()
  })

  // Only root can give a file away.
  it.skipIf(process.getuid?.() !== 0)('takes none of another user from above, and says so; here, and by name, it does', () => {
    const directory = workspace.path('discover', 'shared')
    const below = join(directory, 'sub')
    mkdirSync(below, {recursive: true})
    const path = join(directory, 'VMFile.kdl')
    const refused = expect.objectContaining({
      message: `There is no VMFile.kdl in ${below} or above it.`,
      help: `${path} belongs to another user, so it is not taken from below; \`--file ${path}\` does.`,
    })
    writeFileSync(path, minimal)
    chownSync(path, 12_345, 12_345)
    expect(() => discoverVmfile(undefined, below, {})).toThrow(refused)
    expect(nearestVmfile(below)).toBeUndefined()
    expect(discoverVmfile(undefined, directory, {})).toBe(path)
    expect(discoverVmfile(path, below, {})).toBe(path)
    rmSync(path)
    symlinkSync(workspace.path('discover', 'VMFile.kdl'), path)
    lchownSync(path, 12_345, 12_345)
    expect(() => discoverVmfile(undefined, below, {}), 'nor by a link to one of ours').toThrow(refused)
    lchownSync(path, 0, 0)
    expect(discoverVmfile(undefined, below, {})).toBe(path)
  })
})
