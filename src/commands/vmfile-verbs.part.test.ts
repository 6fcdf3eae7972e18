import {existsSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {beforeEach, expect, test} from 'vitest'

import {describeUnless} from '../../test/support/programs.ts'
import {startProject} from '../../test/support/project.ts'
import {useShared} from '../../test/support/shared.ts'
import {makeWorkspace, runCommand, untimed} from '../../test/support/run-command.ts'
import {sshdMissing} from '../../test/support/sshd.ts'
import {openStore, readVm, stageDirectory} from '../../test/support/state.ts'

const missing = sshdMissing()

describeUnless(missing)('the verbs of a VMFile', () => {
  const project = useShared(startProject)
  beforeEach(() => rmSync(join(project.workspace.stateDirectory, 'vms'), {recursive: true, force: true}))
  const {vm, inline, run, vmDirectory} = project

  test('up creates, starts and provisions; twice does nothing; down stops; up runs the steps again; down --destroy removes', async () => {
    const text = vm('web', inline('echo hello; echo problem >&2'))
    const first = await run(text, 'up')
    expect(first.exitCode).toBe(0)
    expect(first.stdout).toMatch(/^hello\nweb up in \d+(?:\.\d)? s\nNext: vmctl ssh web\n$/)
    expect(first.stderr).toMatch(/^(?:\[ *\d+\.\ds\] (?:web: .*|backend noop: no real VM is made)\n|problem\n)+$/)
    expect(
      untimed(first.stderr)
        .replaceAll(/SHA256:\S+/g, 'KEY')
        .replaceAll(/\d+(?:\.\d)? s/g, 'TIME'),
    ).toBe(
      [
        'web: will create (does not exist)',
        'web: will start (new)',
        'web: will run its steps (first start)',
        'backend noop: no real VM is made',
        'web: created in TIME',
        'web: started in TIME',
        'web: the guest has its own host key, trusted from now on: KEY',
        'web: booted in TIME',
        'web: step 1 of 1: inline: echo hello; echo problem >&2',
        'problem',
        'web: step 1 done in TIME',
        'web: steps took TIME',
        'web: up after TIME',
        '',
      ].join('\n'),
    )
    expect(readFileSync(join(vmDirectory('web'), 'provision.log'), 'utf8')).toMatch(
      /^=== Step 1: .* ===\n(?:hello\nproblem|problem\nhello)\n$/,
    )

    const second = await run(undefined, 'up')
    expect(second).toMatchObject({exitCode: 0, stdout: 'web is up to date.\n'})
    expect(untimed(second.stderr)).toBe('web: is already running\n')
    expect((await run(undefined, 'plan')).stdout).toBe('VM   ACTION  CAUSE\nweb  none    is already running\n')
    expect(await run(undefined, 'down')).toMatchObject({exitCode: 0, stdout: expect.stringMatching(/^web stopped in \d+(?:\.\d)? s\n$/)})
    expect((await run(undefined, 'plan')).stdout).toBe(
      'VM   ACTION     CAUSE\nweb  start      stopped\nweb  provision  step 1 (inline: echo hello; echo problem >&2): the VM was restarted\n',
    )
    expect((await run(undefined, 'up')).stdout).toMatch(/^hello\nweb up in \d+(?:\.\d)? s\n$/)
    expect(await run(undefined, 'down', '--destroy')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^web destroyed in \d+(?:\.\d)? s\n$/),
    })
    expect(readdirSync(join(project.workspace.stateDirectory, 'vms'))).toEqual([])
    const gone = await run(undefined, 'down', '--destroy')
    expect(gone).toMatchObject({exitCode: 0, stdout: ''})
    expect(untimed(gone.stderr)).toBe('web: does not exist\n')
  })

  test('ps shows the VMs of the VMFile as a table, and as JSON', async () => {
    expect(await run(vm('web') + vm('db'), 'up', 'web')).toMatchObject({exitCode: 0})
    const {stdout, stderr, exitCode} = await run(undefined, 'ps')
    expect({stdout, stderr, exitCode}).toEqual({
      exitCode: 0,
      stderr: '',
      stdout: [
        'NAME  STATUS        HEALTH  IP  CPU   MEMORY     DISK  PORTS',
        'web   ready (noop)  -       -     1  1.00 GB  16.0 MB  -',
        'db    not created   -       -     -        -        -  -',
        '',
      ].join('\n'),
    })
    expect((await run(undefined, 'ps', 'web', '--json')).json.vms).toMatchObject([{name: 'web', state: 'running', ports: [], ips: []}])
    expect((await run(undefined, 'ps', 'web', '--json')).json.vms).toMatchObject([{state: 'running', readiness: 'ready'}])
    expect(await run(undefined, 'ps', '--wait', '--timeout', '1')).toMatchObject({exitCode: 0})
    expect(await run(undefined, 'ps', 'nobody')).toMatchObject({exitCode: 3})
    expect(await run(undefined, 'ps', '--timeout', '1')).toMatchObject({exitCode: 2})
    expect((await runCommand('ps', '--all')).stdout).toMatch(/^web /m)
    expect((await runCommand('list')).stdout).toMatch(/^NAME +STATE .*\nweb +running +noop /)
    expect((await runCommand('projects')).stdout).toBe(
      `PROJECT  VMS  RUNNING  PORTS  VMFILE\n-          1        1  -      ${project.path}\n`,
    )
    expect((await runCommand('projects', '--json')).json).toEqual({
      projects: [{vmfile: project.path, vms: [{name: 'web', state: 'running'}], ports: []}],
    })
  })

  test('ps --wait waits for a guest that nobody has seen ready, and ps does not ask it', async () => {
    // Nobody can log in to the second one, so nobody waits for it.
    await run(`${vm('web')}vm "mute" { image "base.qcow2"; network "none"; }\n`, 'up', '--no-provision')
    const status = async (...words: readonly string[]): Promise<unknown> =>
      (await run(undefined, 'ps', ...words, '--json')).json.vms.map(
        ({state, readiness = 'mute'}: {state: string; readiness?: string}) => `${state} ${readiness}`,
      )
    expect(await status()).toEqual(['running starting', 'running mute'])
    expect(await status('--wait')).toEqual(['running ready', 'running mute'])
  })

  test('a step that fails: which, why, its last lines; the next up goes on there', async () => {
    const marks = join(project.workspace.directory, 'marks')
    const text = (second: string): string =>
      vm('web', [inline(`echo one >>${marks}`), inline(second), inline(`echo three >>${marks}`)].join('\n'))
    const failed = await run(text('echo about to fail; exit 42'), 'up')
    expect(failed).toMatchObject({exitCode: 6, stdout: 'about to fail\n'})
    expect(failed.stderr).toContain(
      'error[vmctl::provision::failed]: web: step 2 (inline: echo about to fail; exit 42) ended with exit code 42.\nLast lines:\n  about to fail\n',
    )
    expect(failed.stderr).toContain('help: Correct the step, then run `vmctl up` again. `vmctl log web --provision` has the whole output.')
    expect((await runCommand('status', 'web', '--json')).json.provision).toEqual([
      expect.objectContaining({step: 1, title: `inline: echo one >>${marks}`, state: 'done', exitCode: 0, durationMs: expect.any(Number)}),
      expect.objectContaining({step: 2, title: 'inline: echo about to fail; exit 42', state: 'failed', exitCode: 42}),
      {step: 3, title: `inline: echo three >>${marks}`, state: 'pending'},
    ])
    expect(await run(undefined, 'up', '--json')).toMatchObject({
      exitCode: 6,
      stderr: expect.stringContaining('web: step '),
      json: {error: {code: 'vmctl::provision::failed', vm: 'web', step: 2, exitCode: 42}},
    })
    expect((await run(text('true'), 'plan', '--json')).json).toMatchObject({
      vms: [
        {
          vm: 'web',
          steps: [
            {action: 'provision', cause: `step 2 (inline: true): command changed; step 3 (inline: echo three >>${marks}): never run`},
          ],
          notices: [],
          provision: [
            {step: 1, verdict: 'skip', cause: 'done, unchanged'},
            {step: 2, title: 'inline: true', verdict: 'run', cause: 'command changed'},
            {step: 3, verdict: 'run', cause: 'never run'},
          ],
        },
      ],
    })
    expect((await run(undefined, 'why', 'web')).stdout).toMatch(
      /^step 1 +stay .* done, unchanged\nstep 2 +run +inline: true +command changed\nstep 3 +run .* never run$/m,
    )
    expect((await run(undefined, 'why', 'web', '--json')).json).toMatchObject({
      vm: 'web',
      provision: [{verdict: 'skip'}, {verdict: 'run'}, {verdict: 'run'}],
    })
    expect(await run(undefined, 'up')).toMatchObject({exitCode: 0})
    expect(readFileSync(marks, 'utf8')).toBe('one\nthree\n')
    expect(await run(undefined, 'provision')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^web provisioned in \d+(?:\.\d)? s\n$/),
    })
    expect(readFileSync(marks, 'utf8')).toBe('one\nthree\none\nthree\n')
  })

  test('provision --step, --from, --rerun: which steps run, and a number that is none', async () => {
    const marks = join(project.workspace.directory, 'selected')
    const step = (number: number, mode: string): string => inline(`echo ${number} >>${marks}`).replace('inline', `run "${mode}"; inline`)
    const text = vm('web', [step(1, 'always'), step(2, 'once'), step(3, 'on-change')].join('\n'))
    const marked = (): string => readFileSync(marks, 'utf8').replaceAll('\n', '')
    expect(await run(text, 'up')).toMatchObject({exitCode: 0})
    await run(undefined, 'provision', '--step', '2')
    expect(marked()).toBe('1232')
    await run(undefined, 'provision', '--from', '2')
    expect(marked()).toBe('123223')
    await run(undefined, 'provision', '--rerun', '1')
    expect(marked()).toBe('1232231')
    await run(undefined, 'down')
    expect((await run(undefined, 'up', '--timings')).stdout).toMatch(
      /^web .* s\n(?: {2}\S.* s\n)*? {2}booting .* s\n(?: {2}\S.* s\n)*? {2}step 1: .* s\n/m,
    )
    expect(marked()).toBe('12322311')
    await run(undefined, 'provision', '--all')
    expect(marked()).toBe('12322311123')
    expect(await run(undefined, 'provision', '--step', '4')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('there is no step 4'),
    })
    expect(await run(undefined, 'provision', '--step', '1', '--all')).toMatchObject({exitCode: 2})
    const planned = (await run(undefined, 'plan', '--for', 'provision', '--from', '2')).stdout
    expect(planned).toMatch(/step 2 .*asked for \(--from 2\)[^]*step 3 .*asked for \(--from 2\)/)
    expect(planned).not.toContain('step 1')
    expect((await run(undefined, 'plan', '--for', 'provision', '--step', '3', '--json')).json.vms[0].provision).toMatchObject([
      {step: 1, verdict: 'skip'},
      {step: 2, verdict: 'skip'},
      {step: 3, verdict: 'rerun'},
    ])
    expect(await run(undefined, 'plan', '--for', 'provision', '--step', '4')).toMatchObject({exitCode: 2})
    expect(await run(undefined, 'plan', '--step', '1')).toMatchObject({exitCode: 2, stderr: expect.stringContaining('--for provision')})
    expect(marked()).toBe('12322311123')
    expect(await run(undefined, 'why', 'web')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^step 2 +stay +inline: echo 2.* +done once$/m),
    })
  })

  test('JSON of up, down and reload', async () => {
    const up = await run(vm('web', inline('echo noise; echo noise >&2')), 'up', '--json')
    expect(up).toMatchObject({exitCode: 0, stderr: expect.stringContaining('web: started in')})
    expect(up.json).toEqual({
      vms: [
        {
          name: 'web',
          state: 'running',
          login: true,
          actions: [
            {action: 'create', cause: 'does not exist', durationMs: expect.any(Number)},
            {action: 'start', cause: 'new', durationMs: expect.any(Number)},
            {action: 'provision', cause: 'first start', durationMs: expect.any(Number)},
          ],
          notices: [],
          timings: expect.arrayContaining([
            {what: 'create', startMs: expect.any(Number), durationMs: expect.any(Number)},
            {what: 'authentication', startMs: expect.any(Number), durationMs: expect.any(Number)},
            {what: 'step 1', title: expect.stringContaining('inline: '), startMs: expect.any(Number), durationMs: expect.any(Number)},
          ]),
        },
      ],
    })
    const {json} = await runCommand('status', 'web', '--json')
    const reload = await run(undefined, 'reload', '--no-provision', '--json')
    expect(reload.json.vms).toMatchObject([
      {
        name: 'web',
        state: 'running',
        actions: [
          {action: 'recreate', cause: 'asked for, running'},
          {action: 'start', cause: 'new', durationMs: expect.any(Number)},
        ],
        notices: [],
      },
    ])
    expect((await runCommand('status', 'web', '--json')).json.id).not.toBe(json.id)
    expect((await run(undefined, 'down', '--destroy', '--json')).json.vms).toMatchObject([
      {name: 'web', state: 'destroyed', actions: [{action: 'destroy', cause: '--destroy, running'}], notices: []},
    ])
  })

  test('several VMs: one fails, the others are brought up, and the status tells', async () => {
    const text = [vm('a', inline('echo from a')), vm('b', inline('echo from b; exit 7')), vm('c', inline('echo from c'))].join('')
    const failed = await run(text, 'up')
    expect(failed.exitCode).toBe(6)
    expect(failed.stderr).toContain('b: failed\n')
    expect(failed.stderr).toMatch(/^error\[vmctl::vms::failed\]: 1 of 3 VMs failed after \d+(?:\.\d)? s: b\.$/m)
    expect(failed.stderr).toContain('b: step 1 (inline: echo from b; exit 7) ended with exit code 7.')
    for (const name of ['a', 'b', 'c']) expect(failed.stdout).toMatch(new RegExp(`^(?:${name} \\| )?from ${name}$`, 'm'))
    expect((await runCommand('list', '--json')).json.vms.map(({name, state}: {name: string; state: string}) => `${name} ${state}`)).toEqual(
      ['a running', 'b running', 'c running'],
    )
    const {json, exitCode, stderr} = await run(undefined, 'up', '--json')
    expect({exitCode, stderr}).toEqual({exitCode: 6, stderr: expect.stringContaining('b: failed\n')})
    expect(json.error).toMatchObject({code: 'vmctl::vms::failed', message: '1 of 3 VMs failed: b.'})
    expect(
      json.error.vms.map(({name, state, error}: {name: string; state: string; error?: {code: string}}) => [name, state, error?.code]),
    ).toEqual([
      ['a', 'running', undefined],
      ['b', 'running', 'vmctl::provision::failed'],
      ['c', 'running', undefined],
    ])
    expect(await run(undefined, 'up', '--name', 'a', '--name', 'c')).toMatchObject({
      exitCode: 0,
      stdout: '2 VMs are up to date.\n',
    })
  })

  test('--name that matches nothing lists the names', async () => {
    const ran = await run(vm('web') + vm('db'), 'up', '--name', 'wbe')
    expect(ran).toMatchObject({exitCode: 3, stdout: ''})
    expect(ran.stderr).toContain(`${project.path} defines no VM named "wbe"; it defines web, db.\n  help: Did you mean "web"?`)
    expect(await run(undefined, 'down', '--name', 'other', '--json')).toMatchObject({
      exitCode: 3,
      json: {error: {code: 'vmctl::vm::not_found', help: 'Use one of: web, db.'}},
    })
  })

  test('a VM of another VMFile, or of `vmctl create`, is not adopted unless asked for', async () => {
    await run(vm('web'), 'up', '--no-provision')
    const other = project.workspace.write('Other.kdl', vm('web'))
    for (const verb of ['up', 'down', 'reload', 'provision', 'plan']) {
      expect(await runCommand(verb, '--file', other), verb).toMatchObject({
        exitCode: 5,
        stderr: expect.stringContaining(`it was made by ${project.path}, not by ${other}`),
      })
    }
    await runCommand('destroy', 'web')
    await runCommand('create', '--name', 'web', '--image', project.workspace.image)
    expect(await run(undefined, 'up')).toMatchObject({exitCode: 5, stderr: expect.stringContaining('it was made by `vmctl create`')})
    expect(existsSync(vmDirectory('web'))).toBe(true)
  })

  test('changes: applied in place, or told with what to do; reload takes them', async () => {
    await run(vm('web'), 'up')
    const changed = vm('web', '  memory 2048')
    const told = 'web: changed, needs a restart (`vmctl restart web`): memory 1024 → 2048 MB\n'
    expect((await run(changed, 'up')).stderr).toContain(told)
    expect((await runCommand('status', 'web', '--json')).json.memoryMiB).toBe(1024)
    await run(undefined, 'down')
    expect((await run(undefined, 'up')).stderr).toContain('web: will update (memory 1024 → 2048 MB)\n')
    expect((await runCommand('status', 'web', '--json')).json.memoryMiB).toBe(2048)
  })

  test.each(['restart', 'start'])('%s brings what waits for a start, and nothing else', async (verb) => {
    const counted = join(project.workspace.directory, `counted-${verb}`)
    const step = inline(`echo run >>${counted}`)
    await run(vm('web', step), 'up')
    const changed = vm('web', `  memory 2048\n  vcpus 2\n  cloud-init { timezone "UTC"; }\n${step}`)
    expect((await run(changed, 'up', '--json')).json.vms[0].notices).toContain(
      'changed, needs a restart (`vmctl restart web`): memory 1024 → 2048 MB',
    )
    expect((await run(undefined, 'plan')).stdout).toContain('changed, needs a restart (`vmctl restart web`): memory 1024 → 2048 MB')
    if (verb === 'start') await runCommand('stop', 'web')
    const ran = await runCommand(verb, 'web')
    expect(ran).toMatchObject({exitCode: 0, stdout: `web: ${verb}ed\n`})
    expect(ran.stderr).toContain('web: will update (vcpus 1 → 2, memory 1024 → 2048 MB)\n')
    expect(ran.stderr).toContain('web: changed, needs `vmctl reload --name web`: cloud-init\n')
    expect((await runCommand('status', 'web', '--json')).json).toMatchObject({state: 'running', memoryMiB: 2048, vcpus: 2})
    expect(readFileSync(counted, 'utf8')).toBe('run\n')
    expect((await run(undefined, 'up')).stderr).not.toContain('needs a restart')
  })

  test('restart of a VM whose VMFile is broken, gone, or no longer defines it: as it was', async () => {
    await run(vm('web'), 'up')
    for (const [text, told] of [
      [
        'vm "web" {\n  image "base.qcow2"\n  memroy 2048\n}\n',
        `web: starts as it was, because its VMFile cannot be read: ${project.path}:3:3: `,
      ],
      [undefined, 'web: starts as it was, because its VMFile cannot be read: '],
      [vm('other'), ''],
    ] as const) {
      if (text === undefined) rmSync(project.path)
      else writeFileSync(project.path, text)
      const ran = await runCommand('restart', 'web')
      expect(ran).toMatchObject({exitCode: 0, stdout: 'web: restarted\n'})
      if (told === '') expect(ran.stderr).toBe('')
      else expect(ran.stderr).toContain(told)
      expect((await runCommand('status', 'web', '--json')).json).toMatchObject({state: 'running', memoryMiB: 1024})
    }
  })

  test('what the VMFile needs and does not have is told before anything is made', async () => {
    const text = 'vm "web" {\n  image "base.qcow2"\n  provision "shell" { script "missing.sh"; }\n}\n'
    const ran = await run(text, 'up')
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).toContain('script not found: "missing.sh"')
    expect(await run(text.replace('base.qcow2', 'missing.qcow2'), 'up')).toMatchObject({exitCode: 2})
    expect(existsSync(vmDirectory('web'))).toBe(false)
  })

  test('problems of a VMFile are drawn with their lines, all of them, and are data in JSON', async () => {
    const text = 'vm "web" {\n  image "base.qcow2"\n  memroy 512\n  vcpus 0\n}\n'
    for (const verb of ['validate', 'up', 'plan']) {
      const ran = await run(text, verb)
      expect(ran).toMatchObject({exitCode: 2, stdout: ''})
      expect(ran.stderr).toMatch(new RegExp(`${project.path}:3:3`))
      expect(ran.stderr).toMatch(/3 \| {3}memroy 512\n.*\^{6}/)
      expect(ran.stderr).toMatch(/4 \| {3}vcpus 0\n.*\^/)
      expect(ran.stderr).toContain('memory')
      expect(ran.stderr).not.toContain('\u001b')
    }
    const {json, exitCode, stderr} = await run(undefined, 'validate', '--json')
    expect({exitCode, stderr}).toEqual({exitCode: 2, stderr: ''})
    expect(json.error.problems).toEqual([
      expect.objectContaining({file: project.path, line: 3, column: 3, length: 6, severity: 'error', code: 'vmctl::vmfile::validation'}),
      expect.objectContaining({file: project.path, line: 4, column: 9}),
    ])
    expect(await runCommand('up', '--file', '/no/such/VMFile.kdl')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('error[vmctl::vmfile::not_found]'),
    })
    expect(await run(vm('web'), 'validate')).toMatchObject({exitCode: 0, stderr: '', stdout: `${project.path} is valid; it defines web.\n`})
    expect((await run(undefined, 'validate', '--json')).json).toEqual({path: project.path, vms: ['web'], warnings: []})
  })

  test('left-overs of a vmctl that was killed are swept by the next one', async () => {
    const store = await openStore(project.workspace.stateDirectory)
    await stageDirectory(store, 'web')
    await run(vm('web'), 'up')
    expect(readdirSync(store.vmsDirectory)).toEqual(['web'])
    expect(await readVm(store, 'web')).toMatchObject({vmfile: project.path, phase: 'started'})
  })
})

test('a flag, an argument or a value that does not exist ends with status 2', async () => {
  using _workspace = makeWorkspace()
  const wrong = [
    ['up', '--no-such-flag'],
    ['console', 'web', 'too-much'],
    ['destroy'],
    ['stop', 'web', '--timeout', 'soon'],
    ['create', '--name', 'x', '--image', 'a', '--memory', 'lots'],
    ['plan', '--for', 'lunch'],
    ['log', 'web', '--tail', '-1'],
  ]
  for (const words of wrong) {
    const ran = await runCommand(...words)
    expect(`${words.join(' ')}: ${ran.exitCode}`).toBe(`${words.join(' ')}: 2`)
    expect(ran.stdout).toBe('')
    expect(ran.stderr).not.toBe('')
    const json = await runCommand(...words, '--json')
    expect(`${words.join(' ')}: ${json.exitCode}`).toBe(`${words.join(' ')}: 2`)
    expect(json.json.error).toEqual({
      code: expect.stringMatching(/^vmctl::usage::/),
      message: expect.stringMatching(/\S/),
      help: expect.stringMatching(/\S/),
    })
  }
})
