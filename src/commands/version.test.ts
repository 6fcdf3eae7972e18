import {readFileSync} from 'node:fs'

import {expect, test} from 'vitest'

import {runCommand} from '../../test/support/run-command.ts'

const {version} = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {version: string}

test('version in full, short and as JSON', async () => {
  const {platform, arch, version: node} = process
  expect(await runCommand('version')).toMatchObject({exitCode: 0, stdout: `vmctl/${version} ${platform}-${arch} node-${node}\n`})
  expect((await runCommand('version', '--short')).stdout).toBe(`${version}\n`)
  expect((await runCommand('version', '--json')).json).toEqual({version, platform, arch, node})
})
