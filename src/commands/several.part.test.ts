import {rmSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, beforeAll, beforeEach, expect, test} from 'vitest'

import {writePlugin} from '../../test/support/link-plugin.ts'
import {type CommandResult, makeWorkspace, runCommand, type Workspace} from '../../test/support/run-command.ts'

/** A backend on which every verb fails for the VMs whose name begins with a kind of failure; FAULTY says what they all do meanwhile. */
const faulty = `
const statuses = {usage: 2, missing: 3, host: 4, state: 5, guest: 6, timeout: 7}
const failures = Object.entries(statuses).map(([kind, exit]) => ({code: \`faulty::\${kind}::failed\`, exit, help: (vm) => \`Look at \${vm}.\`}))

export default ({VmctlError}) => {
  const failing = async ({name}) => {
    const failure = failures.find(({code}) => code.split('::')[1] === name.split('-')[0])
    if (failure && process.env.FAULTY !== 'new') throw new VmctlError(failure, \`\${name} fails.\`, {retry: 'never'})
  }
  const nothing = async () => undefined
  return {
    failures,
    hypervisors: [
      {
        name: 'faulty',
        unavailable: nothing,
        check: nothing,
        prepare: nothing,
        start: failing,
        stop: failing,
        destroy: failing,
        suspend: failing,
        resume: failing,
        dial: failing,
        sshAddress: nothing,
        observe: async () => ({state: process.env.FAULTY === 'new' ? 'running' : process.env.FAULTY}),
      },
    ],
  }
}
`

let workspace: Workspace
beforeAll(() => {
  workspace = makeWorkspace()
  writePlugin(workspace, faulty)
  process.env.VMCTL_BACKEND = 'faulty'
})
afterAll(() => workspace[Symbol.dispose]())
beforeEach(() => rmSync(join(workspace.stateDirectory, 'vms'), {recursive: true, force: true}))

interface Verb {
  readonly words: readonly string[]
  /** In which the VMs are. */
  readonly state: string
  /** What else is in each VM of the VMFile. */
  readonly body?: string
}

/** Makes VMs of these names, as the one VMFile says, and runs a verb on them. */
const runOn = async (names: readonly string[], {words, state, body = ''}: Verb): Promise<CommandResult> => {
  const text = names.map((name) => `vm "${name}" { image "base.qcow2"; stop-grace-period "0s"; ${body} }\n`).join('')
  process.env.VMCTL_FILE = workspace.write('VMFile.kdl', text)
  process.env.FAULTY = 'new'
  expect(await runCommand('up', '--no-provision')).toMatchObject({exitCode: 0})
  process.env.FAULTY = state
  return runCommand(...words.flatMap((word) => (word === 'NAMES' ? names : [word])))
}

/** The kinds of failure of some VMs, and the exit status for all of them. */
const statuses: readonly (readonly [names: readonly string[], exit: number])[] = [
  [['host-1'], 4],
  [['host-1', 'host-2', 'host-3'], 4],
  [['timeout-1'], 7],
  [['timeout-1', 'timeout-2', 'well-1'], 7],
  [['guest-1', 'well-1', 'host-1'], 4],
  [['usage-1', 'missing-1', 'state-1'], 5],
  [['timeout-1', 'guest-1'], 6],
]

const verbs: Readonly<Record<string, Verb>> = {
  start: {words: ['start'], state: 'stopped'},
  'start of the named': {words: ['start', 'NAMES'], state: 'stopped'},
  stop: {words: ['stop'], state: 'running'},
  restart: {words: ['restart'], state: 'running'},
  suspend: {words: ['suspend'], state: 'running'},
  resume: {words: ['resume'], state: 'suspended'},
  destroy: {words: ['destroy', 'NAMES'], state: 'running'},
  up: {words: ['up'], state: 'stopped'},
  reload: {words: ['reload'], state: 'running'},
  down: {words: ['down'], state: 'running'},
  'down --destroy': {words: ['down', '--destroy'], state: 'running'},
}

test.each(Object.entries(verbs))('%s ends with the status of the failure, of one VM and of several', async (_verb, verb) => {
  for (const [names, exitCode] of statuses) {
    const ran = await runOn(names, verb)
    expect({names, exitCode: ran.exitCode, stderr: ran.stderr}).toMatchObject({names, exitCode})
    const failing = names.filter((name) => !name.startsWith('well'))
    for (const name of failing) expect(ran.stderr).toContain(`error[faulty::${name.split('-')[0]}::failed]: ${name} fails.`)
    for (const name of failing) expect(ran.stderr).toContain(`help: Look at ${name}.`)
    if (names.length > 1) expect(ran.stderr).toContain('error[vmctl::vms::failed]: ')
  }
})

test('provision and exec cannot reach guests: the same', async () => {
  const body = 'cloud-init { user "me"; }; ssh { user "me"; }; provision "shell" { inline "true"; }'
  for (const words of [['provision'], ['exec', '--all', '--', 'true'], ['exec', '--json', '--all', '--', 'true']]) {
    for (const [names, exitCode] of statuses) {
      const failing = names.filter((name) => !name.startsWith('well'))
      const ran = await runOn(failing, {words, state: 'running', body})
      expect({words, names, exitCode: ran.exitCode, stderr: ran.stderr}).toMatchObject({words, names, exitCode})
    }
  }
})

test('a failure of the plugin is a failure under --json too', async () => {
  expect((await runOn(['host-1'], {words: ['start', 'host-1', '--json'], state: 'stopped'})).json).toEqual({
    error: {
      code: 'faulty::host::failed',
      message: 'host-1 fails.',
      help: 'Look at host-1.',
      vm: 'host-1',
      retry: 'never',
      vms: [{name: 'host-1', error: {code: 'faulty::host::failed', message: 'host-1 fails.', help: 'Look at host-1.'}}],
    },
  })
  expect((await runOn(['host-1', 'well-1', 'guest-1'], {words: ['start', '--json'], state: 'stopped'})).json).toMatchObject({
    error: {
      message: '2 of 3 VMs failed: host-1, guest-1.',
      vms: [
        {name: 'host-1', error: {code: 'faulty::host::failed', help: 'Look at host-1.'}},
        {name: 'well-1', state: 'running'},
        {name: 'guest-1', error: {code: 'faulty::guest::failed'}},
      ],
    },
  })
  expect((await runOn(['host-1'], {words: ['up', '--json'], state: 'stopped'})).json.error.vms).toMatchObject([
    {name: 'host-1', state: 'stopped', error: {code: 'faulty::host::failed'}},
  ])
  expect((await runOn(['host-1', 'guest-1'], {words: ['up', '--json'], state: 'stopped'})).json).toMatchObject({
    error: {
      code: 'vmctl::vms::failed',
      vms: [
        {name: 'host-1', error: {code: 'faulty::host::failed', help: 'Look at host-1.'}},
        {name: 'guest-1', error: {code: 'faulty::guest::failed', help: 'Look at guest-1.'}},
      ],
    },
  })
})
