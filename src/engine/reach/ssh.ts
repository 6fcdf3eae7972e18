import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {peekGuest} from '../../guest/record.ts'
import {readIfExists} from '../../host/files.ts'
import {isTerminal, runInteractive} from '../../host/interactive.ts'
import {resolvePath} from '../../host/paths.ts'
import type {Candidate} from '../../guest/ssh/candidates.ts'
import {anyShellWords} from '../../model/any-shell.ts'
import {VmctlError, factsOf} from '../../model/errors.ts'
import {hasShell} from '../../model/login.ts'
import type {SshConfig, Vm} from '../../model/vm.ts'
import {requireVm} from '../../store/store.ts'
import {inDirectory, verbatim} from './exec.ts'
import {waitForGuest} from './wait.ts'
import {type Login, sshKeys} from './identity.ts'
import {type Engine, observe} from '../engine.ts'
import type {Vmfile} from '../load.ts'
import {type SshCommand, sshCommand} from './ssh-command.ts'
import {belongsTo} from '../owner.ts'
import {repairNetworks} from '../resources/carriers.ts'

export interface SshOptions {
  readonly user?: string | undefined
  /** Path as the user wrote it. */
  readonly key?: string | undefined
  /** The VMFile of this directory, when there is one: its `ssh` block may be newer than the VM. */
  readonly vmfile?: Vmfile | undefined
  /** A command to run instead of a shell: one word is a shell command line, several are words of a command. */
  readonly command: readonly string[]
  /** One word of `command` is a program too; a program that a person talks to gets a terminal. */
  readonly asWords?: boolean
  /** Directory of the guest to run it in. */
  readonly workdir?: string | undefined
  readonly directory: string
}

/** Milliseconds without progress that `vmctl ssh` waits for a guest. */
const patienceMs = 30_000

/**
 * Waits until the guest lets us in, then hands the terminal to the `ssh` program.
 * @returns the exit status of ssh, which is that of the command in the guest
 */
export const openShell = async (engine: Engine, name: string, options: SshOptions): Promise<number> => {
  const vm = await requireVm(engine.store, name)
  const {state} = await observe(engine, vm)
  if (state !== 'running') {
    throw new VmctlError('vmctl::vm::invalid_state', `VM ${name} is ${state}; SSH needs a running one.`, {
      help:
        state === 'suspended' || state === 'saved'
          ? `Resume it with \`vmctl resume ${name}\`.`
          : `Start it with \`vmctl start ${name}\`, or \`vmctl up\`.`,
    })
  }
  const login: Login = {
    user: options.user,
    key: options.key === undefined ? undefined : resolvePath(options.key, options.directory),
    ssh: await currentSsh(vm, options.vmfile),
    canPrompt: true,
  }
  const hasTerminal = options.asWords === true && isTerminal()
  const remote = hasShell(login.ssh ?? vm.spec.ssh) ? remoteWords(options, hasTerminal) : verbatimWords(options)
  const status =
    (hasTerminal ? undefined : await enterAtOnce(engine, {vm, login, remote})) ?? (await enter(engine, {vm, login, remote, hasTerminal}))
  if (hasTerminal && status === 255) {
    await engine.emit({type: 'vm.notice', vm: name, message: 'the connection was lost, or the program ended with status 255'})
  }
  return status
}

interface Entry {
  readonly vm: Vm
  readonly login: Login
  /** What ssh runs, with `--` in front; a shell when empty. */
  readonly remote: readonly string[]
}

/** Waits for the guest, then hands over with the key that it has accepted. */
const enter = async (engine: Engine, {vm, login, remote, hasTerminal}: Entry & {readonly hasTerminal: boolean}): Promise<number> => {
  const accepted = await checkGuest(engine, vm, login)
  const command = await sshCommand(engine, vm, {...login, only: accepted && [accepted]})
  // With a terminal, ssh would say at the end that the connection was closed.
  return runSsh(command, [...(hasTerminal ? ['-t', '-o', 'LogLevel=ERROR'] : []), ...command.options], remote)
}

const runSsh = ({user, host}: SshCommand, options: readonly string[], remote: readonly string[]): Promise<number> =>
  runInteractive('ssh', ['-F', '/dev/null', ...options, '-l', user, host, ...remote], {
    help: 'Install the OpenSSH client (Debian, Ubuntu: `sudo apt-get install openssh-client`).',
  })

/** Seconds that a guest has for its greeting when it was reached before; one that boots is waited for in another way. */
const greetingSeconds = 5

/**
 * Hands over to `ssh` without a connection of vmctl's own before it, which would be a second login: only to a guest that was reached
 * before, by the keys that come first and need no question: what the VMFile names, and what vmctl has made.
 * @returns undefined when the guest has let nobody in, so that nothing was run there
 */
const enterAtOnce = async (engine: Engine, {vm, login, remote}: Entry): Promise<number | undefined> => {
  if (login.key !== undefined || (await peekGuest(vm.directory))?.ready !== true) return undefined
  const keys = await sshKeys(engine, vm, {...login, canPrompt: true})
  const ready = keys.slice(0, 2).filter((key) => key.kind === 'key' && !key.encrypted)
  if (ready[0] === undefined || ready[0] !== keys[0]) return undefined
  await repairNetworks(engine, vm.spec)
  const command = await sshCommand(engine, vm, {...login, only: ready})
  const directory = await mkdtemp(join(tmpdir(), 'vmctl-ssh-'))
  try {
    const log = join(directory, 'log')
    // The first value of an option is the one that counts to ssh.
    const early = ['-E', log, '-o', 'LogLevel=VERBOSE', '-o', `ConnectTimeout=${greetingSeconds}`, '-o', 'BatchMode=yes']
    const status = await runSsh(command, [...early, ...command.options], remote)
    const said = (await readIfExists(log)) ?? ''
    // Only what says so proves that nobody was let in: a log that could not be written does not.
    if (status === 255 && said !== '' && !said.includes('Authenticated to ')) return undefined
    process.stderr.write(said.replaceAll(/^(?:Authenticated to|Transferred:|Bytes per second:) [^\n]*\n/gm, ''))
    return status
  } finally {
    await rm(directory, {recursive: true, force: true})
  }
}

/** The end of the command line of ssh; nothing for a shell. */
const remoteWords = ({workdir, asWords, ...options}: SshOptions, hasTerminal: boolean): readonly string[] => {
  const command = inDirectory(options.command, workdir)
  const [first, ...more] = command
  if (first === undefined) return []
  if (more.length === 0 && !asWords) return ['--', first]
  return ['--', anyShellWords(hasTerminal ? [...tellingOfSignals, ...command] : command)]
}

const verbatimWords = ({command, workdir}: SshOptions): readonly string[] => {
  const line = verbatim(command, workdir)
  return line === '' ? [] : ['--', line]
}

/**
 * ssh(1) ends with 255 when a signal has ended the program, whichever it was. A shell around the program makes a status of Ctrl+C
 * and Ctrl+\ (128 and the number of the signal); the program itself gets them as ever.
 */
const tellingOfSignals = ['sh', '-c', 'trap : INT QUIT; "$@"', 'sh'] as const

/**
 * Waits until the guest would let us in; a key whose passphrase only the `ssh` program can ask for is left to it.
 * @returns the key that the guest has accepted, unless one before it is left to the `ssh` program
 */
const checkGuest = async (engine: Engine, vm: Vm, login: Login): Promise<Candidate | undefined> => {
  try {
    const {connection} = await waitForGuest(engine, vm, {...login, timeoutMs: patienceMs, cloudInit: false})
    connection.close()
    const {key} = connection
    return login.key === undefined || key?.path === login.key ? key : undefined
  } catch (error) {
    const {encrypted = []} = factsOf(error)
    if (encrypted.length === 0) throw error
    return undefined
  }
}

const currentSsh = async (vm: Vm, vmfile: Vmfile | undefined): Promise<SshConfig | undefined> =>
  vmfile && (await belongsTo(vm, vmfile.path)) ? vmfile.vms.find((spec) => spec.name === vm.name)?.ssh : undefined
