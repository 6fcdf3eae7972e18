import {withholdVariable} from '../../host/environment.ts'
import {resolvePath} from '../../host/paths.ts'
import {anyText, path, text} from '../grammar/kinds.ts'
import {type Kind, type Located, pairs} from '../grammar/shapes.ts'
import {variableName} from '../grammar/words.ts'
import {quoted} from '../kdl/wording.ts'
import type {Context} from './context.ts'
import {lookAt, readAtMost} from './local-files.ts'

/** Where the value of a secret is: here, in a variable of vmctl's own environment, or in a file of the host. */
export type SecretSource = {readonly text: string} | {readonly variable: string} | {readonly file: string}

const secret = (kind: Kind<string>, wrap: (value: string) => SecretSource): Kind<SecretSource> => ({
  ...kind,
  read(value, fail) {
    const read = kind.read(value, fail)
    return read === undefined ? undefined : wrap(read)
  },
})

const hostVariable = text('variable name', {rule: variableName.keyRule, isValid: variableName.isKey, example: '"CI_TOKEN"'})

export const secretEnvironment = pairs(
  secret(anyText, (value) => ({text: value})),
  {
    ...variableName,
    instead: {
      'from-env': secret(hostVariable, (variable) => ({variable})),
      'from-file': secret(path('"token.txt"'), (file) => ({file})),
    },
  },
  'Environment variables whose values are neither shown nor kept; in the block also taken from a variable or a file of the host.',
)

/** Bytes of a secret in a file. Systems give one variable 128 KiB. */
const mostBytes = 64 * 2 ** 10

/** The values of secrets by the names of their variables. What cannot be had is reported, without any value. */
export const readSecrets = async (
  secrets: ReadonlyMap<string, Located<SecretSource>>,
  context: Context,
): Promise<Readonly<Record<string, string>>> => {
  const read = [...secrets].map(async ([name, source]) => [name, (await valueOf(source, context)) ?? ''] as const)
  return Object.fromEntries(await Promise.all(read))
}

const valueOf = async (source: Located<SecretSource>, context: Context): Promise<string | undefined> => {
  const {value} = source
  if ('text' in value) return value.text
  return 'variable' in value ? fromVariable(value.variable, source, context) : fromFile({...source, value: value.file}, context)
}

const fromVariable = (name: string, place: Located<unknown>, {env, report, toleratesMissing}: Context): string | undefined => {
  const value = env[name]
  withholdVariable(name)
  if (toleratesMissing || (value !== undefined && value !== '')) return value
  return void report.error(
    place,
    `the environment variable ${quoted(name)} is ${value === undefined ? 'not set' : 'empty'}`,
    `set it for vmctl: ${name}=… vmctl up`,
  )
}

const fromFile = async (path: Located<string>, {directory, report, toleratesMissing}: Context): Promise<string | undefined> => {
  const resolved = resolvePath(path.value, directory)
  const refuse = (why: string, hint = `vmctl looks for ${resolved}`): undefined =>
    void report.error(path, `secret file ${quoted(path.value)} ${why}`, hint)
  const {kind, reason} = await lookAt(resolved)
  if (kind === 'missing') return toleratesMissing ? undefined : refuse(reason ? `cannot be used: ${reason}` : 'does not exist')
  if (kind !== 'file') return refuse('is not a regular file')
  const content = await readAtMost(resolved, mostBytes)
  if ('reason' in content) return toleratesMissing ? undefined : refuse(`cannot be used: ${content.reason}`)
  if (!content.isWhole) return refuse('is too large', 'a secret has 64 KiB at most')
  const text = textOf(content.bytes)?.replace(/\r?\n$/, '')
  if (text === undefined) return refuse('is not a text in UTF-8 without NUL', 'encode a binary secret, in base64 for example')
  return text === '' ? refuse('is empty') : text
}

const textOf = (bytes: Buffer): string | undefined => {
  try {
    const text = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(bytes)
    return text.includes('\0') ? undefined : text
  } catch {
    return undefined
  }
}
