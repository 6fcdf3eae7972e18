/**
 * Writes `src/PART/programs/index.ts` from the files `src/PART/programs/*.sh`: the text that goes to the guest, and its types.
 *
 *   node scripts/programs.ts            writes what is stale
 *   node scripts/programs.ts --check    only lists it; status 1 when there is any
 *
 * What a file says about itself:
 *   : "${name?what it is}"     a variable that the program wants, in a line of its own; the line does not travel
 *   # status: 92 name …        an exit status that means something
 *   . ./other.sh               is replaced by that file
 */
import {globSync, readFileSync, writeFileSync} from 'node:fs'
import {basename, dirname, join, relative} from 'node:path'

import {stripProgram} from './strip-program.ts'

const root = join(import.meta.dirname, '..')

export interface ProgramSource {
  /** From the root. */
  readonly path: string
  readonly name: string
  /** The first paragraph of its head. */
  readonly summary: string
  /** As it is written, with the parts that it includes. */
  readonly whole: string
  /** As it travels. */
  readonly text: string
  readonly variables: readonly string[]
  readonly statuses: Readonly<Record<string, number>>
}

const include = /^\. \.\/(?<file>[\w-]+\.sh)$/gm

/** All programs, those that are parts of others too. */
export const readPrograms = (): readonly ProgramSource[] => globSync('src/*/programs/*.sh', {cwd: root}).toSorted().map(readProgram)

const readProgram = (path: string): ProgramSource => {
  const read = (file: string): string => readFileSync(join(root, dirname(path), file), 'utf8')
  const expand = (file: string): string => read(file).replaceAll(include, (_line, other: string) => expand(other).trimEnd())
  const own = read(basename(path))
  const whole = expand(basename(path))
  return {
    path,
    name: basename(path, '.sh').replaceAll(/-(?<letter>\w)/g, (_match, letter: string) => letter.toUpperCase()),
    summary: /^(?:# .*\n)+/.exec(own)?.[0].replaceAll(/^# /gm, '').replaceAll('\n', ' ').trim() ?? '',
    whole,
    text: stripProgram(whole),
    variables: [...whole.matchAll(/^: "\$\{(?<name>\w+)\?.*\}"$/gm)].map(({groups}) => groups?.name ?? ''),
    statuses: Object.fromEntries(
      [...whole.matchAll(/^# status: (?<status>\d\d+) (?<name>\w+)/gm)].map(({groups}) => [groups?.name ?? '', Number(groups?.status)]),
    ),
  }
}

/** Every generated file, by its path from the root, with the text that it should have. */
export const generatePrograms = (): ReadonlyMap<string, string> => {
  const programs = readPrograms()
  const parts = new Set(programs.flatMap(({path}) => partsOf(path)))
  const top = programs.filter(({path}) => !parts.has(path))
  return new Map(
    [...Map.groupBy(top, ({path}) => dirname(path))].map(
      ([directory, own]) => [`${directory}/index.ts`, moduleOf(directory, own)] as const,
    ),
  )
}

/** The files that a program includes. */
const partsOf = (path: string): string[] =>
  [...readFileSync(join(root, path), 'utf8').matchAll(include)].map(({groups}) => join(dirname(path), groups?.file ?? ''))

const moduleOf = (directory: string, programs: readonly ProgramSource[]): string => {
  const types = directory === 'src/model/programs' ? '../guest-program.ts' : '../../model/guest-program.ts'
  return [
    `// Made from *.sh beside it by \`npm run programs\`; what is changed here is lost.`,
    `import type {GuestProgram} from '${types}'`,
    ...programs.map(exportOf),
    '',
  ].join('\n')
}

const exportOf = ({path, name, summary, text, variables, statuses}: ProgramSource): string => {
  const union = (names: readonly string[]): string => names.map((each) => `'${each}'`).join(' | ') || 'never'
  const status = Object.keys(statuses)
  const type = `GuestProgram<${union(variables)}${status.length > 0 ? `, ${union(status)}` : ''}>`
  return `
/** ${basename(path)}: ${summary} */
export const ${name}: ${type} = {
  variables: ${JSON.stringify(variables)},
  statuses: ${JSON.stringify(statuses)},
  text: \`${text.replaceAll(/[\\`]|\$\{/g, String.raw`\$&`)}\`,
}`
}

/** The files that differ from what they should be. */
export const stalePrograms = (): string[] =>
  [...generatePrograms()].filter(([path, text]) => readIfThere(path) !== text).map(([path]) => path)

const readIfThere = (path: string): string => {
  try {
    return readFileSync(join(root, path), 'utf8')
  } catch {
    return ''
  }
}

if (process.argv[1] !== undefined && relative(process.argv[1], import.meta.filename) === '') {
  const stale = stalePrograms()
  if (process.argv.includes('--check')) {
    process.exitCode = stale.length > 0 ? 1 : 0
    process.stdout.write(stale.map((path) => `${path} is stale: run \`npm run programs\`\n`).join(''))
  } else {
    const files = generatePrograms()
    for (const path of stale) writeFileSync(join(root, path), files.get(path) ?? '')
    process.stdout.write(stale.map((path) => `wrote ${path}\n`).join(''))
  }
}
