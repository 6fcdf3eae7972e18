import {existsSync, readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'

import {describe, expect, it} from 'vitest'

const root = join(import.meta.dirname, '..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const recipes = read('CONTRIBUTING.md').split('## Recipes')[1]?.split('## Stable interfaces')[0] ?? ''

describe('the recipes of CONTRIBUTING.md', () => {
  const named = [...recipes.matchAll(/`((?:src|test|docs|fixtures|scripts)\/[^`\s*]+\.\w+)`/g)].flatMap(([, path = '']) =>
    path.includes('NAME') ? [] : [path],
  )

  it('name files', () => expect(named.length).toBeGreaterThan(10))

  it.each(named)('%s is there', (path) => {
    expect(existsSync(join(root, path))).toBe(true)
  })

  it('a node that becomes an argument of QEMU touches the files of the table, five at most, and no other source', () => {
    const table = [...recipes.matchAll(/^\| `([^`]+)` \|/gm)].map(([, path = '']) => path)
    expect(table.length).toBeLessThanOrEqual(5)
    for (const path of table) expect(read(path), path).toMatch(/\bdisplay\b/)
    const others = readdirSync(join(root, 'src'), {recursive: true, encoding: 'utf8'})
      .map((path) => `src/${path}`)
      .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts') && !table.includes(path))
      .filter((path) => /\bqemu\??\.display\b|readonly display\b/.test(read(path)))
    expect(others).toEqual([])
  })
})
