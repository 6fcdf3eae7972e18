import {globSync, readFileSync} from 'node:fs'
import {join} from 'node:path'

import {header} from './docs-errors.ts'

const source = join(import.meta.dirname, '../src')

/** The types that commands return by name, and what those mention, in the order of the page. */
const named = [
  'EachVm',
  'LifecycleOutput',
  'VmResult',
  'Timing',
  'VmPlan',
  'PlanStep',
  'Action',
  'StepVerdict',
  'LifecycleResult',
  'Destroyed',
  'VmSummary',
  'VmStatus',
  'VmInterface',
  'MountedVolume',
  'MountedShare',
  'StepStatus',
  'JournalEntry',
  'ForwardedPort',
  'PortForward',
  'VmState',
  'PsRow',
  'ProjectSummary',
  'Check',
  'BaseImage',
  'ImageFormat',
  'CachedImage',
  'AvailableImage',
  'VerifiedImage',
  'ImageInspection',
  'PluginSummary',
  'VolumeSummary',
  'VolumeUser',
  'Volume',
  'Problem',
  'LogName',
]

/** For shells only. */
const hidden = 'commands/complete.ts'

/** What each command prints under `--json`: the return types of the commands, cut from the source. */
export const jsonPage = (): string => {
  const commands = globSync('commands/**/*.ts', {cwd: source}).toSorted()
  const shapes = commands
    .filter((path) => !path.endsWith('.test.ts') && path !== hidden)
    .map((path) => [nameOf(path), returnType(path)] as const)
  const all = globSync('{cli,engine,model,image,provision,volume}/**/*.ts', {cwd: source})
    .filter((path) => !path.endsWith('.test.ts'))
    .toSorted()
    .map((path) => readFileSync(join(source, path), 'utf8'))
  return `${header('src/commands')}
# JSON

With \`--json\` a command prints one JSON value on standard output and nothing else there; progress and the output of steps are plain lines on standard error. These are the shapes, as TypeScript types; a field with \`?\` may be absent. Scripts read \`vms\`, which is there for one VM as for many. A failure prints \`{"error": {"code": …, "message": …, "help": …}}\`, with \`vms\` when VMs were worked on; see [errors](errors.md).

| command | shape |
|---|---|
${shapes.map(([name, shape]) => `| \`vmctl ${name}\` | \`${shape.replaceAll('readonly ', '').replaceAll('|', String.raw`\|`)}\` |`).join('\n')}

\`vmctl console\` and \`vmctl ssh\` hand the terminal over, so their value comes at the end, after whatever the guest printed.

\`\`\`ts
${named.map((name) => definition(name, all)).join('\n\n')}
\`\`\`
`
}

const nameOf = (path: string): string => path.replace('commands/', '').replace('.ts', '').replaceAll('/', ' ')

const returnType = (path: string): string => {
  const type = /async run\(\): Promise<(?<type>[^]*?)> \{\n/.exec(readFileSync(join(source, path), 'utf8'))?.groups?.type
  if (type === undefined) throw new Error(`The command ${path} does not say what it returns.`)
  return type.replaceAll(/\s+/g, ' ')
}

const definition = (name: string, files: readonly string[]): string => {
  const pattern = new RegExp(
    `^(?:/\\*\\*[^\\n]*\\*/\\n)?export (?:interface ${name}\\b[^]*?^\\}|type ${name}(?:<\\w+>)? =[^]*?(?=\\n\\n))`,
    'm',
  )
  const found = files.map((text) => pattern.exec(text)?.[0]).find((text) => text !== undefined)
  if (found === undefined) throw new Error(`The type ${name} is not in the source any more; correct scripts/docs-json.ts.`)
  return found.replaceAll('export ', '').replaceAll('readonly ', '')
}
