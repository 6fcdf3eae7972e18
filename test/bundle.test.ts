import {existsSync, globSync, readFileSync} from 'node:fs'
import {join, resolve} from 'node:path'

import {expect, test} from 'vitest'

const root = resolve(import.meta.dirname, '..')

test('what runs as a program of its own is built as one', () => {
  const doors = readFileSync(join(root, 'scripts/bundle.ts'), 'utf8')
  const programs = globSync('src/**/*.ts', {cwd: root, exclude: ['**/*.test.ts']}).flatMap((path) =>
    Array.from(readFileSync(join(root, path), 'utf8').matchAll(/\bownProgram\('([^']+)'\)/g), ([, name = '']) => name),
  )
  expect(programs.toSorted()).toEqual(['hypervisor/qemu/guard-program', 'network/hub-program'])
  for (const name of programs) {
    expect(existsSync(join(root, 'src', `${name}.ts`))).toBe(true)
    expect(doors).toContain(`'${name}.ts'`)
  }
})
