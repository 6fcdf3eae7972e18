/**
 * Writes the generated parts of docs/: whole pages of docs/reference, and the excerpts of real files in the other pages. Puts
 * oclif.manifest.json, which `oclif manifest` has written, in order.
 *
 *   node scripts/docs.ts            writes what is stale
 *   node scripts/docs.ts --check    only lists it; status 1 when there is any
 */
import {readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join, relative} from 'node:path'

import {commandsPage} from './docs-commands.ts'
import {errorsPage, exitCodesPage} from './docs-errors.ts'
import {jsonPage} from './docs-json.ts'
import {vmfilePage} from './docs-vmfile.ts'

const root = join(import.meta.dirname, '..')

/** Every generated or partly generated file, by its path from the root, with the text that it should have. */
export const generateDocs = async (): Promise<ReadonlyMap<string, string>> => {
  const pages = new Map<string, string>([
    ['docs/reference/vmfile.md', vmfilePage()],
    ['docs/reference/commands.md', await commandsPage()],
    ['docs/reference/errors.md', errorsPage()],
    ['docs/reference/exit-codes.md', exitCodesPage()],
    ['docs/reference/json.md', jsonPage()],
    ['oclif.manifest.json', sortedManifest(read('oclif.manifest.json'))],
  ])
  for (const path of handWrittenPages().filter((page) => !pages.has(page))) {
    const text = read(path)
    const filled = withExcerpts(text)
    if (text.includes(marker)) pages.set(path, filled)
  }
  return pages
}

/** oclif lists the commands as the file system does; here they are in the order of their names, on every checkout. */
const sortedManifest = (text: string): string => {
  const {commands, ...rest} = JSON.parse(text) as {readonly commands: Readonly<Record<string, unknown>>}
  const sorted = Object.entries(commands).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify({commands: Object.fromEntries(sorted), ...rest}, null, 2)
}

/** All Markdown files of the documentation, from the root. */
export const handWrittenPages = (): string[] => {
  const docs = readdirSync(join(root, 'docs'), {recursive: true, encoding: 'utf8'}).filter((name) => name.endsWith('.md'))
  return ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...docs.map((name) => `docs/${name}`)]
}

const marker = '<!-- excerpt: '
const excerpt = /<!-- excerpt: (?<path>[^\s#]+)(?:#(?<region>[\w-]+))? -->\n```(?<language>\w+)\n[^]*?^```\n/gm

/** Fills the code block after each `<!-- excerpt: PATH#REGION -->` with what that file says now. */
const withExcerpts = (text: string): string =>
  text.replaceAll(excerpt, (block: string) => {
    const {path = '', region, language = ''} = new RegExp(excerpt.source, 'm').exec(block)?.groups ?? {}
    const name = region === undefined ? path : `${path}#${region}`
    return `${marker}${name} -->\n\`\`\`${language}\n${regionOf(read(path), region, name)}\n\`\`\`\n`
  })

/** The lines between `// #region NAME` and the next `// #endregion`, moved to the left margin; all lines without a region. */
const regionOf = (text: string, region: string | undefined, name: string): string => {
  if (region === undefined) return text.trimEnd()
  const lines = text.split('\n')
  const start = lines.findIndex((line) => line.trim() === `// #region ${region}`)
  const end = lines.findIndex((line, index) => index > start && line.trim() === '// #endregion')
  if (start === -1 || end === -1) throw new Error(`There is no region ${name}.`)
  const body = lines.slice(start + 1, end)
  const margin = Math.min(...body.filter((line) => line.trim() !== '').map((line) => line.length - line.trimStart().length))
  return body
    .map((line) => line.slice(margin))
    .join('\n')
    .trim()
}

const read = (path: string): string => readFileSync(join(root, path), 'utf8')

const readIfThere = (path: string): string => {
  try {
    return read(path)
  } catch {
    return ''
  }
}

/** The files that differ from what they should be. */
export const staleDocs = async (): Promise<string[]> =>
  [...(await generateDocs())].filter(([path, text]) => readIfThere(path) !== text).map(([path]) => path)

if (process.argv[1] !== undefined && relative(process.argv[1], import.meta.filename) === '') {
  const stale = await staleDocs()
  const pages = await generateDocs()
  if (process.argv.includes('--check')) {
    process.exitCode = stale.length > 0 ? 1 : 0
    process.stdout.write(stale.map((path) => `${path} is stale\n`).join(''))
  } else {
    for (const path of stale) writeFileSync(join(root, path), pages.get(path) ?? '')
    process.stdout.write(stale.map((path) => `wrote ${path}\n`).join(''))
  }
}
