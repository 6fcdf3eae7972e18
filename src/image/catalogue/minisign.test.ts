import {execFileSync} from 'node:child_process'
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {beforeEach, expect, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {describeUnless, missingProgram} from '../../../test/support/programs.ts'
import {verifyMinisign} from './minisign.ts'

const list = Buffer.from(`${'0'.repeat(64)}  disk.qcow2\n`)

describeUnless(missingProgram('minisign', ['-v']))('a signature by minisign', () => {
  let directory: string
  let keys: Readonly<Record<'own' | 'other', string>>
  beforeEach(() => {
    directory = temporaryDirectory()
    writeFileSync(join(directory, 'list'), list)
    const keyOf = (name: string): string => {
      execFileSync('minisign', ['-GW', '-p', `${name}.pub`, '-s', `${name}.key`], {cwd: directory, stdio: 'ignore'})
      return readFileSync(join(directory, `${name}.pub`), 'utf8').split('\n')[1] ?? ''
    }
    keys = {own: keyOf('own'), other: keyOf('other')}
  })

  const sign = (...words: readonly string[]): Buffer => {
    execFileSync('minisign', ['-S', '-s', 'own.key', '-m', 'list', '-x', 'signature', ...words], {cwd: directory, stdio: 'ignore'})
    return readFileSync(join(directory, 'signature'))
  }

  test.each([
    ['of the digest', []],
    ['of the bytes', ['-l']],
    ['with a comment', ['-t', 'timestamp:1 file:list ünïcödé']],
  ])('%s is good, and says by whom', (_what, words) => {
    expect(verifyMinisign(list, sign(...words), [keys.other, keys.own])).toEqual({content: list, fingerprint: keys.own})
  })

  test('of another file, by another key or with another comment proves nothing', () => {
    const signature = sign('-t', 'one')
    expect(() => verifyMinisign(Buffer.concat([list, list]), signature, [keys.own])).toThrow('does not belong to what it is said to sign')
    expect(() => verifyMinisign(list, signature, [keys.other])).toThrow('is signed by another key')
    expect(() => verifyMinisign(list, signature, [])).toThrow('is signed by another key')
    const renamed = Buffer.concat([Buffer.from(keys.own, 'base64').subarray(0, 10), Buffer.from(keys.other, 'base64').subarray(10)])
    expect(() => verifyMinisign(list, signature, [renamed.toString('base64')])).toThrow('does not belong')
    const commented = Buffer.from(signature.toString().replace('trusted comment: one', 'trusted comment: two'))
    expect(() => verifyMinisign(list, commented, [keys.own])).toThrow('a trusted comment that was not signed with it')
  })

  test('that is changed or cut anywhere is refused', () => {
    const text = sign().toString()
    const start = text.indexOf('\n') + 1
    for (let at = start; at < text.trimEnd().length; at += 7) {
      const letter = text[at] === 'A' ? 'B' : 'A'
      const changed = Buffer.from(`${text.slice(0, at)}${letter}${text.slice(at + 1)}`)
      // The last letters of base64 may have bits that say nothing.
      if (changed.equals(Buffer.from(text))) continue
      expect(() => verifyMinisign(list, changed, [keys.own]), `${at}`).toThrow(/^(?:is|does|has) /)
      expect(() => verifyMinisign(list, Buffer.from(text.slice(0, at)), [keys.own]), `cut at ${at}`).toThrow(/^(?:is|does|has) /)
    }
    for (const nothing of ['', '\n\n\n\n', `${text}more`]) {
      expect(() => verifyMinisign(list, Buffer.from(nothing), [keys.own])).toThrow('is not a minisign signature')
    }
  })
})
