import {readdirSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {expect} from 'vitest'

import {eventually, inline, leftovers, microVm} from '../support/vm-guests.ts'
import {expectSuccess, type VmLab} from '../support/vm-lab.ts'
import {scenario} from '../support/vm-scenario.ts'
import {qemusBelow} from '../support/vm-processes.ts'

/** vmctl may die at any moment: one more `up` brings the VM to where it belongs, and nothing is done twice. */
const {lab, step} = scenario('killed')

/** Random but repeatable: the seed is in the failure's transcript and can be given again. */
const seed = Number(process.env.VMCTL_E2E_SEED ?? Date.now() % 1_000_000)
let state = seed
const random = (): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return state / 2 ** 32
}

const steps = (round: number): string[] =>
  [1, 2, 3].map((number) => inline(`echo ${round}.${number} >> ~/runs; sleep 0.2; echo done-${round}.${number}`))

/** One project per VM, so that several can be tortured at once. */
const write = (name: string, round: number): string => lab.write(`${name}/VMFile.kdl`, microVm(name, steps(round).join('\n')))

const qemusOf = async (name: string): Promise<number[]> => {
  const {id} = JSON.parse(lab.read(name, 'vm.json'))
  return qemusBelow(lab.root)
    .filter((qemu) => qemu.id === id || qemu.args.includes(`guest=${name},debug-threads=on`))
    .map(({pid}) => pid)
}

const upFile = (file: string): Promise<{stdout: string; stderr: string}> => lab.run(['up', '--file', file]).then(expectSuccess)

/** Starts `verb`, kills it after a time, and returns what `up` makes of it. */
const killAfter = async (file: string, milliseconds: number, verb = 'up'): Promise<'killed' | 'finished'> => {
  const running = lab.start([verb, '--file', file])
  await Promise.race([sleep(milliseconds), running.outcome])
  running.kill('SIGKILL')
  return (await running.outcome).signal === 'SIGKILL' ? 'killed' : 'finished'
}

const requireOrder = async (name: string, note: string): Promise<void> => {
  expect(await qemusOf(name), `QEMU processes of ${name} ${note}`).toHaveLength(1)
  expect(
    leftovers(lab).filter((entry) => entry.includes(name)),
    `left over ${note}`,
  ).toEqual([])
  expect((await lab.status(name)).state).toBe('running')
}

/** Kills a cold `up` at these times, and requires that one more `up` converges with every step run exactly once. */
const torture = async (name: string, times: readonly number[]): Promise<void> => {
  for (const time of times) {
    const note = `after a kill at ${Math.round(time)} ms of a cold up (seed ${seed})`
    const file = write(name, 0)
    const how = await killAfter(file, time)
    await upFile(file)
    await requireOrder(name, note)
    expect(await lab.guest(name, 'cat runs'), `${how} ${note}`).toBe('0.1\n0.2\n0.3')
    await lab.run(['down', '--destroy', '--file', file]).then(expectSuccess)
    expect(await qemusBelow(join(lab.stateDirectory, 'vms', name))).toEqual([])
  }
}

step(
  'a cold up that is killed while it makes, starts or waits for the VM is completed by the next',
  async () => {
    // Making and starting take tenths of a second, so most of the kills go there.
    const early = Array.from({length: 5}, (_, index) => 250 + (index + random()) * 140)
    const late = Array.from({length: 3}, (_, index) => 1000 + (index + random()) * 2500)
    const times = [...early, ...late]
    await Promise.all([
      torture(
        'one',
        times.filter((_, index) => index % 2 === 0),
      ),
      torture(
        'two',
        times.filter((_, index) => index % 2 === 1),
      ),
    ])
  },
  400_000,
)

step(
  'an up that is killed during its steps is completed by the next, and no step runs twice',
  async () => {
    let file = write('one', 1)
    await upFile(file)
    const disk = lab.directory('one')
    const [pid] = await qemusOf('one')
    const expected = ['1.1', '1.2', '1.3']
    for (let round = 2; round <= 11; round++) {
      file = write('one', round)
      const time = 200 + random() * 3200
      await killAfter(file, time)
      const {stdout} = await upFile(file)
      expected.push(`${round}.1`, `${round}.2`, `${round}.3`)
      const note = `after a kill at ${Math.round(time)} ms in round ${round} (seed ${seed})`
      expect((await lab.guest('one', 'cat runs')).split('\n'), `${note}\n${stdout}`).toEqual(expected)
      expect(await qemusOf('one'), note).toEqual([pid])
    }
    await requireOrder('one', 'after many kills')
    expect(readdirSync(disk)).toContain('overlay.qcow2')
    const log = lab.read('one', 'provision.log')
    for (const line of expected) expect(log, `seed ${seed}`).toContain(`done-${line}\n`)
  },
  300_000,
)

step('a reload that is killed leaves the old VM or makes the new one, and never loses both', async () => {
  const file = write('one', 11)
  let runs = 0
  for (const time of [350 + random() * 150, 500 + random() * 200, 700 + random() * 400]) {
    const before = JSON.parse(lab.read('one', 'vm.json')).id
    const pids = await qemusOf('one')
    await killAfter(file, time, 'reload')
    const note = `after a kill at ${Math.round(time)} ms of reload (seed ${seed})`
    // Between the removal of the old and the naming of the new there is a moment without either; `up` makes it anew then.
    await upFile(file)
    await requireOrder('one', note)
    const after = JSON.parse(lab.read('one', 'vm.json')).id
    // Killed when the old QEMU had ended and the old VM was still there: it was started again, and its steps run at each start.
    const isStarted = (await qemusOf('one'))[0] !== pids[0]
    runs = after !== before || runs === 0 ? 1 : isStarted ? runs + 1 : runs
    if (after === before) expect(await lab.guest('one', 'grep -c 11.1 runs'), note).toBe(String(runs))
    else expect(await lab.guest('one', 'cat runs'), note).toBe('11.1\n11.2\n11.3')
  }
  await lab.run(['down', '--destroy', '--file', file]).then(expectSuccess)
})

step('two ups at once make one QEMU and provision once', async () => {
  const file = write('twin', 1)
  const [left, right] = await Promise.all([upFile(file), upFile(file)])
  expect([left, right].filter(({stdout}) => stdout.includes('done-1.3'))).toHaveLength(1)
  expect([left, right].filter(({stderr}) => stderr.includes('waiting for another vmctl'))).toHaveLength(1)
  await requireOrder('twin', 'after two ups')
  expect(await lab.guest('twin', 'cat runs')).toBe('1.1\n1.2\n1.3')
})

step('a connection that is lost in mid-step is made again: the step goes on, its output is whole, and it runs once', async () => {
  const lines = Array.from({length: 40}, (_, index) => `line-${index}`)
  const file = lab.write(
    'twin/VMFile.kdl',
    microVm('twin', inline('echo lost >> ~/runs; i=0; while [ $i -lt 40 ]; do echo line-$i; i=$((i+1)); sleep 0.15; done')),
  )
  const running = lab.start(['up', '--file', file])
  for (const moment of ['line-5', 'line-20']) {
    await eventually(() => expect(running.written.stdout).toContain(`${moment}\n`), {everyMs: 20})
    await cutConnections(lab)
  }
  const outcome = expectSuccess(await running.outcome)
  expect(outcome.stdout.split('\n').filter((line) => line.startsWith('line-'))).toEqual(lines)
  expect(
    lab
      .read('twin', 'provision.log')
      .split('\n')
      .filter((line) => line.startsWith('line-')),
  ).toEqual(lines)
  expect(await lab.guest('twin', 'grep -c lost runs')).toBe('1')
})

step('an up that was killed in mid-step and comes back shows the rest of the output', async () => {
  const file = lab.write(
    'twin/VMFile.kdl',
    microVm('twin', inline('echo back >> ~/runs; i=0; while [ $i -lt 25 ]; do echo row-$i; i=$((i+1)); sleep 0.15; done')),
  )
  const running = lab.start(['up', '--file', file])
  await eventually(() => expect(running.written.stdout).toContain('row-6\n'), {everyMs: 20})
  running.kill('SIGKILL')
  await running.outcome
  const {stdout, stderr} = await upFile(file)
  expect(stderr).toContain('goes on')
  expect(stdout).toContain('row-24\n')
  const logged = lab
    .read('twin', 'provision.log')
    .split('\n')
    .filter((line) => line.startsWith('row-'))
  // Delivered output is remembered once a second; what came after that may be shown again, but nothing may be missing.
  expect(new Set(logged).size).toBe(25)
  expect(await lab.guest('twin', 'grep -c back runs')).toBe('1')
})

/** Kills the sessions of the guest's sshd, the one that does it included. */
const cutConnections = async ({run}: VmLab): Promise<void> => {
  await run(['ssh', 'twin', '--', `sudo sh -c 'for p in $(pgrep -f "^sshd: dev"); do kill -9 $p; done'`])
}
