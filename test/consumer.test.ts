import {execFileSync, spawnSync} from 'node:child_process'
import {cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs'
import {join, resolve} from 'node:path'

import {expect, test} from 'vitest'

import {temporaryDirectory} from './support/builders.ts'

const repository = resolve(import.meta.dirname, '..')
const tsc = (directory: string, ...words: readonly string[]): string => {
  try {
    return execFileSync(join(repository, 'node_modules/.bin/tsc'), words, {cwd: directory, encoding: 'utf8'})
  } catch (error) {
    return String(error instanceof Error && 'stdout' in error ? error.stdout : error)
  }
}

/** An empty project in which vmctl is installed: with our dependencies, and nothing that is there for our development. */
const makeProject = (): string => {
  const directory = temporaryDirectory()
  const installed = join(directory, 'node_modules/vmctl')
  mkdirSync(join(directory, 'node_modules/@types'), {recursive: true})
  expect(tsc(repository, '-p', 'tsconfig.build.json', '--emitDeclarationOnly', 'false', '--outDir', join(installed, 'dist'))).toBe('')
  cpSync(join(repository, 'package.json'), join(installed, 'package.json'))
  const {dependencies} = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {dependencies: Record<string, string>}
  for (const name of [...Object.keys(dependencies), '@types/node', 'undici-types']) {
    mkdirSync(join(directory, 'node_modules', name, '..'), {recursive: true})
    symlinkSync(join(repository, 'node_modules', name), join(directory, 'node_modules', name))
  }
  writeFileSync(join(directory, 'package.json'), '{"type": "module"}')
  cpSync(join(repository, 'examples/library/first.ts'), join(directory, 'first.ts'))
  return directory
}

test('in the project of a strict consumer the types compile, and the first program of the library page runs', () => {
  const directory = makeProject()
  writeFileSync(
    join(directory, 'program.ts'),
    "import {openEngine} from 'vmctl'\nimport type {Hypervisor} from 'vmctl/plugin'\nexport const backend: Hypervisor | undefined = undefined\nvoid openEngine\n",
  )
  writeFileSync(
    join(directory, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        strict: true,
        module: 'nodenext',
        target: 'es2024',
        lib: ['esnext'],
        noEmit: true,
        skipLibCheck: false,
        preserveSymlinks: true,
        types: ['node'],
      },
      files: ['program.ts', 'first.ts'],
    }),
  )
  expect(tsc(directory, '-p', '.')).toBe('')

  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', join(directory, 'disk.qcow2'), '1M'])
  const state = join(directory, 'state')
  const run = (image: string) => {
    const env = {...process.env, VMCTL_BACKEND: 'noop', VMCTL_STATE_DIR: state, VMCTL_NOOP_SSH: ''}
    const {stdout, stderr, status} = spawnSync(process.execPath, ['first.ts', image], {cwd: directory, env, encoding: 'utf8'})
    return {stdout, stderr, status}
  }
  expect(run('./other.qcow2')).toMatchObject({stdout: '', status: 3, stderr: expect.stringMatching(/^vmctl::image::not_found: /)})
  // The backend that runs nothing has no guest to enter; what follows is in test/e2e/lifecycle.e2e.ts.
  const ran = run('disk.qcow2')
  expect(ran).toMatchObject({status: 4, stdout: 'first is running, SSH on port undefined\n'})
  expect(ran.stderr).toContain('vmctl::backend::not_available: The noop VM first has no guest to talk to.\n')
  expect(readdirSync(join(state, 'vms'))).toEqual([])
})
