// Writes the JavaScript of dist/: the code of vmctl and of oclif in few files, since loading hundreds takes longer than running them
// (docs/decisions/0037-bundle.md). Other packages stay outside. The types beside it are tsc's.
import {globSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {dirname, join, resolve} from 'node:path'

import {type InputOptions, rolldown} from 'rolldown'

import {lateBuiltins, lateRequires, shortWslUtils} from './late-modules.ts'

const root = resolve(import.meta.dirname, '..')
const dist = join(root, 'dist')
const {dependencies} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {dependencies: Record<string, string>}
const inside = new Set(['@oclif/core'])
const outside = ['vitest', ...Object.keys(dependencies).filter((name) => !inside.has(name))]

const writeFile = (path: string, text: string): void => {
  mkdirSync(dirname(join(dist, path)), {recursive: true})
  writeFileSync(join(dist, path), text)
}

/** What is loaded by its path: by oclif, by `exports` of package.json, by bin/run.js, and as a program. */
const doors = [
  'commands/**/*.ts',
  'cli/{main,outputs}.ts',
  'index.ts',
  'plugin.ts',
  'hypervisor/contract/contract.ts',
  'network/hub-program.ts',
  'hypervisor/qemu/guard-program.ts',
]

const src = join(root, 'src')
const entries = globSync(doors, {cwd: src, exclude: ['**/*.test.ts']})
const options: InputOptions = {
  platform: 'node',
  plugins: [lateBuiltins(`${src}/`), lateRequires(/\/@oclif\/core\/lib\/.*\.js$/), shortWslUtils()],
  // Dynamic imports of what another command loads at once say something of the source, where they are right.
  checks: {ineffectiveDynamicImport: false},
  external: (id) => outside.some((name) => id === name || id.startsWith(`${name}/`)),
}

/** What `vmctl --version` needs, which loads nothing else. */
const smallest = await rolldown({...options, input: join(src, 'cli/outputs.ts')})
const ofVersion = new Set((await smallest.generate({format: 'esm'})).output.flatMap((one) => (one.type === 'chunk' ? one.moduleIds : [])))
await smallest.close()

const bundle = await rolldown({...options, input: Object.fromEntries(entries.map((path) => [path.replace(/\.ts$/, ''), join(src, path)]))})
const {output} = await bundle.generate({
  format: 'esm',
  entryFileNames: '[name].js',
  chunkFileNames: 'chunks/[name]-[hash].js',
  // Read at each start; the source has them.
  comments: false,
  // What nearly every command loads is one file.
  codeSplitting: {
    groups: [
      {name: 'outputs', test: (id) => ofVersion.has(id), priority: 1},
      {name: 'common', minShareCount: 25},
    ],
  },
})
await bundle.close()

const chunks = output.filter((one) => one.type === 'chunk')
for (const {fileName, code} of chunks) writeFile(fileName, code)
// What an earlier build has left is gone last, so that a vmctl that runs meanwhile finds its files.
const written = new Set(chunks.map(({fileName}) => fileName))
for (const path of globSync('**/*.js', {cwd: dist})) if (!written.has(path)) rmSync(join(dist, path))

// Their licences want to be where their code is.
const packages = new Set(chunks.flatMap(({moduleIds}) => moduleIds.map((id) => /.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0])))
const notices = [...packages]
  .filter((path) => path !== undefined)
  .toSorted()
  .map((path) => {
    const licence = readdirSync(path).find((name) => /^licen[cs]e/i.test(name))
    const {name, license} = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as {name: string; license: string}
    return `${name} (${license})\n\n${licence === undefined ? '' : readFileSync(join(path, licence), 'utf8')}`
  })
writeFile('LICENSES.txt', notices.join(`\n${'-'.repeat(80)}\n`))
