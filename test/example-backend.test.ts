import {describe, expect, test} from 'vitest'

import {inOneLine} from '../fixtures/vmfiles/workspace.ts'
import {backendNodes} from '../src/engine/engine.ts'
import type {PluginTools} from '../src/engine/extensions.ts'
import {parseVmfile} from '../src/engine/load.ts'
import {testHypervisor} from '../src/hypervisor/contract/contract.ts'
import type {Hypervisor} from '../src/hypervisor/hypervisor.ts'
import type {BackendNodes} from '../src/model/backend-node.ts'
import {isVmctlError, VmctlError} from '../src/model/errors.ts'
import type {VmSpec} from '../src/model/vm.ts'
import {applyChanges, compareSpecs} from '../src/vmfile/changes.ts'
import type {Change} from '../src/vmfile/grammar/change.ts'
import {makeSpec, makeVm, temporaryDirectory} from './support/builders.ts'

const example = new URL('../examples/plugin-note/paper-hypervisor.js', import.meta.url)
const {paperHypervisor} = (await import(example.href)) as {readonly paperHypervisor: (tools: PluginTools) => Hypervisor}

// The backend of docs/extending.md passes the suite that the page demands.
testHypervisor({
  create: async () => ({
    hypervisor: paperHypervisor({VmctlError}),
    makeVm: async (change = {}) => makeVm({directory: temporaryDirectory(), phase: 'prepared', ...change}),
    cleanup: async () => undefined,
  }),
})

const paper = paperHypervisor({VmctlError})
const directory = '/project'

const parse = (text: string, backends: BackendNodes = backendNodes({hypervisors: new Map([['paper', paper]])})) =>
  parseVmfile(text, {path: `${directory}/VMFile.kdl`, directory, file: 'VMFile.kdl', backends, toleratesMissing: true})

const problemsOf = (text: string): Promise<readonly string[]> =>
  parse(text).then(
    () => [],
    (error: unknown) => (isVmctlError(error) ? error.problems.map(inOneLine) : [String(error)]),
  )

/** What a vm says to the backend. */
const specOf = async (node: string, defaults = ''): Promise<VmSpec & {readonly paper?: unknown}> => {
  const {vms} = await parse(`project "p" { defaults { ${defaults} }; }\nvm "a" {\n  image "a.qcow2"\n  ${node}\n}`)
  return vms[0] ?? makeSpec()
}

describe('the node of a backend', () => {
  test('is in the spec under its name, merged with that of the project', async () => {
    expect((await specOf('paper { lines 20; }')).paper).toEqual({lines: 20})
    expect((await specOf('paper lines=20', 'paper { lines 3; size "a5"; }')).paper).toEqual({lines: 20, size: 'a5'})
    expect((await specOf('paper { }')).paper).toEqual({})
    expect(await specOf('vcpus 2')).not.toHaveProperty('paper')
  })

  test.each([
    ['paper { lins 20; }', '1:35+4 error: unknown node "lins" in paper | did you mean "lines"?'],
    ['paper { size "a6"; }', '1:40+4 error: unknown size: a6 | did you mean "a4"?'],
    ['paper { lines 61; }', '1:41+2 error: 61 is out of range | it can be 1 to 60'],
    ['paper { size "a5"; lines 31; }', '1:27+5 error: an a5 sheet has 30 lines at most'],
    [
      'qemu { cpu "max"; }',
      '1:27+4 error: unknown node "qemu" in vm | the VMFile reference lists what there can be: docs/reference/vmfile.md',
    ],
  ])('what is wrong with %s is told at its place', async (node, problem) => {
    expect(await problemsOf(`vm "a" { image "a.qcow2"; ${node}; }`)).toEqual([problem])
  })

  test.each(['disk', 'vcpus', 'memoryMiB', 'name'])('cannot be called %s, which a VM has for itself', async (name) => {
    await expect(parse('vm "a" { image "a.qcow2"; }', new Map([[name, {doc: 'x', fields: {}}]]))).rejects.toMatchObject({
      code: 'vmctl::plugin::invalid',
    })
  })

  test('says when a change takes effect: that of the field that has most to wait for', async () => {
    const changes = async (before: string, after: string): Promise<readonly Change[]> =>
      compareSpecs(await specOf(before), await specOf(after), backendNodes({hypervisors: new Map([['paper', paper]])}))
    expect(await changes('paper lines=1', 'paper lines=1')).toEqual([])
    expect(await changes('paper lines=1', 'paper lines=2')).toEqual([{field: 'paper', effect: 'restart', text: 'paper lines'}])
    expect(await changes('', 'paper lines=2 size="a4"')).toEqual([{field: 'paper', effect: 'reload', text: 'paper +size +lines'}])
    expect(applyChanges(await specOf('paper lines=1'), await specOf(''), {effects: new Set(['restart'])})).not.toHaveProperty('paper')
  })
})
