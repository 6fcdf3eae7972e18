import {Config} from '@oclif/core/config'
import {expect, test} from 'vitest'

import {fromSource} from '../../test/support/from-source.ts'
import {readCommandLine} from './command-line.ts'
import {foreignArguments, foreignCommands, foreignFlags} from './foreign-words.ts'

const config = await Config.load(fromSource)
const commands = {commandIDs: config.commandIDs, topics: config.topics, findCommand: (id: string) => config.findCommand(id)}
const advice = [
  ...Object.values(foreignCommands),
  ...Object.values(foreignArguments),
  ...Object.values(foreignFlags).flatMap(Object.values),
]

/** What is between backquotes and begins with `vmctl`. */
const lines = [...new Set(advice.flatMap((text: string) => [...text.matchAll(/`vmctl ([^`]+)`/g)].map(([, words = '']) => words)))]

test.each(lines.filter((line) => !line.startsWith('COMMAND')))('`vmctl %s` exists, with its flags', (line) => {
  const [own = ''] = line.split(' -- ')
  const words = own.split(' ').filter((word) => word !== '>' && word !== 'FILE')
  const read = readCommandLine(words, commands)
  const flags = read.kind === 'command' ? Object.keys(config.findCommand(read.id)?.flags ?? {}) : ['help', 'version']
  expect(words.filter((word) => word.startsWith('--') && !flags.includes(word.slice(2)))).toEqual([])
})

test('what destroys something is never named but to be read about', () => {
  const bare = /^(?:destroy|reload|uninstall|down --(?:destroy|volumes)|(?:image|network|volume|plugins) (?:rm|uninstall))(?!.*--help)/
  // `uninstall` undoes `install`; VMs stay.
  expect(lines.filter((line) => bare.test(line) && line !== 'uninstall')).toEqual(['image rm'])
})

test('words of other tools are not words of vmctl', () => {
  expect(Object.keys(foreignCommands).filter((words) => config.findCommand(words.replaceAll(' ', ':')))).toEqual([])
})

test.each(Object.entries(foreignFlags).filter(([words]) => words !== '' && words !== 'vmctl'))(
  'nor are the flags of %s',
  (words, flags) => {
    const known = Object.values(config.findCommand(words)?.flags ?? {}).flatMap(({name, char}) => [`--${name}`, `-${char}`])
    expect(known).not.toEqual([])
    expect(known.filter((flag) => flag in flags)).toEqual([])
  },
)
