import {execFileSync, spawn, spawnSync} from 'node:child_process'
import {lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, expect} from 'vitest'

import {generateKeyPair} from '../../src/guest/keys/keys.ts'
import {needsRoot} from '../support/programs.ts'
import {eventually, inline, microVm} from '../support/vm-guests.ts'
import {expectFailure, expectSuccess, type Outcome} from '../support/vm-lab.ts'
import {qemusBelow} from '../support/vm-processes.ts'
import {needs, scenario} from '../support/vm-scenario.ts'

/** What a VM exposes on the host, and what happens when something else answers in its place. */
const {lab, step, check} = scenario('security', {missing: needsRoot() ?? needs('ip', 'ss', 'sshd')})

const namespace = `vmctl-e2e-${process.pid}`
const inNamespace = ['ip', 'netns', 'exec', namespace]

afterAll(() => {
  spawnSync('ip', ['netns', 'delete', namespace], {stdio: 'ignore'})
})

/** Every file of the state directory that is open to others, or a directory that is not 0700. */
const exposed = (): string[] =>
  ['', ...readdirSync(lab.stateDirectory, {recursive: true, encoding: 'utf8'})].flatMap((entry) => {
    const info = lstatSync(join(lab.stateDirectory, entry))
    const mode = info.mode & 0o777
    // QEMU makes its sockets with all bits of the owner.
    const allowed = info.isFile() ? 0o600 : 0o700
    return (mode & ~allowed) === 0 ? [] : [`${mode.toString(8)} ${entry}`]
  })

step('up under umask 000 leaves nothing open to others', async () => {
  lab.vmfile(microVm('safe', inline('echo up > ~/file')))
  expectSuccess(await lab.run(['up'], {umask: '000'}))
  expect(exposed()).toEqual([])
  for (const file of [
    'vmctl.sock',
    'console.sock',
    'qmp.sock',
    'pidfile',
    'console.log',
    'id_ed25519_generated',
    'overlay.qcow2',
    'seed.iso',
  ]) {
    expect(lstatSync(join(lab.directory('safe'), file)).mode & 0o077, file).toBe(0)
  }
})

check('QEMU listens on one loopback port and on nothing else', async () => {
  const {pid, sshPort} = await lab.status('safe')
  const sockets = execFileSync('ss', ['-Hlntup'], {encoding: 'utf8'})
    .split('\n')
    .filter((line) => line.includes(`pid=${pid},`))
  expect(sockets.map((line) => line.split(/\s+/)[4])).toEqual([`127.0.0.1:${sshPort}`])
})

check('QEMU runs under its seccomp sandbox, on all threads', async () => {
  const {pid} = await lab.status('safe')
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    expect(readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8'), `thread ${thread}`).toMatch(/^Seccomp:\t2$/m)
  }
  expect(qemusBelow(lab.root)[0]?.args.join(' ')).not.toContain('-vnc')
})

check('real ssh and sftp accept the VM by its known_hosts, and no other key', async () => {
  const {sshPort} = await lab.status('safe')
  const directory = lab.directory('safe')
  const id = JSON.parse(lab.read('safe', 'vm.json')).id
  const options = [
    '-F',
    'none',
    '-i',
    `${directory}/id_ed25519_generated`,
    '-o',
    `UserKnownHostsFile=${directory}/known_hosts`,
    '-o',
    'GlobalKnownHostsFile=/dev/null',
    '-o',
    'StrictHostKeyChecking=yes',
    '-o',
    'BatchMode=yes',
    '-o',
    `HostKeyAlias=vmctl-${id}`,
  ]
  const ssh = spawnSync('ssh', [...options, '-p', String(sshPort), 'dev@127.0.0.1', 'cat file'], {encoding: 'utf8'})
  expect(ssh.stdout, ssh.stderr).toBe('up\n')
  const sftp = spawnSync('sftp', ['-q', ...options, '-P', String(sshPort), '-b', '-', 'dev@127.0.0.1'], {
    input: `get file ${lab.root}/got\n`,
    encoding: 'utf8',
  })
  expect(sftp.status, sftp.stderr).toBe(0)
  expect(readFileSync(`${lab.root}/got`, 'utf8')).toBe('up\n')
})

/** An sshd on the VM's port in another network namespace: a vmctl that runs there reaches it instead of the guest. */
const impersonate = async (): Promise<{readonly log: () => string; readonly end: () => void}> => {
  execFileSync('ip', ['netns', 'add', namespace])
  execFileSync('ip', ['-n', namespace, 'link', 'set', 'lo', 'up'])
  const {sshPort} = await lab.status('safe')
  const directory = join(lab.root, 'impostor')
  mkdirSync(directory, {mode: 0o700})
  mkdirSync('/run/sshd', {recursive: true, mode: 0o755})
  writeFileSync(join(directory, 'host'), generateKeyPair('impostor').privateKey, {mode: 0o600})
  const program = [
    ...[
      ...inNamespace,
      execFileSync('sh', ['-c', 'command -v sshd'], {env: lab.env, encoding: 'utf8'}).trim(),
      '-D',
      '-e',
      '-f',
      '/dev/null',
      '-h',
      join(directory, 'host'),
      '-p',
      String(sshPort),
    ],
    ...[
      '-o',
      'ListenAddress=127.0.0.1',
      '-o',
      'UsePAM=no',
      '-o',
      'StrictModes=no',
      '-o',
      'PidFile=none',
      '-o',
      'PermitRootLogin=yes',
      '-o',
      'LogLevel=VERBOSE',
    ],
    ...['-o', `AuthorizedKeysFile=${join(lab.directory('safe'), 'id_ed25519_generated.pub')}`],
  ]
  const [name = '', ...args] = program
  const child = spawn(name, args, {cwd: lab.root, stdio: ['ignore', 'ignore', 'pipe']})
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text))
  await eventually(() => expect(log).toContain('Server listening'))
  return {log: () => log, end: () => void child.kill()}
}

const refusedBy = (outcome: Outcome): void => {
  expectFailure(outcome, 6, 'vmctl::ssh::host_key_mismatch')
}

check('another sshd that answers on the port of the VM is refused every time, by every verb', async () => {
  const impostor = await impersonate()
  try {
    for (let attempt = 0; attempt < 3; attempt++)
      refusedBy(await lab.run(['ssh', 'safe', '--user', 'root', '--', 'true'], {prefix: inNamespace}))
    refusedBy(await lab.run(['provision'], {prefix: inNamespace}))
    lab.vmfile(microVm('safe', inline('echo up > ~/file') + '\n' + inline('echo more')))
    refusedBy(await lab.run(['up'], {prefix: inNamespace}))
    expect(impostor.log()).not.toMatch(/Accepted|session opened/)
    expect(impostor.log()).toContain('Connection')
  } finally {
    impostor.end()
  }
  // The guest itself still is what it was, and what was refused is done now.
  expect((await lab.ok('up')).stdout).toContain('more\n')
})

step('under umask 077 the same holds, and a state directory that others may write to is refused', async () => {
  expectSuccess(await lab.run(['down'], {umask: '077'}))
  expectSuccess(await lab.run(['up', '--no-provision'], {umask: '077'}))
  expect(exposed()).toEqual([])
  const open = join(lab.root, 'open')
  mkdirSync(open)
  execFileSync('chmod', ['777', open])
  expectFailure(await lab.vmctl('list', '--state-dir', open), 4, 'vmctl::host::insecure_directory')
})
