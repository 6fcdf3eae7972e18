import {createReadStream, existsSync, readdirSync, readFileSync, statSync} from 'node:fs'
import {join} from 'node:path'

import {expect, inject} from 'vitest'

import {eventually, leftovers} from '../support/vm-guests.ts'
import {qemusBelow} from '../support/vm-processes.ts'
import {scenario} from '../support/vm-scenario.ts'

/** A VM with secrets in it becomes an image without them, and two VMs of that image are two. */
const {lab, step, check} = scenario('package')

/** Whoever asks for it by VMCTL_E2E_GUESTS has Debian as well, with all that systemd and the real cloud-init leave behind: minutes. */
const guests = [
  {name: 'micro', image: inject('micro'), memory: 192},
  {name: 'debian', image: process.env.VMCTL_E2E_GUESTS?.includes('debian') ? inject('debian') : '', memory: 512},
].filter(({image}) => image !== '')

/** Which of the words are somewhere in a file. */
const found = async (path: string, words: readonly string[]): Promise<readonly string[]> => {
  const seen = new Set<string>()
  let tail = Buffer.alloc(0)
  for await (const chunk of createReadStream(path, {highWaterMark: 4 * 2 ** 20})) {
    const piece = Buffer.concat([tail, chunk as Buffer])
    for (const word of words) if (piece.includes(word)) seen.add(word)
    tail = piece.subarray(-256)
  }
  return words.filter((word) => seen.has(word))
}

const vm = (name: string, image: string, memory: number, body = ''): string => `
vm "${name}" {
    image "${image}"
    memory ${memory}
    cloud-init { hostname "${name}"; }
    ssh { user "dev"; }
    ${body}
}
`

const identityOf = (name: string): Promise<string> =>
  lab.guest(name, 'cat /etc/machine-id 2>/dev/null; sudo cat /etc/ssh/ssh_host_ed25519_key.pub; hostname')

for (const {name: guest, image, memory} of guests) {
  const canary = (what: string): string => `canary-${guest}-${what}`
  const planted = ['history', 'tmp', 'deleted', 'log', 'token', 'vmctl'].map(canary)
  let secrets: readonly string[] = planted
  let identity = ''

  step(
    `${guest}: a VM has an identity, secrets, and something worth to be kept`,
    async () => {
      const write = (what: string, path: string): string => `echo ${canary(what)} >${path}`
      const text = [
        ...[write('history', '~/.bash_history'), write('tmp', '/tmp/note'), write('deleted', '~/gone'), 'sync', 'rm ~/gone'],
        'mkdir -p ~/app && echo worth it >~/app/data',
        `sudo sh -c 'echo ${canary('log')} >>/var/log/messages; mkdir -p /var/lib/vmctl; echo ${canary('vmctl')} >/var/lib/vmctl/note'`,
      ].join('\n')
      lab.vmfile(
        vm(guest, image, memory, `provision "shell" { inline ${JSON.stringify(text)}; secret-env { TOKEN "${canary('token')}"; }; }`),
      )
      await lab.ok('up')
      identity = await identityOf(guest)
      const hostKey = await lab.guest(guest, 'sudo sed -n 3p /etc/ssh/ssh_host_ed25519_key')
      const [, userKey = ''] = readFileSync(join(lab.directory(guest), 'id_ed25519_generated.pub'), 'utf8').split(' ')
      expect([hostKey, userKey].map(({length}) => length > 30)).toEqual([true, true])
      secrets = [...planted, hostKey, userKey]
      // As it is, the disk has most of them; what the words of a step leave behind depends on the guest.
      await lab.ok('package', guest, '--no-clean', '--force', '-o', 'own.raw')
      expect(await found(join(lab.project, 'own.raw'), secrets)).toEqual(
        expect.arrayContaining([canary('history'), canary('deleted'), hostKey, userKey]),
      )
    },
    400_000,
  )

  step(
    `${guest}: the image has none of them, and the VM goes on as it was`,
    async () => {
      const overlay = join(lab.directory(guest), 'overlay.qcow2')
      const {ino} = statSync(overlay)
      const made = await lab.json<{path: string; cleaned: boolean}>('package', guest, '--force', '-o', 'clean.raw')
      expect(made).toMatchObject({cleaned: true, path: join(lab.project, 'clean.raw')})
      expect(await found(made.path, secrets)).toEqual([])
      expect(statSync(overlay).ino).toBe(ino)
      await eventually(async () => expect(await identityOf(guest)).toBe(identity), {timeoutMs: 200_000, everyMs: 2000})
      expect(await lab.guest(guest, 'cat ~/.bash_history ~/app/data')).toBe(`${canary('history')}\nworth it`)
      expect(leftovers(lab)).toEqual([])
      expect(readFileSync(`${made.path}.json`, 'utf8')).not.toContain(lab.root)
      await lab.ok('destroy', guest, '--yes')
    },
    400_000,
  )

  step(
    `${guest}: two VMs of it are two, and have what was worth to be kept`,
    async () => {
      const names = ['one', 'two'].map((name) => `${guest}-${name}`)
      lab.vmfile(names.map((name) => vm(name, join(lab.project, 'clean.raw'), memory)).join(''))
      await lab.ok('up')
      const identities = await Promise.all(names.map(identityOf))
      const words = [identity, ...identities].flatMap((one) => one.split('\n'))
      expect(new Set(words).size, words.join('\n')).toBe(words.length)
      for (const name of names)
        expect(await lab.guest(name, 'cat ~/app/data; sudo id -u; ls ~/.bash_history 2>&1 | grep -c No')).toBe('worth it\n0\n1')
      await lab.ok('destroy', ...names, '--yes')
    },
    400_000,
  )
}

check('a killed package leaves the VM alone, and what it has left runs no longer than until the next one', async () => {
  const [{image, memory} = {image: '', memory: 0}] = guests
  const boxes = (name: string): readonly string[] => readdirSync(join(lab.stateDirectory, 'vms')).filter((one) => one.includes(name))
  await lab.ok('create', 'box', '--image', image, '--memory', `${memory}`)
  const packing = lab.start(['package', 'box'])
  await eventually(() => expect(boxes('copy-box').some((copy) => existsSync(join(lab.directory(copy), 'pidfile')))).toBe(true), {
    timeoutMs: 60_000,
  })
  packing.kill('SIGKILL')
  await packing.outcome
  expect(qemusBelow(lab.root).length).toBe(1)
  expect((await lab.status('box')).state).toBe('prepared')
  await lab.ok('package', 'box', '--no-clean')
  expect([qemusBelow(lab.root), boxes('box'), readdirSync(lab.project).filter((name) => name.startsWith('.'))]).toEqual([[], ['box'], []])
})
