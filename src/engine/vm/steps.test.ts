import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterEach, beforeEach, expect, test} from 'vitest'

import {makeSpec} from '../../../test/support/builders.ts'
import {setupOf} from './attach.ts'
import {openEngine} from '../engine.ts'
import {stepsOf} from './steps.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vmctl-steps-'))
})
afterEach(() => rmSync(directory, {recursive: true, force: true}))

test('a Dockerfile becomes steps in its order: the own one of a VM first, then runcmd, then what is declared', async () => {
  writeFileSync(join(directory, 'own'), 'FROM x\nENV MODE=own OWN=1\nRUN one\nWORKDIR /srv')
  writeFileSync(join(directory, 'inner'), 'FROM x\nENV MODE=inner\nRUN two')
  const engine = await openEngine({stateDirectory: join(directory, 'state')})
  const dockerfile = {context: directory, buildArgs: {}}
  const spec = makeSpec({
    ssh: {user: 'vm'},
    env: {OWN: '2'},
    dockerfile: {...dockerfile, path: join(directory, 'own')},
    cloudInit: {hostname: 'web', sshKeys: [], runCommands: ['systemctl restart nginx', ['touch', 'a b']]},
    provision: [
      {type: 'shell', settings: {inline: 'before', args: [], env: {}, privileged: false}},
      {type: 'dockerfile', run: 'once', settings: {...dockerfile, path: join(directory, 'inner')}},
    ],
  })
  const steps = await stepsOf(engine, spec)
  expect(steps.map(({title, run}) => `${run}: ${title}`)).toEqual([
    'on-change: Dockerfile:3 RUN one',
    'on-change: Dockerfile:4 WORKDIR /srv',
    'once: runcmd: systemctl restart nginx',
    "once: runcmd: 'touch' 'a b'",
    'always: inline: before',
    'once: Dockerfile:3 RUN two',
  ])
  expect((await setupOf(engine, spec)).environment).toEqual({MODE: 'inner', OWN: '2'})
})
