import {resolvePath} from '../../host/paths.ts'
import type {BackendField, BackendNode, BackendNodes, BackendSettings, Effect} from '../../model/backend-node.ts'
import {messageOf, VmctlError} from '../../model/errors.ts'
import {strongest} from '../grammar/change.ts'
import {anyText, boolean, integer, text, word} from '../grammar/kinds.ts'
import {type Block, block, field, type Fields, type Kind, list, type Located, type ReadBlock, type Shape} from '../grammar/shapes.ts'
import type {Context} from '../resolve/context.ts'

type Scalar = string | number | boolean

const kindOf = (name: string, {holds, noun = name, words = [], least = 0, most = 2 ** 31 - 1, example}: BackendField): Kind<Scalar> => {
  const kinds: Readonly<Record<BackendField['holds'], Kind<string> | Kind<number> | Kind<boolean>>> = {
    text: text(noun, {...(example !== undefined && {example})}),
    'any-text': anyText,
    word: word(noun, ...words),
    integer: integer(least, most, example ?? String(least)),
    boolean,
    path: text('path', {example: example ?? '"…"'}),
    program: text(noun, {example: example ?? '"…"'}),
  }
  return kinds[holds]
}

const backendBlock = ({doc, fields}: BackendNode): Block =>
  block(
    doc,
    {body: 'fields'},
    Object.fromEntries(
      Object.entries(fields).map(([name, one]) => [
        name,
        one.isList ? list(kindOf(name, one), one.doc) : field(kindOf(name, one), one.doc),
      ]),
    ),
  )

/** The fields of a VM with the nodes of the backends, which stand before the steps. */
export const withBackends = <F extends Fields>(fields: F, backends: BackendNodes): F => {
  const clash = [...backends.keys()].find((name) => Object.hasOwn(fields, name))
  if (clash !== undefined) {
    throw new VmctlError('vmctl::plugin::invalid', `The backend ${JSON.stringify(clash)} has a node, but so has every VM: ${clash}.`)
  }
  const entries = Object.entries(fields)
  const at = entries.findIndex(([name]) => name === 'provision')
  const nodes = [...backends].map(([name, node]): [string, Shape] => [name, backendBlock(node)])
  // The fields that it had have the types that they had; those that came have none.
  return Object.fromEntries(entries.toSpliced(at, 0, ...nodes)) as unknown as F
}

/** What the nodes of backends come to in a spec, by their names. */
export const buildBackends = (fields: Readonly<Record<string, unknown>>, context: Context): Readonly<Record<string, BackendSettings>> =>
  Object.fromEntries(
    [...context.backends].flatMap(([name, node]) => {
      const read = fields[name] as ReadBlock<unknown, Fields> | undefined
      return read ? [[name, buildBackend(node, read, context)] as const] : []
    }),
  )

const buildBackend = (node: BackendNode, read: ReadBlock<unknown, Fields>, {report, directory}: Context): BackendSettings => {
  const values = Object.entries(node.fields).flatMap(([name, {holds, isList}]): [string, BackendSettings[string]][] => {
    const resolved = ({value}: Located<Scalar>): Scalar =>
      holds === 'path' || (holds === 'program' && /^~|\//.test(String(value))) ? resolvePath(String(value), directory) : value
    const given = read.fields[name] as Located<Scalar> | readonly Located<Scalar>[] | undefined
    if (isList) {
      const all = given as readonly Located<Scalar>[]
      return all.length > 0 ? [[name, all.map(resolved)]] : []
    }
    return given === undefined ? [] : [[name, resolved(given as Located<Scalar>)]]
  })
  const settings = Object.fromEntries(values)
  try {
    if (!report.hasErrors()) node.check?.(settings)
  } catch (error) {
    report.error(read, messageOf(error))
  }
  return settings
}

/** When a change of the settings of a backend takes effect: with that of its fields that has most to wait for. */
export const effectOf = (node: BackendNode | undefined, changed: readonly string[]): Effect =>
  strongest(changed.map((name) => node?.fields[name]?.effect ?? 'restart'))
