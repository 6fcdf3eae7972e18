import {open, readFile} from 'node:fs/promises'
import {join} from 'node:path'
import {Readable} from 'node:stream'

import {expect, test, vi} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {withholdVariable} from './environment.ts'
import {filter} from './filter.ts'
import {runInteractive} from './interactive.ts'
import {run, spawnDetached} from './process.ts'

test('no program that is started gets a variable that is withheld, and all others get it', async () => {
  process.env.XDG_TEST_WITHHELD = 'canary'
  process.env.XDG_TEST_PLAIN = 'plain'
  const signal = new AbortController().signal
  const directory = temporaryDirectory()
  const environments = async (): Promise<string[]> => {
    await using output = await open(join(directory, 'detached'), 'w+')
    const detached = await spawnDetached('env', [], {cwd: directory, output})
    await detached.ended
    const filtered = await Array.fromAsync(filter(Readable.from(['']), {program: 'env', args: []}, {signal, help: ''}))
    expect(await runInteractive('sh', ['-c', 'env >"$1"', 'sh', join(directory, 'interactive')], {help: ''})).toBe(0)
    return [
      (await run('env', [])).stdout,
      await readFile(join(directory, 'detached'), 'utf8'),
      Buffer.concat(filtered).toString(),
      await readFile(join(directory, 'interactive'), 'utf8'),
    ]
  }
  const has = (text: string) => [text.includes('XDG_TEST_PLAIN=plain'), text.includes('canary')]
  expect((await environments()).map(has)).toEqual(Array.from({length: 4}, () => [true, true]))
  withholdVariable('XDG_TEST_WITHHELD')
  expect((await environments()).map(has)).toEqual(Array.from({length: 4}, () => [true, false]))
  expect(process.env.XDG_TEST_WITHHELD).toBe('canary')
})

test('a program that outlives this one gets only what such a program may need', async () => {
  const tokens = ['AWS_SECRET_ACCESS_KEY', 'GITHUB_TOKEN', 'https_proxy', 'SSH_AUTH_SOCK', 'VMCTL_TEST_TOKEN', 'NODE_OPTIONS', 'PATHS']
  for (const name of tokens) vi.stubEnv(name, '')
  vi.stubEnv('QEMU_AUDIO_DRV', 'none')
  const directory = temporaryDirectory()
  await using output = await open(join(directory, 'detached'), 'w+')
  await (
    await spawnDetached('env', [], {cwd: directory, output})
  ).ended
  vi.unstubAllEnvs()
  const names = (await readFile(join(directory, 'detached'), 'utf8')).split('\n').map((line) => line.split('=')[0])
  expect(names).toEqual(expect.arrayContaining(['PATH', 'QEMU_AUDIO_DRV']))
  expect(names.filter((name) => tokens.includes(name ?? ''))).toEqual([])
})
