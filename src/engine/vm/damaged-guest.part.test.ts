import {rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, beforeAll, describe, expect, test} from 'vitest'

import {makeSpec} from '../../../test/support/builders.ts'
import {makeWorkspace, type Workspace} from '../../../test/support/run-command.ts'
import {sshdMissing, startSshd, type TestSshd} from '../../../test/support/sshd.ts'
import {generateKeyPair, knownHostsLine} from '../../guest/keys/keys.ts'
import {readGuest} from '../../guest/record.ts'
import {requireVm} from '../../store/store.ts'
import {converge, planAll} from '../converge/converge.ts'
import {type Engine, openEngine} from '../engine.ts'
import {hostKeyAlias} from '../reach/identity.ts'
import {connectGuest} from '../reach/guest.ts'
import {status} from '../show/inspect.ts'
import {start, stop} from './lifecycle.ts'

const missing = sshdMissing()

describe.skipIf(missing)(`a damaged record of the guest${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  let workspace: Workspace
  let sshd: TestSshd
  let engine: Engine
  beforeAll(async () => {
    workspace = makeWorkspace()
    sshd = await startSshd()
    engine = await openEngine({
      stateDirectory: workspace.stateDirectory,
      backend: 'noop',
      env: {HOME: workspace.directory, VMCTL_NOOP_SSH: `127.0.0.1:${sshd.port}`},
    })
    await converge(engine, options())
  })
  afterAll(async () => {
    await sshd[Symbol.asyncDispose]()
    workspace[Symbol.dispose]()
  })

  const options = () => {
    const spec = makeSpec({
      name: 'web',
      image: {kind: 'file', source: workspace.image},
      ssh: {user: sshd.user, privateKeyPath: sshd.keyPath, hostKeyCheck: 'accept-new'},
    })
    const directory = workspace.directory
    const vmfile = {path: join(directory, 'VMFile.kdl'), directory, vms: [spec], networks: [], volumes: [], warnings: []}
    return {vmfile, verb: 'up', provision: true} as const
  }
  const file = (name: string): string => join(workspace.stateDirectory, 'vms/web', name)
  const connect = async (): Promise<void> => (await connectGuest(engine, 'web')).close()

  test('is refused by up and plan with a way on, and keeps no other verb from its work', async () => {
    writeFileSync(file('guest.json'), '{"schema":1,"ready":fal')
    const refused = {
      code: 'vmctl::vm::record_damaged',
      message: expect.stringContaining(file('guest.json')),
      help: expect.stringContaining('rm '),
    }
    await expect(converge(engine, options())).rejects.toMatchObject(refused)
    await expect(planAll(engine, options())).rejects.toMatchObject(refused)
    await stop(engine, 'web')
    await start(engine, 'web')
    expect(await status(engine, 'web')).toMatchObject({state: 'running'})
    await connect()
    rmSync(file('guest.json'))
    await converge(engine, options())
    expect(await readGuest(join(workspace.stateDirectory, 'vms/web'))).toEqual({schema: 1, ready: true})
  })

  test('lets no other host key in, which only a guest may have that was never reached', async () => {
    const line = knownHostsLine(hostKeyAlias(await requireVm(engine.store, 'web')), generateKeyPair('other').publicKey)
    writeFileSync(file('known_hosts'), `${line}\n`)
    writeFileSync(file('guest.json'), 'x')
    await expect(connect()).rejects.toMatchObject({code: 'vmctl::ssh::host_key_mismatch'})
    rmSync(file('guest.json'))
    await connect()
  })
})
