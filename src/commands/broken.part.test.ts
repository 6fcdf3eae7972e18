import {chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, beforeAll, expect, test} from 'vitest'

import {describeUnless} from '../../test/support/programs.ts'
import {type Project, startProject} from '../../test/support/project.ts'
import {runCommand} from '../../test/support/run-command.ts'
import {sshdMissing} from '../../test/support/sshd.ts'

const missing = sshdMissing()

describeUnless(missing)('one broken VM among others', {timeout: 240_000}, () => {
  let project: Project
  beforeAll(async () => {
    project = await startProject()
    const text = project.vm('broken', project.inline('echo 1')) + project.vm('whole', project.inline('echo 2'))
    expect(await project.run(text, 'up')).toMatchObject({exitCode: 0})
    // From here on the guest would not answer, and nobody may ask it.
    await project.sshd[Symbol.asyncDispose]()
  }, 60_000)
  afterAll(() => project.workspace[Symbol.dispose]())

  const harms: Readonly<Record<string, (path: string) => void>> = {
    'is gone': (path) => rmSync(path),
    'is empty': (path) => writeFileSync(path, ''),
    'is cut in half': (path) => writeFileSync(path, readFileSync(path).subarray(0, statSync(path).size / 2)),
    'is noise': (path) => writeFileSync(path, Buffer.from(Array.from({length: 500}, (_, index) => (index * 151) % 256))),
    'is other JSON': (path) => writeFileSync(path, '[{"schema":99,"name":null,"steps":{},"spec":[]}]'),
    'is a directory': (path) => (rmSync(path), mkdirSync(path)),
    'is a link to nowhere': (path) => (rmSync(path), symlinkSync('/no/such/file', path)),
    'is a link to itself': (path) => (rmSync(path), symlinkSync(path, path)),
    'may not be read': (path) => chmodSync(path, 0),
  }

  test.each(Object.entries(harms))('list and status tell of the other, whichever file of the one %s', async (_, harm) => {
    const directory = project.vmDirectory('broken')
    const files = readdirSync(directory, {recursive: true, encoding: 'utf8'}).filter((name) => statSync(join(directory, name)).isFile())
    expect(files).toEqual(expect.arrayContaining(['vm.json', 'guest.json', 'journal.json']))
    for (const name of files) {
      const path = join(directory, name)
      const content = readFileSync(path)
      const {mode} = statSync(path)
      harm(path)
      try {
        const listed = await runCommand('list', '--json')
        expect(listed.exitCode, name).toBe(0)
        expect(listed.json.vms, name).toContainEqual(expect.objectContaining({name: 'whole', state: 'running'}))
        expect((await runCommand('status', 'whole', '--json')).json, name).toMatchObject({state: 'running', provision: [{state: 'done'}]})
        const own = await runCommand('status', 'broken')
        // Of the broken one itself all that can be known is told, or which file is the matter.
        if (own.exitCode !== 0) expect({name, stderr: own.stderr}).toEqual({name, stderr: expect.stringMatching(/error\[vmctl::/)})
        if (own.exitCode !== 0 && existsSync(path)) expect(own.stderr).toContain(path)
      } finally {
        rmSync(path, {recursive: true, force: true})
        writeFileSync(path, content, {mode})
        chmodSync(path, mode)
      }
    }
  })
})
