import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {importFile, ImportError, printKdl} from '../../import/index.ts'
import {checkImported} from './import-check.ts'

const fixtures = join(import.meta.dirname, '../../../fixtures/import')

const files = readdirSync(fixtures, {recursive: true, encoding: 'utf8'}).filter((name) => /\/[^/]+$/.test(name) && !name.endsWith('.kdl'))

/** What comes of a file: its VMFile below everything that was said, as comments. */
const outcome = async (name: string): Promise<string> => {
  const said = (kind: string, lines: readonly string[]): string =>
    lines.map((line) => `// ${kind}: ${line.replaceAll('\n', ' ')}\n`).join('')
  try {
    const {nodes, warnings} = importFile(name, readFileSync(join(fixtures, name), 'utf8'), 'demo')
    const text = printKdl(nodes)
    const {isValid, problems} = await checkImported(text, join(fixtures, name, 'VMFile.kdl'), 'VMFile.kdl')
    const errors = problems.map(({line, message}) => `line ${line}: ${message}`)
    return `${said('warning', warnings)}${isValid ? '' : said('not valid', errors)}${text}`
  } catch (error) {
    if (!(error instanceof ImportError)) throw error
    return said('refused', [error.message])
  }
}

test('the corpus is there', () => {
  const count = (folder: string): number => files.filter((name) => name.startsWith(`${folder}/`)).length
  expect(count('vagrant')).toBeGreaterThanOrEqual(40)
  expect(count('libvirt')).toBeGreaterThanOrEqual(30)
  expect(count('holos')).toBeGreaterThanOrEqual(15)
  expect(count('qemu-compose')).toBeGreaterThanOrEqual(15)
})

test.each(files)('%s becomes the VMFile beside it, with everything said that it lacks', async (name) => {
  await expect(await outcome(name)).toMatchFileSnapshot(join(fixtures, `${name}.kdl`))
})
