import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import type {Duplex} from 'node:stream'
import {setTimeout as sleep} from 'node:timers/promises'

import {afterAll, beforeAll, test} from 'vitest'

import {describeUnless} from '../../../test/support/programs.ts'
import {endProcess, type FakeServer, fakeServer, sshdMissing, startSshd, type TestSshd} from '../../../test/support/sshd.ts'
import {type Candidate, sshCandidates} from '../ssh/candidates.ts'
import {VmctlError} from '../../model/errors.ts'
import {parseProbe} from './cloud-init-result.ts'
import {generateKeyPair} from '../keys/keys.ts'
import {type ReadinessOptions, type ReadyGuest, waitUntilReady} from './ready.ts'

const missing = sshdMissing()

/** A console of which nobody reads more than its size. */
const unread: ReadinessOptions['console']['read'] = async (from) => ({text: '', end: from})

describeUnless(missing)('the way to a ready guest', () => {
  let sshd: TestSshd
  /** The same host key, but it knows another user key: a guest whose cloud-init has not yet come to the users. */
  let early: TestSshd
  /** Another host key: a guest whose cloud-init has not yet come to the keys, or somebody else. */
  let stranger: TestSshd
  let silent: FakeServer
  let auth: readonly Candidate[]
  let root: string
  beforeAll(async () => {
    const hostKey = generateKeyPair('host')
    ;[sshd, early, stranger, silent] = await Promise.all([
      startSshd({hostKey}),
      startSshd({hostKey}),
      startSshd(),
      fakeServer(() => undefined),
    ])
    auth = await sshCandidates({explicit: sshd.keyPath})
    root = await mkdtemp(join(tmpdir(), 'vmctl-ready-'))
  })
  afterAll(async () => {
    await Promise.all([sshd, early, stranger, silent].map((one) => one[Symbol.asyncDispose]()))
    await rm(root, {recursive: true})
  })

  /** Dials one server after the other; the last one for ever. */
  const through = (...servers: readonly {dial: TestSshd['dial']}[]): ReadinessOptions['dial'] => {
    const queue = [...servers]
    return async () => {
      const next = queue.length > 1 ? queue.shift() : queue[0]
      if (!next) throw new Error('nobody')
      return next.dial()
    }
  }

  /** A guest of its own for each test: they mostly wait, so they run at the same time. */
  const scene = async (common: Partial<ReadinessOptions> = {}) => {
    const milestones: string[] = []
    const directory = await mkdtemp(join(root, 'guest-'))
    await writeFile(join(directory, 'boot_id'), 'the-boot-id\n')
    const climb = async (change: Partial<ReadinessOptions> = {}): Promise<Omit<ReadyGuest, 'connection'>> => {
      const {connection, ...ready} = await waitUntilReady({
        dial: through(sshd),
        isAlive: async () => undefined,
        connectOptions: {user: sshd.user, auth},
        console: {sizeBytes: async () => 0, read: unread, tail: async () => ''},
        expectCloudInit: false,
        firstBoot: true,
        hostKey: {pinned: sshd.hostKey.publicKey},
        onMilestone: (milestone) => milestones.push(milestone),
        paths: {bootId: join(directory, 'boot_id'), cloudInit: directory},
        ...common,
        ...change,
      })
      connection.close()
      return ready
    }
    const result = (errors: readonly string[] = [], datasource = 'DataSourceNoCloud [seed=/dev/vdb]'): Promise<void> =>
      writeFile(join(directory, 'result.json'), JSON.stringify({v1: {datasource, errors}}))
    return {climb, milestones, directory, result}
  }

  test.concurrent('every milestone is told once, in order', async ({expect}) => {
    const {climb, milestones} = await scene()
    expect(await climb()).toEqual({bootId: 'the-boot-id', cloudInit: 'absent', warnings: []})
    expect(milestones).toEqual(['process', 'tcp', 'banner', 'host-key', 'authentication', 'boot-id', 'ready'])
  })

  test.concurrent('a guest that does not tell its boot is ready too', async ({expect}) => {
    const {climb, directory} = await scene()
    expect(await climb({paths: {bootId: join(directory, 'none'), cloudInit: directory}})).toMatchObject({bootId: undefined})
  })

  test.concurrent('a refusal is waited out, a connection that the guest did not accept is replaced, and only one is open at a time', async ({
    expect,
  }) => {
    const {climb, milestones} = await scene()
    let refusals = 3
    const streams: Duplex[] = []
    const open: number[] = []
    const dial = through(silent, silent, sshd)
    await climb({
      dial: async (signal) => {
        if (refusals-- > 0) throw new Error('connect ECONNREFUSED')
        const stream = await dial(signal)
        streams.push(stream)
        open.push(streams.filter(({destroyed}) => !destroyed).length)
        return stream
      },
      isAccepted: async () => false,
    })
    expect(open).toEqual([1, 1, 1])
    expect(milestones.at(-1)).toBe('ready')
  })

  test.concurrent('a guest that has accepted a connection and is slow to greet is waited on', async ({expect}) => {
    const {climb} = await scene()
    await using slow = await fakeServer((socket) => {
      setTimeout(() => void sshd.dial().then((guest) => socket.pipe(guest).pipe(socket)), 6500)
    })
    let dials = 0
    await climb({
      dial: async () => {
        dials++
        return slow.dial()
      },
      isAccepted: async () => true,
    })
    expect(dials).toBe(1)
  })

  test.concurrent('a port where something else speaks is given up, also in a first boot; a slow greeting is not', async ({expect}) => {
    const {climb} = await scene()
    for (const said of ['220 mail.example ESMTP\r\n', 'SSH-1.5-old\r\n']) {
      await using other = await fakeServer((socket) => socket.write(said))
      await expect(climb({dial: through(other)})).rejects.toMatchObject({
        code: 'vmctl::ssh::failed',
        message: `What answers on the SSH port does not speak SSH 2: ${JSON.stringify(said.trim())}`,
      })
    }
    await using slow = await fakeServer((socket) => socket.write('SSH-2.0-O'))
    await expect(climb({dial: through(slow), timeoutMs: 6000})).rejects.toMatchObject({code: 'vmctl::ssh::unreachable'})
    await using shutsOut = await fakeServer((socket) => socket.end('Not allowed at this time\r\n'))
    await climb({dial: through(shutsOut, sshd)})
  })

  test.concurrent('the result of cloud-init is waited for', async ({expect}) => {
    const {climb, milestones, result} = await scene()
    const waiting = climb({expectCloudInit: true})
    await expect.poll(() => milestones.at(-1), {timeout: 5000}).toBe('boot-id')
    await sleep(300)
    expect(milestones.at(-1)).toBe('boot-id')
    await result()
    expect(await waiting).toEqual({bootId: 'the-boot-id', cloudInit: 'done', warnings: []})
    expect(milestones.slice(-2)).toEqual(['cloud-init', 'ready'])
  })

  test.concurrent('a failed cloud-init is an error, a degraded one a warning', async ({expect}) => {
    const {climb, directory, result} = await scene()
    await result(['("users_groups", ValueError("\u001b[31mno user"))'])
    await expect(climb({expectCloudInit: true})).rejects.toMatchObject({
      code: 'vmctl::cloudinit::failed',
      message: 'cloud-init failed in the guest:\n("users_groups", ValueError("no user"))',
    })
    await result()
    await writeFile(
      join(directory, 'status.json'),
      JSON.stringify({
        v1: {stage: null, init: {errors: [], recoverable_errors: {WARNING: ['no such module']}}, 'modules-final': {recoverable_errors: {}}},
      }),
    )
    expect(await climb({expectCloudInit: true})).toMatchObject({cloudInit: 'degraded', warnings: ['cloud-init: WARNING: no such module']})
    await result([], 'DataSourceNone')
    await rm(join(directory, 'status.json'))
    expect(await climb({expectCloudInit: true})).toMatchObject({cloudInit: 'degraded', warnings: ['cloud-init did not find its seed.']})
  })

  test.concurrent('a guest without an active cloud-init is ready, with a warning', async ({expect}) => {
    const {climb, directory} = await scene()
    await writeFile(join(directory, 'disabled'), '')
    expect(await climb({expectCloudInit: true})).toMatchObject({cloudInit: 'absent', warnings: [expect.stringContaining('switched off')]})
    expect(parseProbe('id\n-- vmctl --\nabsent\n')).toEqual({state: 'absent'})
    const asked = (answer: string): unknown => parseProbe(`id\n-- vmctl --\nrunning\n-- vmctl --\n${answer}`)
    expect(asked('')).toEqual({state: 'running'})
    expect(asked('{"status": "running", "errors": []}')).toEqual({state: 'running'})
    expect(asked('{"status": "disabled"}')).toEqual({state: 'disabled'})
    expect(asked('{"status": "done", "errors": [], "datasource": "nocloud", "recoverable_errors": {"WARNING": ["w"]}}')).toEqual({
      state: 'done',
      errors: [],
      recoverable: ['WARNING: w'],
      datasource: 'nocloud',
    })
    expect(asked('{"status": "error", "errors": []}')).toMatchObject({state: 'done', errors: ['it does not say why']})
    expect(parseProbe('id\n-- vmctl --\ndone\n-- vmctl --\nnot json\n-- vmctl --\n')).toEqual({
      state: 'done',
      errors: [],
      recoverable: [],
      datasource: undefined,
    })
  })

  test.concurrent('a cloud-init that hangs has its own limit', async ({expect}) => {
    const {climb} = await scene()
    const hanging = climb({
      expectCloudInit: true,
      cloudInitTimeoutMs: 700,
      timeoutMs: 5000,
      console: {sizeBytes: async () => 0, read: unread, tail: async () => 'apt is stuck'},
    })
    await expect(hanging).rejects.toMatchObject({
      code: 'vmctl::cloudinit::timed_out',
      message: 'cloud-init did not finish within 0.7 s.\n\nThe last lines of the console:\napt is stuck',
      details: {milestone: 'boot-id'},
    })
  })

  test.concurrent('a connection that drops while cloud-init works is made anew', async ({expect}) => {
    await using own = await startSshd({hostKey: sshd.hostKey, authorize: [sshd.key.publicKey]})
    const {climb, milestones, result} = await scene({dial: through(own)})
    const waiting = climb({expectCloudInit: true})
    await expect.poll(() => milestones.at(-1), {timeout: 5000}).toBe('boot-id')
    for (const pid of own.sessions()) endProcess(pid)
    await result()
    expect(await waiting).toMatchObject({cloudInit: 'done'})
  })

  test.concurrent('time without progress ends the wait, with the milestone and the console', async ({expect}) => {
    const {climb} = await scene()
    const stuck = climb({
      dial: through(silent),
      timeoutMs: 800,
      console: {sizeBytes: async () => 7, read: unread, tail: async (lines) => `${lines} lines\r\n\u001b[1mKernel panic\u001b[0m\n`},
    })
    await expect(stuck).rejects.toMatchObject({
      code: 'vmctl::ssh::unreachable',
      message:
        'The guest did not become ready within 0.8 s without progress; SSH does not answer.\n\nThe last lines of the console:\n10 lines\nKernel panic',
      details: {milestone: 'tcp', timedOut: true},
    })
  })

  test.concurrent('a console that grows is progress, until the ceiling', async ({expect}) => {
    const {climb} = await scene()
    let bytes = 0
    const busy = climb({
      dial: through(silent),
      timeoutMs: 600,
      ceilingMs: 1500,
      console: {sizeBytes: async () => bytes++, read: unread, tail: async () => ''},
    })
    // Not "within 0.6 s without progress": the console has grown at every look.
    await expect(busy).rejects.toMatchObject({
      message: expect.stringContaining('did not become ready within 1.5 s; SSH does not answer.'),
      details: {timedOut: true},
    })
    expect(bytes).toBeGreaterThan(1)
  })

  test.concurrent('a guest that goes round and round, or finds nothing to boot, is not waited for', async ({expect}) => {
    const {climb} = await scene()
    const said = (text: string): Partial<ReadinessOptions> => {
      let isRead = false
      return {
        dial: through(silent),
        vitals: async () => ({consoleFrom: 0}),
        console: {
          sizeBytes: async () => text.length,
          read: async (from) => {
            // The first look is at what was there before: restarts in it do not count.
            if (isRead || from > 0) return {text, end: text.length}
            isRead = true
            return {text: 'SeaBIOS (version 1)\n', end: 1}
          },
          tail: async () => text.slice(-20),
        },
      }
    }
    const loop = 'GRUB loading.\nerror: no suitable video mode.\nSeaBIOS (version 1)\n'.repeat(6)
    await expect(climb(said(loop))).rejects.toMatchObject({
      code: 'vmctl::vm::does_not_boot',
      message: expect.stringContaining('has restarted 6 times without reaching SSH; it comes as far as its firmware'),
      details: {restarts: 6, stage: 'firmware'},
    })
    await expect(climb(said('Booting from Hard Disk...\nNo bootable device.\n'))).rejects.toMatchObject({
      code: 'vmctl::vm::does_not_boot',
      message: expect.stringMatching(
        /^The guest finds nothing that it can boot: "No bootable device\."\.\n\nThe last lines of the console:/,
      ),
    })
  })

  test.concurrent('the error of a guest that hangs names the last stage of its boot; an empty console is called empty', async ({
    expect,
  }) => {
    const {climb} = await scene()
    const text = 'GRUB loading.\n[    0.000000] Linux version 6.1.0\n'
    const quiet = {dial: through(silent), timeoutMs: 800, vitals: async () => ({consoleFrom: 0, diskReads: 0})}
    await expect(
      climb({
        ...quiet,
        console: {sizeBytes: async () => text.length, read: async () => ({text, end: text.length}), tail: async () => text},
      }),
    ).rejects.toMatchObject({
      message: expect.stringContaining('the last that was seen of it: its kernel has started, but SSH does not answer'),
      details: {stage: 'kernel'},
    })
    await expect(climb({...quiet, console: {sizeBytes: async () => 0, read: unread, tail: async () => ''}})).rejects.toMatchObject({
      message: expect.stringMatching(
        /nothing was seen of it \(no byte on the console and no disk read in 1 s\)\.[^]*The console is empty: the guest wrote nothing to its serial port\.$/,
      ),
    })
  })

  test.concurrent('why a VM is paused is said in the words of whoever knows', async ({expect}) => {
    const {climb} = await scene()
    const pause = new VmctlError('vmctl::vm::paused', 'The VM is paused: the host has no room left.')
    await expect(climb({dial: through(silent), isAlive: async () => pause})).rejects.toMatchObject({
      code: 'vmctl::vm::paused',
      message: expect.stringContaining('the host has no room left'),
    })
  })

  test.concurrent('a VM that ends is noticed at once', async ({expect}) => {
    const {climb} = await scene()
    let looks = 0
    const dead = climb({
      dial: through(silent),
      isAlive: async () => (looks++ > 0 ? 'QEMU ended with status 1' : undefined),
      console: {sizeBytes: async () => 0, read: unread, tail: async () => 'last words'},
    })
    await expect(dead).rejects.toMatchObject({
      code: 'vmctl::ssh::unreachable',
      message: 'The VM ended while vmctl waited for it: QEMU ended with status 1.\n\nThe last lines of the console:\nlast words',
    })
  })

  test.concurrent('in a first boot a wrong host key and a refused log-in may pass', async ({expect}) => {
    const {climb, milestones} = await scene()
    await climb({dial: through(stranger, early, sshd)})
    expect(milestones).toEqual(['process', 'tcp', 'banner', 'host-key', 'authentication', 'boot-id', 'ready'])
  })

  test.concurrent('in a first boot they are what the time-out is about, when they stay', async ({expect}) => {
    const {climb} = await scene()
    await expect(climb({dial: through(stranger), timeoutMs: 1500})).rejects.toMatchObject({
      code: 'vmctl::ssh::host_key_mismatch',
      message: expect.stringContaining('came as far as "banner". The host key SHA256:'),
    })
    await expect(climb({dial: through(early), timeoutMs: 1500})).rejects.toMatchObject({
      code: 'vmctl::ssh::authentication_failed',
      message: expect.stringContaining('came as far as "host-key". The guest did not let'),
    })
  })

  test.concurrent('later they fail at once', async ({expect}) => {
    const {climb} = await scene()
    await expect(climb({dial: through(stranger), firstBoot: false})).rejects.toMatchObject({
      code: 'vmctl::ssh::host_key_mismatch',
      message: expect.not.stringContaining('ready'),
    })
    await expect(climb({dial: through(early), firstBoot: false})).rejects.toMatchObject({code: 'vmctl::ssh::authentication_failed'})
  })

  test.concurrent('without a pinned key the first one is taken and told, or refused', async ({expect}) => {
    const {climb} = await scene()
    const keys: string[] = []
    await climb({hostKey: {onFirstUse: (key) => void keys.push(key)}, firstBoot: false})
    expect(keys).toEqual([sshd.hostKey.publicKey.split(' ').slice(0, 2).join(' ')])
    await expect(climb({hostKey: {}, firstBoot: false})).rejects.toThrow('the host key of this VM is not known')
  })

  test.concurrent('a guest that takes the pinned key late is recognised; one that never does keeps its own', async ({expect}) => {
    const {climb} = await scene()
    const keys: string[] = []
    const onFirstUse = (key: string): void => void keys.push(key)
    const user = {connectOptions: {user: sshd.user, auth: [...auth, ...(await sshCandidates({explicit: stranger.keyPath}))]}}
    await climb({...user, dial: through(stranger, sshd), hostKey: {pinned: sshd.hostKey.publicKey, onFirstUse}})
    expect(keys).toEqual([])
    await climb({...user, dial: through(stranger), hostKey: {pinned: sshd.hostKey.publicKey, onFirstUse}})
    expect(keys).toEqual([stranger.hostKey.publicKey.split(' ').slice(0, 2).join(' ')])
    await expect(
      climb({...user, dial: through(stranger), firstBoot: false, hostKey: {pinned: sshd.hostKey.publicKey, onFirstUse}}),
    ).rejects.toMatchObject({code: 'vmctl::ssh::host_key_mismatch'})
  })

  test.concurrent('an abort ends the wait with its own reason', async ({expect}) => {
    const {climb} = await scene()
    const abort = new AbortController()
    setTimeout(() => abort.abort(new Error('Ctrl+C')), 100)
    await expect(climb({dial: through(silent), signal: abort.signal})).rejects.toThrow('Ctrl+C')
  })
})
