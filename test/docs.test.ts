import {execFile} from 'node:child_process'
import {globSync, readFileSync, statSync} from 'node:fs'
import {basename, dirname, join} from 'node:path'
import {promisify} from 'node:util'

import {Config} from '@oclif/core'
import {expect, test} from 'vitest'

import {handWrittenPages, staleDocs} from '../scripts/docs.ts'
import {blocksNotRun, pagesToRun} from '../scripts/sessions.ts'
import {isVmctlError} from '../src/model/errors.ts'
import {frame} from '../src/model/frame.ts'
import {vmFiles} from '../src/model/layout.ts'
import {readDockerfile} from '../src/provision/dockerfile/index.ts'
import {parseVmfile} from '../src/engine/load.ts'
import {builtInCatalogue} from '../src/model/catalogue-entries.ts'
import {parseImagesFile} from '../src/vmfile/catalogue.ts'
import {parseLock} from '../src/vmfile/lock/read.ts'
import {fromSource} from './support/from-source.ts'

const root = join(import.meta.dirname, '..')
const pages = handWrittenPages()
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

/** The code blocks of all pages in one language, each with its page and line. */
const fences = (language: string): {readonly place: string; readonly text: string}[] =>
  pages.flatMap((page) => {
    const text = read(page)
    return [...text.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, 'gm'))].map((match) => ({
      place: `${page}:${text.slice(0, match.index).split('\n').length}`,
      text: match[1] ?? '',
    }))
  })

test('the generated pages and excerpts are fresh (`npm run docs` writes them)', async () => {
  expect(await staleDocs()).toEqual([])
})

test('what a terminal shows on a page was run, or says why not', () => {
  expect(blocksNotRun().filter(({reason}) => reason === '')).toEqual([])
  expect(pagesToRun().size).toBeGreaterThanOrEqual(5)
})

test('the README sells in one screen', () => {
  expect(read('README.md').split('\n').length).toBeLessThan(150)
})

/** The anchors of a page: its headings as GitHub names them, and explicit ones. */
const anchors = (text: string): Set<string> => {
  const headings = [...text.replaceAll(/^```[^]*?^```$/gm, '').matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
  return new Set([...headings, ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id)])
}

test('every link leads to a file and a heading', () => {
  const broken: string[] = []
  let count = 0
  for (const page of pages) {
    for (const [, link = ''] of read(page)
      .replaceAll(/^```[^]*?^```$/gm, '')
      .matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link)) continue
      count++
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? page : join(dirname(page), path)
      const isThere = statSync(join(root, target), {throwIfNoEntry: false}) !== undefined
      if (!isThere || (anchor !== undefined && !anchors(read(target)).has(anchor))) broken.push(`${page}: ${link}`)
    }
  }
  expect(broken).toEqual([])
  expect(count).toBeGreaterThan(50)
})

/** A page shows most nodes alone; this puts a fragment where it belongs. */
const complete = (fragment: string): string => {
  const first = /^(?:\/\/.*\s+)*([a-z-]+)/.exec(fragment.trim())?.[1] ?? ''
  if (/^vm /m.test(fragment)) return fragment
  const image = first.startsWith('image') ? '' : 'image "disk.qcow2"\n'
  return `vm "example" {\n${image}${first === 'ssh' ? '' : 'ssh { user "vm"; }\n'}${fragment}}\n`
}

const isImagesFile = (text: string): boolean => /^(?:publisher|mirror) /m.test(text)

const catalogued = builtInCatalogue.map(({name}) => name)

/** What is wrong with a VMFile, the files that it names aside. */
const problemsOf = async (text: string, directory: string): Promise<string> => {
  try {
    await parseVmfile(text, {
      path: join(directory, 'VMFile.kdl'),
      directory,
      toleratesMissing: true,
      imageSchemes: ['oci', 'shelf'],
      readDockerfile,
    })
    return ''
  } catch (error) {
    if (!isVmctlError(error)) throw error
    return error.problems.map((problem) => `${problem.message}\n${frame(text, problem)}`).join('\n')
  }
}

test('every VMFile on a page is valid', async () => {
  const found = fences('kdl')
  expect(found.length).toBeGreaterThan(30)
  for (const {place, text} of found) {
    if (/^lock /m.test(text)) expect(parseLock(text, place).length, place).toBeGreaterThan(1)
    else if (isImagesFile(text)) expect(parseImagesFile(text, {file: place, known: catalogued}), place).toBeDefined()
    else expect(await problemsOf(complete(text), root), place).toBe('')
  }
})

test('every example VMFile is valid', async () => {
  const found = globSync('examples/**/*.kdl', {cwd: root})
  expect(found.length).toBeGreaterThanOrEqual(4)
  for (const path of found) expect(await problemsOf(read(path), join(root, dirname(path))), path).toBe('')
})

/** The vmctl command lines of the shell blocks, and of those that show a terminal. */
const shellBlocks = [
  ...fences('sh'),
  ...fences('console').map(({place, text}) => ({place, text: text.replaceAll(/^(?!\$ ).*\n/gm, '').replaceAll(/^\$ /gm, '')})),
]
const commandLines = shellBlocks.flatMap(({place, text}) =>
  [
    ...text
      .replaceAll('\\\n', ' ')
      .replaceAll(/#.*$/gm, '')
      .matchAll(/(?:^|[\s'(])vmctl (?<line>[a-z][^\n|;&>']*)/gm),
  ]
    .map(({groups}) => ({place, line: groups?.line ?? ''}))
    .filter(({line}) => !/^(?:\.|[A-Z])/.test(line)),
)

test('every command line on a page names a command and flags that exist', async () => {
  const {commands} = await Config.load(fromSource)
  const byId = new Map(commands.map((command) => [command.id, command]))
  const wrong = commandLines.filter(({line}) => {
    const [first = '', second = ''] = line.split(/\s+/)
    const command = byId.get(`${first}:${second}`) ?? byId.get(first)
    const flags = (line.split(' -- ')[0] ?? '').matchAll(/(?:^|\s)--([a-z-]+)/g)
    return !command || [...flags].some(([, flag = '']) => !command.flags[flag])
  })
  expect(wrong).toEqual([])
  expect(commandLines.length).toBeGreaterThan(80)
})

test('the examples of the library compile', async () => {
  const tsc = join(root, 'node_modules/.bin/tsc')
  const {stdout} = await promisify(execFile)(tsc, ['-p', 'examples/library/tsconfig.json'], {cwd: root}).catch(
    (error: unknown) => error as {stdout: string},
  )
  expect(stdout).toBe('')
})

const sources = globSync('src/**/*.ts', {cwd: root}).filter((path) => !path.endsWith('.test.ts'))

test('environment.md names every variable that the source reads, and no other of ours', () => {
  const inSource = new Set(
    sources.flatMap((path) => [...read(path).matchAll(/\benv(?:\.|: ')([A-Z][A-Z_]+)/g)].map(([, name = '']) => name)),
  )
  const page = read('docs/reference/environment.md')
  expect([...inSource].filter((name) => !page.includes(`\`${name}\``))).toEqual([])
  const ours = [...page.matchAll(/^\| `(VMCTL_[A-Z_]+)`/gm)].map(([, name = '']) => name).filter((name) => name !== 'VMCTL_FIXTURES')
  expect(ours.filter((name) => !inSource.has(name))).toEqual([])
})

test('events.md names every event, and no other', () => {
  const files = ['src/engine/events.ts', 'src/image/events.ts', 'src/provision/run/run.ts']
  const inSource = new Set(
    files.flatMap((path) =>
      [...read(path).matchAll(/\btype: ('[a-z]+\.[a-z]+'(?: \| '[a-z]+\.[a-z]+')*)/g)].flatMap(([, names = '']) =>
        names.split(' | ').map((name) => name.slice(1, -1)),
      ),
    ),
  )
  const onPage = [...read('docs/reference/events.md').matchAll(/^\| `([a-z]+\.[a-z]+)`/gm)].map(([, name = '']) => name)
  expect(onPage.toSorted()).toEqual([...inSource].toSorted())
})

test('state-directory.md names every file of a VM', () => {
  const page = read('docs/state-directory.md')
  const names = Object.values(vmFiles('/vm')).map((path) => basename(path).replace('_generated.pub', '_generated'))
  expect(names.filter((name) => !page.includes(`\`${name}\``))).toEqual([])
})

test('every decision is listed', () => {
  const listed = read('docs/decisions/README.md')
  const pagesOfDecisions = pages.map((page) => basename(page)).filter((name) => /^\d{4}-/.test(name))
  expect(pagesOfDecisions.filter((name) => !listed.includes(`(${name})`))).toEqual([])
  expect(pagesOfDecisions.length).toBeGreaterThanOrEqual(15)
})
