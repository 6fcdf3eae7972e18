import {readdirSync, readFileSync} from 'node:fs'
import {fileURLToPath} from 'node:url'

import {describe, expect, it} from 'vitest'

import {useWorkspace, type Workspace} from '../../fixtures/vmfiles/workspace.ts'
import {frame} from '../model/frame.ts'

const bad = new URL('../../fixtures/vmfiles/bad/', import.meta.url)
const names = readdirSync(bad).filter((name) => name.endsWith('.kdl'))

describe('what is wrong with the files in fixtures/vmfiles/bad', () => {
  let workspace: Workspace
  useWorkspace((made) => {
    workspace = made
  })

  // The expectations are what a person sees, beside each file. Review them when they change.
  it.each(names)('%s', async (name) => {
    const text = readFileSync(new URL(name, bad), 'utf8')
    const problems = await workspace.problems(text, {file: name})
    const shown = problems.map((problem) => `${problem.severity} ${problem.code}: ${problem.message}\n${frame(text, problem)}\n`).join('\n')
    await expect(shown.replaceAll(workspace.directory, '/project')).toMatchFileSnapshot(
      fileURLToPath(new URL(name.replace('.kdl', '.txt'), bad)),
    )
  })
})
