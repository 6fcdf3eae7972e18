import {writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {isVmctlError} from '../model/errors.ts'
import {isStepOf} from '../model/steps.ts'
import {parseVmfile} from './index.ts'

const load = async (body: string, {directory = temporaryDirectory(), toleratesMissing = false} = {}) => {
  writeFileSync(join(directory, 'base.qcow2'), '')
  const text = `vm "web" {\n image "base.qcow2"\n ssh { user "u"; }\n provision "shell" {\n inline "x"\n ${body}\n }\n}\n`
  const env = {HERE: ' a value\n', EMPTY: ''}
  try {
    const {vms} = await parseVmfile(text, {path: join(directory, 'VMFile.kdl'), directory, env, toleratesMissing})
    const step = vms[0]?.provision[0]
    return step && isStepOf(step, 'shell') ? step.settings.secretEnv : undefined
  } catch (error) {
    if (!isVmctlError(error)) throw error
    return error.problems.map(({line, message, hint}) => `${line}: ${message}${hint === undefined ? '' : ` (${hint})`}`)
  }
}

test('a secret is a text, a variable of the host, or a file without its last line feed', async () => {
  const directory = temporaryDirectory()
  writeFileSync(join(directory, 'lf'), 'one\ntwo\n\n')
  writeFileSync(join(directory, 'crlf'), 'text\r\n')
  expect(await load('secret-env A="text" { B from-env="HERE"; C from-file="lf"; D from-file="crlf"; E ""; }', {directory})).toEqual({
    A: 'text',
    B: ' a value\n',
    C: 'one\ntwo\n',
    D: 'text',
    E: '',
  })
})

test.each<[string, RegExp]>([
  ['A from-env="NONE"', /^7: the environment variable "NONE" is not set \(set it for vmctl: NONE=… vmctl up\)$/],
  ['A from-env="EMPTY"', /^7: the environment variable "EMPTY" is empty/],
  ['A from-env="N-O"', /"N-O" is not a valid variable name/],
  ['A from-env=7', /expected a variable name, found/],
  ['A from-env=""', /must not be empty/],
  ['A from-file="none"', /^7: secret file "none" does not exist \(vmctl looks for \/.*\/none\)$/],
  ['A from-file="."', /is not a regular file/],
  ['A from-file="/dev/zero"', /is not a regular file/],
  ['A from-file="empty"', /is empty/],
  ['A from-file="large"', /is too large \(a secret has 64 KiB at most\)/],
  ['A from-file="binary"', /is not a text in UTF-8 without NUL/],
  ['A from-file="nul"', /is not a text in UTF-8 without NUL/],
  ['A "text" from-env="HERE"', /"A" has more than one value/],
  ['A from-env="HERE" from-file="lf"', /"A" has more than one value/],
  ['A from-env="HERE" { B "x"; }', /"A" has more than one value/],
  ['A from-nowhere="HERE"', /unknown property "from-nowhere" of A/],
  ['A', /A needs a value/],
  ['A-B from-env="HERE"', /"A-B" is not a valid name/],
])('%s is refused', async (pair, expected) => {
  const directory = temporaryDirectory()
  const files = {empty: '\n', large: 'x'.repeat(65_537), binary: Buffer.from([0xff, 0xfe]), nul: 'a\0b', lf: 'x'}
  for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), content)
  const problems = await load(`secret-env {\n ${pair}\n }`, {directory})
  expect(problems).toEqual(expect.arrayContaining([expect.stringMatching(expected)]))
})

test('env takes its values from nowhere else', async () => {
  expect(await load('env { A from-env="HERE"; }')).toEqual(expect.arrayContaining([expect.stringContaining('unknown property "from-env"')]))
})

test('what runs no step does without', async () => {
  expect(await load('secret-env { A from-env="NONE"; B from-file="none"; }', {toleratesMissing: true})).toEqual({A: '', B: ''})
})
