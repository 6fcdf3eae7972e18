import {readFileSync} from 'node:fs'
import {join} from 'node:path'

import {Config} from '@oclif/core/config'
import {expect, test} from 'vitest'

import {failures} from '../src/engine/failures.ts'
import {fromSource} from './support/from-source.ts'

interface Option {
  readonly name: string
  readonly type?: string
  readonly char?: string
  readonly multiple?: boolean
  readonly required?: boolean
  readonly default?: unknown
  readonly options?: readonly string[]
  readonly hidden?: boolean
}

interface Command {
  readonly id: string
  readonly hidden?: boolean
  readonly args: Readonly<Record<string, Option>>
  readonly flags: Readonly<Record<string, Option>>
}

interface Manifest {
  readonly version: string
  readonly commands: Readonly<Record<string, Command>>
}

/** What a script may rely on, one line each. */
const describeOption = ({name, type, char, multiple, required, default: value, options, hidden}: Option, prefix: string): string =>
  [
    `  ${prefix}${name}`,
    char && `-${char}`,
    type === 'option' && 'VALUE',
    options?.join('|'),
    required && 'required',
    multiple && 'repeatable',
    value !== undefined && `default ${JSON.stringify(value)}`,
    hidden && 'hidden',
  ]
    .filter(Boolean)
    .join(' ')

const describeCommand = ({id, args, flags}: Command): string =>
  [
    `vmctl ${id.replaceAll(':', ' ')}`,
    ...Object.values(args).map((arg) => describeOption(arg, '')),
    ...Object.values(flags)
      .map((flag) => describeOption(flag, '--'))
      .toSorted(),
  ].join('\n')

/** Without where the code lies, which is dist/ in the committed manifest and src/ here. */
const comparable = (manifest: unknown): unknown =>
  JSON.parse(JSON.stringify(manifest, (key, value: unknown) => (key === 'relativePath' || key === 'isESM' ? undefined : value)))

const manifestOfSource = async (): Promise<Manifest> => {
  const config = await Config.load(fromSource)
  const plugin = config.plugins.get('vmctl')
  if (!plugin || !('manifest' in plugin)) throw new Error('oclif did not load vmctl')
  return plugin.manifest as Manifest
}

const committed = JSON.parse(readFileSync(join(fromSource.root, 'oclif.manifest.json'), 'utf8')) as Manifest

test('oclif.manifest.json is fresh (`npm run docs` writes it)', async () => {
  expect(comparable(committed)).toEqual(comparable(await manifestOfSource()))
})

test('commands, arguments and flags', async () => {
  const {commands} = await manifestOfSource()
  const text = Object.values(commands)
    .filter(({hidden}) => !hidden)
    .map(describeCommand)
    .toSorted()
    .join('\n\n')
  await expect(`${text}\n`).toMatchFileSnapshot('surface/commands.txt')
})

test('failures and their exit statuses', async () => {
  const lines = Object.entries(failures).map(([code, {exit}]) => `${code} ${exit}`)
  await expect(`${lines.toSorted().join('\n')}\n`).toMatchFileSnapshot('surface/failures.txt')
})
