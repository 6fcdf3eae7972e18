import {join} from 'node:path'
import {writeFileSync} from 'node:fs'

import {describe, expect, onTestFinished, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {debug} from '../model/debug.ts'
import {VmctlError} from '../model/errors.ts'
import {formatError} from './diagnostics.ts'
import {guestOutput} from './guest-output.ts'
import {imageMeter} from './image-meter.ts'
import {listenToDebug, logLevel} from './logging.ts'

const escape = '\u001b'

describe('errors', () => {
  test('what happened, why, what to do; a cause that says the same is left out', () => {
    const error = new VmctlError('vmctl::io', 'Cannot write /x: no way', {
      help: 'Do this.',
      cause: new Error('no way', {cause: new Error('the disk is tired')}),
    })
    expect(formatError(error, {colour: false})).toBe(
      'error[vmctl::io]: Cannot write /x: no way\n  because: the disk is tired\n  help: Do this.\n',
    )
  })

  test('nothing that a guest or a file says reaches the terminal as a control', () => {
    const file = join(temporaryDirectory(), 'VMFile.kdl')
    writeFileSync(file, `vm "${escape}[31mred" {\n`)
    const bad = `bad ${escape}]0;title\u0007`
    const error = new VmctlError('vmctl::vmfile::validation', bad, {
      cause: new Error(bad),
      problems: [{code: 'vmctl::vmfile::validation', severity: 'error', file, line: 1, column: 4, length: 3, message: bad, hint: bad}],
    })
    expect(formatError(error, {colour: false})).not.toContain(escape)
    expect(formatError(error, {colour: true})).not.toContain(`${escape}]`)
    expect(formatError(error, {colour: true})).toContain(`${escape}[`)
  })

  test('a chain of causes without end does not hang', () => {
    const loop = new Error('round')
    loop.cause = loop
    expect(formatError(new VmctlError('vmctl::io', 'x', {cause: loop}), {colour: false})).toContain('round')
  })
})

/** Catches what is written to a stream of this process while a test runs. */
const capture = (name: 'stdout' | 'stderr'): {text: string} => {
  const caught = {text: ''}
  const original = process[name].write
  process[name].write = (chunk: string | Uint8Array) => {
    caught.text += Buffer.from(chunk as Uint8Array).toString()
    return true
  }
  onTestFinished(() => {
    process[name].write = original
  })
  return caught
}

const noRows = {isLive: false, screen: () => ({colour: false}), print: () => undefined}

describe('output of guests', () => {
  const bytes = (text: string): Buffer => Buffer.from(text)

  test('goes to the stream that it was written to, line by line, with characters that were cut in two put together', async () => {
    const out = capture('stdout')
    const err = capture('stderr')
    const output = guestOutput(noRows)
    output.begin('web')
    const text = bytes('grün\nblau\n')
    for (const byte of text) await output.write('web', {stream: 'stdout', chunk: Buffer.from([byte])})
    await output.write('web', {stream: 'stderr', chunk: bytes('no line feed')})
    expect(err.text).toBe('')
    output.end('web')
    expect(out.text).toBe('grün\nblau\n')
    expect(err.text).toBe('no line feed\n')
  })

  test('is not held back without end when no line feed comes, and is not cut inside of a character', async () => {
    const out = capture('stdout')
    const output = guestOutput(noRows)
    output.begin('web')
    const text = bytes('ä'.repeat(100_000))
    for (let at = 0; at < text.length; at += 999) await output.write('web', {stream: 'stdout', chunk: text.subarray(at, at + 999)})
    expect(out.text.length).toBeGreaterThan(50_000)
    output.end('web')
    expect(out.text).toBe(`${'ä'.repeat(100_000)}\n`)
  })

  test('cannot move the cursor', async () => {
    const out = capture('stdout')
    const output = guestOutput(noRows)
    output.begin('web')
    await output.write('web', {stream: 'stdout', chunk: bytes(`${escape}[2J${escape}[1;1Hhello${escape}]0;t\u0007\r\n`)})
    expect(out.text).toBe('hello\n')
  })

  test('says whose it is as soon as there are two', async () => {
    const out = capture('stdout')
    const output = guestOutput(noRows)
    output.begin('a')
    await output.write('a', {stream: 'stdout', chunk: bytes('alone\n')})
    output.begin('b')
    await output.write('a', {stream: 'stdout', chunk: bytes('one\ntwo\npart')})
    await output.write('b', {stream: 'stdout', chunk: bytes('three\n')})
    await output.write('a', {stream: 'stdout', chunk: bytes('ner\n')})
    expect(out.text).toBe('alone\na | one\na | two\nb | three\na | partner\n')
    output.close()
  })

  test('waits for a terminal that is slow', async () => {
    const original = process.stdout.write
    const waiting: (() => void)[] = []
    process.stdout.write = (_chunk: unknown, done?: unknown) => {
      if (typeof done === 'function') waiting.push(() => void done())
      return false
    }
    onTestFinished(() => {
      process.stdout.write = original
    })
    const output = guestOutput(noRows)
    output.begin('web')
    let isDone = false
    const writing = output.write('web', {stream: 'stdout', chunk: bytes('line\n')}).then(() => {
      isDone = true
    })
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(isDone).toBe(false)
    for (const done of waiting) done()
    await writing
  })
})

test('a fast download is told once where there is no live line', () => {
  const said: string[] = []
  const show = imageMeter({
    isLive: false,
    status: () => undefined,
    end: () => undefined,
    say: (vm, text) => said.push(`${vm}: ${text.replaceAll(/,.*/g, '')}`),
  })
  for (let received = 0; received <= 1000; received++)
    show({
      type: 'image.progress',
      source: 'https://example.com/disk.qcow2?secret',
      receivedBytes: received * 1024,
      totalBytes: 1_024_000,
      vm: 'web',
    })
  expect(said).toEqual(['web: disk.qcow2: 0 % of 1000.0 KB'])
})

describe('VMCTL_LOG', () => {
  test.each([
    [{}, 'info', {}],
    [{VMCTL_LOG: 'debug'}, 'debug', {}],
    [{RUST_LOG: 'trace'}, 'trace', {}],
    [{VMCTL_LOG: 'info', RUST_LOG: 'trace'}, 'info', {}],
    [{VMCTL_LOG: 'warn,qmp=TRACE, ssh=debug'}, 'warn', {qmp: 'trace', ssh: 'debug'}],
    [{VMCTL_LOG: 'vm_manager::ssh=debug'}, 'info', {ssh: 'debug'}],
    [{VMCTL_LOG: 'nonsense,a=b,=debug,'}, 'info', {'': 'debug'}],
  ])('%j', (env, level, modules) => {
    const filter = logLevel(env)
    expect(filter.level).toBe(level)
    expect(Object.fromEntries(filter.modules)).toEqual(modules)
  })

  test('only what was asked for is printed, without controls', () => {
    const err = capture('stderr')
    debug('qmp', () => 'nobody listens')
    listenToDebug(logLevel({VMCTL_LOG: 'info,qmp=debug'}))
    debug('qmp', () => `yes ${escape}[31m`)
    debug('qmp', () => 'too fine', 'trace')
    debug('ssh', () => 'another module')
    expect(err.text).toBe('DEBUG qmp: yes \n')
  })
})
