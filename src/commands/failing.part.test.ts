import {mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, beforeAll, expect, test} from 'vitest'

import {describeUnless} from '../../test/support/programs.ts'
import {type Project, startProject} from '../../test/support/project.ts'
import {sshdMissing} from '../../test/support/sshd.ts'

const missing = sshdMissing()

describeUnless(missing)('a step that fails', {timeout: 240_000}, () => {
  let project: Project
  beforeAll(async () => {
    project = await startProject()
    const {workspace} = project
    workspace.write('fails.sh', '#!/bin/sh\nexit 3\n')
    workspace.write('no-interpreter.sh', '#!/no/such/interpreter\n')
    workspace.write('upload.txt', 'x')
    mkdirSync(join(workspace.directory, 'tree'))
    writeFileSync(join(workspace.directory, 'tree/file'), 'x')
  })
  afterAll(() => project[Symbol.asyncDispose]())

  const shell = (settings: string): string => `provision "shell" MODE { ${settings}; }`
  const file = (source: string): string => `provision "file" MODE { source "${source}"; destination "/proc/no/such/place"; }`
  const kinds: Readonly<Record<string, string>> = {
    'exit status 1': shell('inline "exit 1"'),
    'exit status 255': shell('inline "exit 255"'),
    'killed by a signal': shell('inline "kill -9 $$"'),
    'killed by a signal that ends a terminal': shell('inline "kill -HUP $$"'),
    'no such command': shell('inline "/no/such/command"'),
    'a syntax error': shell('inline "if"'),
    'the last of a pipe': shell('inline "true | false"'),
    'a failure in the middle under set -e': shell('inline "set -e; false; true"'),
    'a script': shell('script "fails.sh"'),
    'a script without its interpreter': shell('script "no-interpreter.sh"'),
    'a privileged step': shell('inline "exit 4"; privileged #true'),
    'a time-out': shell('inline "sleep 8100"; timeout "300ms"'),
    'a file that cannot be written': file('upload.txt'),
    'a tree that cannot be written': file('tree'),
  }

  /** Runs commands that all have to fail, each with the status of the failed step. */
  const expectFailures = async (step: string, ...commands: readonly (readonly string[])[]): Promise<void> => {
    const text = project.vm('web', `${step}\n${project.inline('echo must not run')}`)
    for (const words of commands) {
      const {exitCode, stdout, stderr} = await project.run(text, ...words)
      expect({words, exitCode}).toEqual({words, exitCode: step.includes('timeout') ? 7 : 6})
      expect(stdout).not.toContain('must not run\n')
      expect(words.includes('--json') ? stdout : stderr).toMatch(/vmctl::(?:provision|guest)::/)
    }
  }

  test.each(Object.entries(kinds))('never ends in success, nor does the next up: %s', (_, step) =>
    expectFailures(step.replace('MODE', ''), ['reload'], ['up', '--json']),
  )

  test.each(['run="always"', 'run="on-change"', 'run="once"'])('nor in any mode, by any command: %s', (mode) =>
    expectFailures(shell('inline "exit 1"').replace('MODE', mode), ['reload'], ['up'], ['provision'], ['provision', '--step', '1'], ['up']),
  )

  test('in one VM of several it is the failure of all, and of the other alone it is none', async () => {
    const text = project.vm('web', project.inline('exit 5')) + project.vm('db', project.inline('true'))
    expect((await project.run(text, 'reload')).exitCode).toBe(6)
    expect((await project.run(text, 'up')).exitCode).toBe(6)
    expect((await project.run(text, 'up', '--name', 'web')).exitCode).toBe(6)
    expect((await project.run(text, 'up', '--name', 'db')).exitCode).toBe(0)
  })
})
