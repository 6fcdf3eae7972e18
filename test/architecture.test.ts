import {readdirSync, readFileSync} from 'node:fs'
import {dirname, join, relative} from 'node:path'
import {fileURLToPath} from 'node:url'

import {expect, test} from 'vitest'

const source = join(dirname(fileURLToPath(import.meta.url)), '../src')

const foldersOf = (folder: string): string[] =>
  readdirSync(join(source, folder), {withFileTypes: true})
    .filter((entry) => entry.isDirectory())
    .map(({name}) => name)

/** What the engine joins; parts do not know each other. */
const parts = ['guest', 'hypervisor', 'image', 'import', 'network', 'provision', 'share', 'store', 'systemd', 'vmfile', 'volume']

/** Who may import whom. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  commands: ['cli', 'engine', 'model'],
  cli: ['engine', 'model'],
  engine: [...parts, 'host', 'model'],
  ...Object.fromEntries(parts.map((part) => [part, ['host', 'model']])),
  host: ['model'],
  model: [],
}

/**
 * The rooms of a folder: its sub-folders, each with the others of the same folder that it may import, in the order in which data
 * flows upwards. `.` are the files of the folder itself; a room that is not listed may import any and be imported by none.
 */
const rooms: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  engine: {
    plan: [],
    '.': ['plan'],
    resources: ['.', 'plan'],
    reach: ['.', 'plan', 'resources'],
    make: ['.', 'plan', 'resources', 'reach'],
    vm: ['.', 'plan', 'resources', 'reach', 'make'],
    snapshot: ['.', 'plan', 'resources', 'reach', 'make', 'vm'],
    fork: ['.', 'plan', 'resources', 'reach', 'make', 'vm', 'snapshot'],
    converge: ['.', 'plan', 'resources', 'reach', 'make', 'vm'],
    show: ['.', 'plan', 'resources', 'reach', 'make', 'vm', 'snapshot', 'converge'],
    manage: ['.', 'plan', 'resources', 'reach', 'make', 'vm'],
  },
  vmfile: {
    kdl: [],
    grammar: ['kdl'],
    resolve: ['grammar', 'kdl'],
    nodes: ['resolve', 'grammar', 'kdl'],
    lock: ['grammar', 'kdl'],
    '.': ['nodes', 'resolve', 'grammar', 'kdl'],
  },
  guest: {
    programs: [],
    keys: [],
    ssh: ['keys'],
    seed: ['keys', 'programs'],
    setup: ['programs'],
    ready: ['keys', 'programs', 'ssh'],
    '.': ['programs', 'ssh'],
    sftp: ['.', 'ssh'],
  },
  provision: {
    programs: [],
    '.': [],
    log: ['.'],
    job: ['.', 'programs'],
    tree: ['.', 'job', 'programs'],
    steps: ['.', 'job', 'log', 'programs', 'tree'],
    run: ['.', 'log'],
    dockerfile: ['tree'],
  },
  // A folder for each backend.
  hypervisor: {'.': [], ...Object.fromEntries(foldersOf('hypervisor').map((name) => [name, ['.']]))},
  // Programs are texts with a type; what sends them is beside that type.
  model: {'.': ['programs'], programs: ['.']},
  image: {catalogue: ['.'], oci: ['.'], build: ['.'], '.': []},
  import: {'.': ['compose', 'libvirt', 'vagrant'], compose: ['.'], libvirt: ['.'], vagrant: ['.']},
}

/** A package, and the folders that may import it. */
const homes: Readonly<Record<string, readonly string[]>> = {
  '@oclif/core': ['commands', 'cli'],
  'string-width': ['cli'],
  'node:child_process': ['host'],
  undici: ['image', 'hypervisor'],
  openpgp: ['image'],
  'node:http': ['image'],
  'node:https': ['image'],
  ssh2: ['guest'],
  'js-yaml': ['guest', 'import'],
  '@xmldom/xmldom': ['import'],
}

/** What stands in the text of a file, and where it may. */
const words: readonly {readonly pattern: RegExp; readonly where: (path: string, folder: string) => boolean}[] = [
  {pattern: /process\.env\b/, where: (path, folder) => ['commands', 'cli', 'host'].includes(folder) || path === 'engine/engine.ts'},
  {pattern: /process\.cwd\(\)/, where: (_path, folder) => ['commands', 'cli', 'host'].includes(folder)},
  {pattern: /process\.exit\b/, where: (_path, folder) => folder === 'cli'},
  // `makeDirectory` of host/files.ts ends where this does not.
  {pattern: /\bmkdir(?:Sync)?\([^)]*\brecursive\b/, where: () => false},
  // What is a backend's own: its name, its files, its programs.
  {
    pattern: /\b(?:qemu(?!-img|-compose)|qmp\w*|pidfile|virtiofsd)\b|(?:overlay\.qcow2|seed\.iso|iso9660|console\.sock)\b/i,
    where: (path, folder) => !['engine', 'model'].includes(folder) || ['engine/engine.ts', 'engine/failures.ts'].includes(path),
  },
  {pattern: /\bconsole\.(?:log|error|warn|info)\(/, where: () => false},
]

/** No command line of the host is ever read by a shell; programs get their arguments as they are. */
const shells: readonly RegExp[] = [
  /\b(?:execSync|execFile|execFileSync|spawnSync)\b/,
  /\bfork\b.*node:child_process/,
  /\b(?:spawn|run|runOrThrow|spawnDetached|runInteractive)\(\s*['"`](?:\S*\/)?(?:ba|da|a|z|k)?sh['"`]/,
  /program: ['"`](?:\S*\/)?(?:ba|da|a|z|k)?sh['"`]/,
]

interface Source {
  /** From src/. */
  readonly path: string
  /** The folder of src/ that it is in; empty for src/index.ts and src/plugin.ts. */
  readonly folder: string
  readonly isTest: boolean
  readonly text: string
  /** As written: types only, dynamic and re-exported ones included. */
  readonly imports: readonly string[]
}

const specifier = /(?:\bfrom\s+|\bimport\s+|\bimport\s*\(\s*)'(?<name>[^'\n]+)'/g

const folderOf = (path: string): string => (path.includes('/') ? path.slice(0, path.indexOf('/')) : '')

const withoutComments = (text: string): string => text.replaceAll(/^\s*(?:\/\/|\/?\*).*$/gm, '')

const sources: readonly Source[] = readdirSync(source, {recursive: true, encoding: 'utf8'})
  .filter((path) => path.endsWith('.ts'))
  .map((path) => {
    const text = withoutComments(readFileSync(join(source, path), 'utf8'))
    const imports = [...text.matchAll(specifier)].map(({groups}) => groups?.name ?? '')
    return {path, folder: folderOf(path), isTest: path.endsWith('.test.ts'), text, imports}
  })

/** The path from src/ that a relative import leads to. */
const target = (from: Source, name: string): string => relative(source, join(source, dirname(from.path), name))

test('this test sees the source', () => {
  expect(sources.length).toBeGreaterThanOrEqual(80)
  expect(new Set(sources.map(({folder}) => folder))).toEqual(new Set(['', ...Object.keys(mayImport)]))
  expect(sources.flatMap(({imports}) => imports).length).toBeGreaterThan(300)
})

test('folders import only what they may', () => {
  const offences = sources.flatMap((file) =>
    file.imports
      .filter((name) => name.startsWith('.'))
      .map((name) => target(file, name))
      .filter((path) => {
        if (path.startsWith('../')) return !file.isTest || !/^\.\.\/(?:test|fixtures)\//.test(path)
        const folder = folderOf(path)
        return file.folder !== '' && folder !== file.folder && !(mayImport[file.folder] ?? []).includes(folder)
      })
      .map((path) => `${file.path} imports ${path}`),
  )
  expect(offences).toEqual([])
})

/** `engine/plan/plan.ts` is in the room `plan`, `engine/find.ts` in `.`. */
const roomOf = (path: string): string => (path.split('/').length > 2 ? (path.split('/')[1] ?? '.') : '.')

test('rooms import only what stands below them', () => {
  const offences = sources
    .filter(({isTest}) => !isTest)
    .flatMap((file) => {
      const plan = rooms[file.folder]
      const own = roomOf(file.path)
      if (!plan) return own === '.' || file.folder === 'commands' ? [] : [`${file.path} is in a room that this test does not know`]
      return importsWithin(file)
        .map((path) => roomOf(path))
        .filter((room) => room !== own && !(plan[own] ?? []).includes(room))
        .map((room) => `${file.path} imports from ${room}`)
    })
  expect(offences).toEqual([])
})

/** The imports of a file from its own folder of src/. */
const importsWithin = (file: Source): readonly string[] =>
  file.imports
    .filter((name) => name.startsWith('.'))
    .map((name) => target(file, name))
    .filter((path) => folderOf(path) === file.folder)

test('no files import each other in a circle, not even for types', () => {
  const modules = new Map(sources.filter(({isTest}) => !isTest).map((file) => [file.path, file]))
  const finished = new Set<string>()
  const circles: string[] = []
  const visit = (path: string, above: readonly string[]): void => {
    if (above.includes(path)) circles.push([...above.slice(above.indexOf(path)), path].join(' → '))
    const file = modules.get(path)
    if (!file || finished.has(path) || above.includes(path)) return
    for (const name of file.imports.filter((one) => one.startsWith('.'))) visit(target(file, name), [...above, path])
    finished.add(path)
  }
  for (const path of modules.keys()) visit(path, [])
  expect(circles).toEqual([])
})

test('the engine knows a backend only where it opens it and joins its failures, and the model none', () => {
  const backends = foldersOf('hypervisor')
    .filter((name) => name !== 'contract')
    .map((name) => `hypervisor/${name}/`)
  const who = sources
    .filter(({isTest, folder}) => !isTest && folder !== '' && folder !== 'hypervisor')
    .filter((file) => file.imports.some((name) => backends.some((backend) => target(file, name).startsWith(backend))))
    .map(({path}) => path)
  expect(who).toEqual(['engine/engine.ts', 'engine/failures.ts'])
})

test('a package is imported in its one home', () => {
  const offences = sources
    .filter(({isTest}) => !isTest)
    .flatMap(({path, folder, imports}) =>
      imports
        .filter((name) =>
          Object.entries(homes).some(([home, folders]) => (name === home || name.startsWith(`${home}/`)) && !folders.includes(folder)),
        )
        .map((name) => `${path} imports ${name}`),
    )
  expect(offences).toEqual([])
})

test('what the product imports is installed with it, and has a home', () => {
  const pjson = JSON.parse(readFileSync(join(source, '../package.json'), 'utf8')) as {
    readonly dependencies: Readonly<Record<string, string>>
  }
  const packageOf = (name: string): string => /^(?:@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? name
  const imported = new Set(
    sources
      .filter(({isTest, path}) => !isTest && !path.startsWith('hypervisor/contract/'))
      .flatMap(({imports}) => imports.filter((name) => !/^(?:\.|node:)/.test(name)).map(packageOf)),
  )
  const wanted = Object.keys(pjson.dependencies)
  expect([...imported].toSorted()).toEqual(wanted.toSorted())
  expect(wanted.filter((name) => !Object.hasOwn(homes, name))).toEqual([])
})

test('the doors of the library only re-export', () => {
  for (const {path, text} of sources.filter(({folder}) => folder === '')) {
    expect(text.replaceAll(/export (?:type )?(?:\*|\{[^}]*\}) from '[^']+'/g, '').trim(), path).toBe('')
  }
})

test('the process is asked and ended only where it may be', () => {
  const offences = sources
    .filter(({isTest}) => !isTest)
    .flatMap(({path, folder, text}) =>
      words.flatMap(({pattern, where}) => (pattern.test(text) && !where(path, folder) ? [`${path} has ${pattern.source}`] : [])),
    )
  expect(offences).toEqual([])
})

test('no shell of the host reads anything', () => {
  const spawning = sources.filter(({isTest, imports}) => !isTest && imports.includes('node:child_process'))
  expect(spawning.length).toBeGreaterThan(0)
  for (const {path, text} of spawning) {
    // The option of `spawn`.
    expect(text, path).not.toMatch(/\bshell:/)
    const named = [...text.matchAll(/import \{([^}]*)\} from 'node:child_process'/g)].flatMap(([, names = '']) =>
      names.split(',').map((name) => name.trim()),
    )
    expect(
      named.filter((name) => name !== 'spawn' && !name.startsWith('type ')),
      path,
    ).toEqual([])
  }
  const offences = sources
    .filter(({isTest}) => !isTest)
    .flatMap(({path, text}) => shells.flatMap((pattern) => (pattern.test(text) ? [`${path} has ${pattern.source}`] : [])))
  expect(offences).toEqual([])
})
