import {execFileSync} from 'node:child_process'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterEach, beforeEach, expect, test} from 'vitest'

import {makeSpec} from '../../../test/support/builders.ts'
import {setupOf} from './attach.ts'
import {readDockerfile} from '../../provision/dockerfile/index.ts'
import {converge, planAll} from '../converge/converge.ts'
import {type Engine, openEngine} from '../engine.ts'
import {readVmfile, type Vmfile} from '../load.ts'
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

test('what is done with a VMFile goes by one reading of its Dockerfiles', async () => {
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', join(directory, 'base.qcow2'), '1M'])
  writeFileSync(
    join(directory, 'VMFile.kdl'),
    'vm "web" {\n  image "base.qcow2"\n  cloud-init {\n    hostname "web"\n  }\n  ssh {}\n  provision "dockerfile" {\n    path "Dockerfile"\n  }\n}\n',
  )
  const dockerfile = (step: string): void => writeFileSync(join(directory, 'Dockerfile'), `FROM base.qcow2\nENV MODE=x\nRUN ${step}\n`)
  dockerfile('one')
  let readings = 0
  const engine: Engine = {
    ...(await openEngine({stateDirectory: join(directory, 'state'), backend: 'noop', env: {}})),
    readDockerfile: (spec) => {
      readings += 1
      return readDockerfile(spec)
    },
  }
  const planned = async (vmfile: Vmfile): Promise<string[]> =>
    (await planAll(engine, {vmfile, verb: 'up', provision: true})).flatMap(({provision}) => provision.map(({title}) => title))
  const vmfile = await readVmfile(engine, join(directory, 'VMFile.kdl'))
  dockerfile('two')
  expect(await planned(vmfile)).toEqual(['Dockerfile:3 RUN one'])
  await converge(engine, {vmfile, verb: 'up', provision: false})
  expect(readings).toBe(1)
  expect(await planned(await readVmfile(engine, join(directory, 'VMFile.kdl')))).toEqual(['Dockerfile:3 RUN two'])
  expect(readings).toBe(2)
})
