import {Config} from '@oclif/core/config'
import {beforeAll, describe, expect, test} from 'vitest'

import {fromSource} from '../../test/support/from-source.ts'
import {isVmctlError, type VmctlError} from '../model/errors.ts'
import {type CommandLine, readCommandLine} from './command-line.ts'
import {usageError} from './usage-error.ts'

let config: Config
beforeAll(async () => {
  config = await Config.load(fromSource)
})

const read = (line: string): CommandLine =>
  readCommandLine(
    line.split(' ').filter((word) => word !== ''),
    {commandIDs: config.commandIDs, topics: config.topics, findCommand: (id) => config.findCommand(id)},
  )

const refusal = (line: string): VmctlError => {
  try {
    read(line)
  } catch (error) {
    if (isVmctlError(error)) return error
    throw error
  }
  throw new Error(`${line} was accepted`)
}

describe('which command is meant', () => {
  test.each<readonly [string, CommandLine]>([
    ['', {kind: 'help'}],
    ['--help', {kind: 'help'}],
    ['--version', {kind: 'version'}],
    ['list', {kind: 'command', id: 'list', argv: []}],
    ['ls --json', {kind: 'command', id: 'ls', argv: ['--json']}],
    ['image', {kind: 'help', id: 'image'}],
    ['image --json', {kind: 'help', id: 'image'}],
    ['image list --json', {kind: 'command', id: 'image:list', argv: ['--json']}],
    ['image:list', {kind: 'command', id: 'image:list', argv: []}],
    ['--json image list', {kind: 'command', id: 'image:list', argv: ['--json']}],
    ['-f x.kdl --state-dir=/s up web', {kind: 'command', id: 'up', argv: ['--file', 'x.kdl', '--state-dir=/s', 'web']}],
    ['-f=x.kdl log -f web', {kind: 'command', id: 'log', argv: ['--file=x.kdl', '-f', 'web']}],
    ['--json exec web ls --all', {kind: 'command', id: 'exec', argv: ['--json', 'web', 'ls', '--all']}],
    ['up --help', {kind: 'help', id: 'up'}],
    ['help up', {kind: 'help', id: 'up'}],
    ['list foo', {kind: 'command', id: 'list', argv: ['foo']}],
    // From the first word that is no flag of vmctl, everything belongs to the guest.
    ['exec web df -h', {kind: 'command', id: 'exec', argv: ['web', 'df', '-h']}],
    ['exec --user root web df --help', {kind: 'command', id: 'exec', argv: ['--user', 'root', 'web', 'df', '--help']}],
    ['exec --user root --help web', {kind: 'help', id: 'exec'}],
    ['run --rm debian:12 uname -h', {kind: 'command', id: 'run', argv: ['--rm', 'debian:12', 'uname', '-h']}],
    ['ssh web -- df -h', {kind: 'command', id: 'ssh', argv: ['web', '--', 'df', '-h']}],
  ])('vmctl %s', (line, expected) => {
    expect(read(line)).toEqual(expected)
  })
})

describe('a command that does not exist', () => {
  test.each([
    ['halt', 'vmctl stop VM'],
    ['poweroff web', 'vmctl stop VM'],
    ['reboot', 'vmctl restart VM'],
    ['kill', 'vmctl stop VM'],
    ['config', 'vmctl validate'],
    ['new', 'vmctl init'],
    ['checkpoint', '`vmctl snapshot`'],
    ['attach', 'vmctl console VM'],
    ['build', 'provision "dockerfile"'],
    ['pause', 'vmctl suspend VM'],
    ['unpause', 'vmctl resume VM'],
    ['box', 'vmctl image'],
    ['lsit', 'Did you mean `vmctl list`?'],
    ['image lst', 'Did you mean `vmctl image list`?'],
    ['nosuchthing', 'vmctl --help'],
    ['nosuchthing --help', 'vmctl --help'],
    ['help nosuchthing', 'vmctl --help'],
  ])('vmctl %s', (line, help) => {
    expect(refusal(line)).toMatchObject({code: 'vmctl::usage::unknown_command', help: expect.stringContaining(help)})
  })

  test.each(['detsroy web', 'destory web', 'dow', 'relaod', 'uninstal', 'image rn', 'volume rmm', 'rm web', 'delete web', 'remove web'])(
    'vmctl %s: what destroys is not suggested, only explained',
    (line) => {
      const {help} = refusal(line)
      expect(help).not.toMatch(/mean|[Yy]\/n/)
      for (const [words = ''] of help.matchAll(/`vmctl (?:destroy|down|reload|uninstall|\w+ rm)[^`]*`/g)) expect(words).toMatch(/ --help`$/)
    },
  )
})

describe('flags', () => {
  test.each([
    ['up', '--provision', 'vmctl provision'],
    ['up', '-d', 'background'],
    ['ssh', '-c', 'vmctl ssh VM -- COMMAND'],
    ['down', '-v', '--volumes'],
    ['destroy', '--force', 'leave the flag out'],
    ['up', '--fil', 'Did you mean --file?'],
    ['up', '--parallell=3', 'Did you mean --parallel?'],
    ['list', '--verbose', '--debug'],
    ['list', '--zzzzzz', 'vmctl list --help'],
  ])('vmctl %s %s', (words, flag, help) => {
    class NonExistentFlagsError extends Error {
      readonly flags = [flag]
    }
    const flags = Object.keys(config.findCommand(words)?.flags ?? {})
    expect(usageError(new NonExistentFlagsError(), {words, args: [], flags})).toMatchObject({
      code: 'vmctl::usage::unknown_flag',
      help: expect.stringContaining(help),
    })
  })

  test('before the command only those of all commands', () => {
    expect(refusal('--foo list')).toMatchObject({code: 'vmctl::usage::unknown_flag'})
    expect(refusal('--jsn list').help).toBe('Did you mean --json?')
    expect(refusal('--file')).toMatchObject({code: 'vmctl::usage::invalid'})
  })
})
