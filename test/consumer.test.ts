import {execFileSync} from 'node:child_process'
import {cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs'
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

test('the types compile in an empty project of a strict consumer, which has our dependencies and nothing for our development', () => {
  const directory = temporaryDirectory()
  const installed = join(directory, 'node_modules/vmctl')
  mkdirSync(join(directory, 'node_modules/@types'), {recursive: true})
  expect(tsc(repository, '-p', 'tsconfig.build.json', '--emitDeclarationOnly', '--outDir', join(installed, 'dist'))).toBe('')
  cpSync(join(repository, 'package.json'), join(installed, 'package.json'))
  const {dependencies} = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {dependencies: Record<string, string>}
  for (const name of [...Object.keys(dependencies), '@types/node', 'undici-types']) {
    mkdirSync(join(directory, 'node_modules', name, '..'), {recursive: true})
    symlinkSync(join(repository, 'node_modules', name), join(directory, 'node_modules', name))
  }
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
      files: ['program.ts'],
    }),
  )
  expect(tsc(directory, '-p', '.')).toBe('')
})
