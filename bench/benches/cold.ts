import {copyFile, readFile, writeFile} from 'node:fs/promises'
import {join} from 'node:path'

import {inTurn, median, timesAsLong} from '../lib/measure.ts'
import {missing, run} from '../lib/process.ts'
import type {Row, Skipped} from '../lib/report.ts'
import {type Workspace, writeVmfile} from '../lib/workspace.ts'

const steps = ['echo one', 'uname -a', 'id']
const rounds = 3

/** From nothing but the image to the end of the last step, against a script that somebody wrote by hand for just this VM. */
export const cold = async (workspace: Workspace): Promise<(Row | Skipped)[]> => {
  const lack = await guestLack()
  if (lack !== undefined) return [{what: 'cold up', skipped: lack}]
  const group = await guests(workspace, 1)
  const plain = await inTurn(
    {count: rounds},
    () => group.up().then(({ms}) => ms),
    () => group.script('plain'),
  )
  const shared = {ours: plain.ours, reference: [] as number[]}
  for (let round = 1; round < rounds; round++) shared.reference.push(await group.script('shared'))
  const goal = {atMost: 1.05}
  return [
    timesAsLong({what: 'cold vmctl up, 3 steps', referenceName: 'script: qemu, ssh per step', samples: plain, goal}),
    timesAsLong({what: 'the same', referenceName: 'script: qemu, one ssh for all steps', samples: shared}),
  ]
}

/** Several VMs at once: does the program itself stand in the way of the guests? */
const together = async (workspace: Workspace, count: number): Promise<(Row | Skipped)[]> => {
  const lack = await guestLack()
  if (lack !== undefined) return [{what: `cold up of ${count} VMs`, skipped: lack}]
  const [one, group] = [await guests(workspace, 1), await guests(workspace, count)]
  const single = await one.up()
  const cpu: number[] = []
  const walls = await inTurn(
    {count: 1},
    async () => {
      const {ms, cpuMs} = await group.up()
      cpu.push(cpuMs / count)
      return ms
    },
    () => group.script('plain'),
  )
  const node = await run(process.execPath, ['-e', 'setTimeout(() => {}, 100)'])
  return [
    timesAsLong({what: `cold vmctl up of ${count} VMs`, referenceName: `${count} scripts at once`, samples: walls, goal: {atMost: 1.05}}),
    timesAsLong({what: 'the same', referenceName: 'vmctl up of 1 VM', samples: {ours: walls.ours, reference: [single.ms]}}),
    {
      what: `CPU time of vmctl per VM, ${count} at once`,
      referenceName: 'idle node',
      unit: 'ms',
      kind: 'difference',
      ours: median(cpu),
      reference: node.cpuMs / count,
      value: median(cpu) - node.cpuMs / count,
      goal: {atMost: 1500},
      met: median(cpu) - node.cpuMs / count <= 1500,
      samples: {ours: cpu, reference: [node.cpuMs / count]},
    },
  ]
}

export const four = (workspace: Workspace): Promise<(Row | Skipped)[]> => together(workspace, 4)
export const eight = (workspace: Workspace): Promise<(Row | Skipped)[]> => together(workspace, 8)

/** Why no guest can run here. */
export const guestLack = async (): Promise<string | undefined> =>
  process.platform === 'linux' ? missing('qemu-system-x86_64', 'qemu-img', 'ssh') : 'needs Linux'

export const microImage = async ({repository}: Workspace): Promise<string> =>
  (await run('sh', [join(repository, 'fixtures/guests/build.sh'), 'micro'])).stdout.trim()

interface Guests {
  /** Makes, starts and provisions all of them with vmctl, and destroys them. */
  up(): Promise<{readonly ms: number; readonly cpuMs: number}>
  /** The same by hand-written scripts, all at once. `plain`: one ssh per step; `shared`: one ssh runs them all. */
  script(kind: 'plain' | 'shared'): Promise<number>
}

/**
 * The scripts get what vmctl made for its own VMs: the command line of QEMU as the kernel tells it, the seed, the key. So the
 * guest does the same work for both, and only the program around it differs.
 */
const guests = async (workspace: Workspace, count: number): Promise<Guests> => {
  const directory = await workspace.directory(`cold-${count}`)
  const image = await microImage(workspace)
  const names = Array.from({length: count}, (_, index) => `bench-${count}-${index}`)
  const vmfile = await writeVmfile(directory, names.map((name) => microDefinition(name, image)).join(''))
  const state = join(directory, 'state')
  const where = ['--file', vmfile, '--state-dir', state]
  const down = () => workspace.vmctl(['down', '--destroy', ...where])
  // Without a wait: a guest that was seen ready has its host key, and its seed loses it; the script's guest could not be recognised.
  await workspace.vmctl(['up', '--no-provision', ...where])
  const scripts = await Promise.all(
    names.map(async (name) => {
      const own = await workspace.directory(name)
      return handWritten({vm: join(state, 'vms', name), own, overlay: `-F qcow2 -b '${image}'`})
    }),
  )
  await down()
  return {
    async up() {
      const ran = await workspace.vmctl(['up', ...where])
      await down()
      return ran
    },
    async script(kind) {
      const times = await Promise.all(scripts.map(async (script) => (await run('sh', [script, kind], {env: workspace.env})).ms))
      // Each ends by killing its QEMU, which takes a few milliseconds at most.
      return Math.max(...times)
    },
  }
}

export const microDefinition = (name: string, image: string): string => `vm "${name}" {
  image "${image}" format="qcow2"
  memory "256M"
  cloud-init {
    hostname "${name}"
    user "vm"
  }
  ssh {
    user "vm"
  }
${steps.map((step) => `  provision "shell" {\n    inline "${step}"\n  }\n`).join('')}}
`

interface ByHand {
  /** The directory of a running VM that vmctl has made. */
  readonly vm: string
  /** Where the script is to live. */
  readonly own: string
  /** Arguments of `qemu-img create` about the overlay. */
  readonly overlay: string
}

/** Copies what a script needs from a running VM, and writes the script. */
export const handWritten = async ({vm, own, overlay}: ByHand): Promise<string> => {
  for (const file of ['seed.iso', 'id_ed25519_generated', 'known_hosts']) await copyFile(join(vm, file), join(own, file))
  const pid = (await readFile(join(vm, 'pidfile'), 'utf8')).trim()
  const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8'))
    .split('\0')
    .slice(0, -1)
    .map((word) => word.replaceAll(vm, own))
  const [, port] = /hostfwd=tcp:127\.0\.0\.1:(\d+)-/.exec(words.join(' ')) ?? []
  const [, alias] = /^(\S+) /.exec(await readFile(join(own, 'known_hosts'), 'utf8')) ?? []
  const quoted = words.map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`).join(' ')
  const ssh = `ssh -F none -q -i id_ed25519_generated -p ${port} -o HostKeyAlias=${alias} -o UserKnownHostsFile=known_hosts -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=$limit vm@127.0.0.1`
  const script = join(own, 'by-hand.sh')
  await writeFile(
    script,
    `cd '${own}'
rm -f overlay.qcow2 console.log
qemu-img create -q -f qcow2 ${overlay} overlay.qcow2
${quoted} &
trap 'kill -9 $!' EXIT
limit=2
guest() { ${ssh} "$@" >>output; }
if [ "$1" = shared ]; then
  until guest 'cloud-init status --wait >/dev/null; ${steps.join(' && ')}'; do sleep 0.1; done
else
  until guest 'cloud-init status --wait >/dev/null'; do sleep 0.1; done
  limit=60
${steps.map((step) => `  guest '${step}' || exit 1`).join('\n')}
fi
cut -d ' ' -f 14,15 /proc/$!/stat
`,
  )
  return script
}
