import {execFileSync} from 'node:child_process'
import {existsSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, beforeAll, describe, expect, test} from 'vitest'

import {type NoopLab, startNoopLab} from '../../test/support/noop-lab.ts'
import {type CommandResult, runCommand, spawnCommand} from '../../test/support/run-command.ts'
import {sshdMissing} from '../../test/support/sshd.ts'

const missing = sshdMissing()

describe.skipIf(missing)(`prune${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  let lab: NoopLab
  beforeAll(async () => {
    lab = await startNoopLab()
    process.env.VMCTL_NOOP_SSH = `127.0.0.1:${lab.sshd.port}`
  })
  afterAll(async () => {
    delete process.env.VMCTL_NOOP_SSH
    await lab[Symbol.asyncDispose]()
  })

  const layers = (): string => join(lab.workspace.stateDirectory, 'layers')
  /** In a process of its own, which can be killed. */
  const run = (words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CommandResult> =>
    spawnCommand(words, {cwd: lab.workspace.directory, env})
  const here = async (...words: readonly string[]): Promise<CommandResult> => {
    const result = await runCommand(...words)
    expect(result).toMatchObject({exitCode: 0})
    return result
  }
  const up = (): Promise<CommandResult> => here('up', '--file', lab.file('VMFile.kdl'))
  const remake = async (): Promise<void> => {
    await up()
    await here('destroy', 'web', '--yes')
  }
  const write = (last: string): void => {
    const step = (word: string): string => `provision "shell" { inline "echo ${word} >/dev/null"; run "on-change"; cache #true; }`
    const login = `ssh { user ${JSON.stringify(lab.sshd.user)}; private-key ${JSON.stringify(lab.sshd.keyPath)}; }`
    writeFileSync(
      lab.file('VMFile.kdl'),
      `vm "web" { image ${JSON.stringify(lab.workspace.image)}; ${login}; ${step('one')}; ${step(last)}; }`,
    )
  }

  /** Each record has its file, and all that files stand on is there. */
  const requireWhole = (note: string): void => {
    const names = existsSync(layers()) ? readdirSync(layers()) : []
    for (const name of names.filter((one) => one.endsWith('.json'))) {
      const {id} = JSON.parse(readFileSync(join(layers(), name), 'utf8'))
      expect(names, note).toContain(`layer-${id}.qcow2`)
    }
    const disks = [
      ...names.filter((one) => one.endsWith('.qcow2')).map((one) => join(layers(), one)),
      join(lab.workspace.stateDirectory, 'vms/web/overlay.qcow2'),
    ]
    for (const disk of disks.filter((one) => existsSync(one)))
      expect(() => execFileSync('qemu-img', ['info', '--backing-chain', disk], {stdio: 'pipe'}), `${disk} ${note}`).not.toThrow()
  }

  test('kill -9 at every act about layers: no record without its file, no disk without what it stands on, and up goes on', async () => {
    write('first')
    await up()
    const acts = lab.file('acts')
    write('second')
    const whole = await run(['reload', '--yes'], {VMCTL_ACTS: acts})
    expect(whole.stderr).toContain('starts from the layer after step 1')
    const points = [...readFileSync(acts, 'utf8').matchAll(/^(\d+) after ((?:link|rename|sync) .*(?:layers\/.+|overlay).*)$/gm)]
    expect(points.length).toBeGreaterThan(5)
    for (const [index, [, point = '', what = '']] of points.entries()) {
      const note = `after a kill at ${what}`
      write(`third-${index}`)
      expect((await run(['reload', '--yes'], {VMCTL_KILL_AT: point})).exitCode, note).toBe(-1)
      requireWhole(note)
      await up()
      requireWhole(note)
    }
    expect((await here('prune')).stdout).toContain('of a command that was killed: removed')
    requireWhole('after prune')
  })

  test('kill -9 at every act of a prune: one more removes the rest', async () => {
    const acts = lab.file('acts-of-prune')
    await remake()
    await run(['prune'], {VMCTL_ACTS: acts})
    expect(readdirSync(layers())).toEqual([])
    for (const [, point] of readFileSync(acts, 'utf8').matchAll(/^(\d+) after (?:remove|sync) .*layers/gm)) {
      await remake()
      expect((await run(['prune'], {VMCTL_KILL_AT: point})).exitCode).toBe(-1)
      requireWhole(`after a kill at ${point}`)
      await here('prune')
      expect(readdirSync(layers())).toEqual([])
    }
  })

  test('while layers are pruned, VMs are made on them: no disk loses what it stands on', async () => {
    write('race')
    await up()
    const over = new AbortController()
    const pruning = (async () => {
      while (!over.signal.aborted) expect(await run(['prune'])).toMatchObject({exitCode: 0})
    })()
    for (let count = 0; count < 4; count++) {
      await here('reload', '--yes', '--file', lab.file('VMFile.kdl'))
      requireWhole(`after reload ${count}`)
    }
    over.abort()
    await pruning
  })

  test('says what would go, and what went', async () => {
    await here('destroy', 'web', '--yes')
    await remake()
    const {stdout} = await here('prune', '--dry-run')
    expect(stdout).toMatch(/^layer [0-9a-f]{12} of web, after step 2 \(inline: echo race >\/dev\/null\): would be removed, [\d.]+ KB$/m)
    const usage = await here('disk-usage')
    expect(usage.stdout).toMatch(/^layers of provision steps +2 /m)
    const pruned = await here('prune', '--json')
    expect(pruned.json.remove).toMatchObject([{step: 2}, {step: 1}])
    expect((await here('prune')).stdout).toBe('Nothing to remove.\n')
  })
})
