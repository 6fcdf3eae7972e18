import {Config} from '@oclif/core/config'
import {describe, expect, test} from 'vitest'

import {fromSource} from '../../test/support/from-source.ts'
import {commandGroups} from './command-groups.ts'
import {helpText} from './help.ts'

const config = await Config.load(fromSource)
const own = config.commands.filter(({pluginName, hidden}) => pluginName === 'vmctl' && !hidden)
const names = own.filter(({id, aliases}) => !aliases.includes(id))
const page = (id: string | undefined, width: number): readonly string[] => helpText(id, config, {width, colour: false}).split('\n')

describe('vmctl --help', () => {
  test('shows every command once, by purpose, and no other name of one', () => {
    const shown = page(undefined, 80).flatMap((line) => /^ {2}(\S+(?: \S+)?) {2,}/.exec(line)?.[1] ?? [])
    expect(shown).toEqual(Object.values(commandGroups).flatMap((ids) => ids.map((id) => id.replace(':', ' '))))
    expect(shown.toSorted()).toEqual(names.map(({id}) => id.replace(':', ' ')).toSorted())
  })

  test('has a line for each on a terminal of 80 columns', () => {
    expect(page(undefined, 80).filter((line) => /^ {6}/.test(line))).toEqual([])
  })
})

describe.each([40, 80, 200])('on %i columns', (width) => {
  test.each([undefined, 'image', ...names.map(({id}) => id)])('%s: no line is too long but for what cannot be broken', (id) => {
    const long = page(id, width).filter((line) => line.length > width && !/^ *(?:sudo )?vmctl |^ *`[^`]*`[.,]?$/.test(line))
    expect(long).toEqual([])
  })
})

test.each(names.map(({id}) => [id]))('%s has a summary that is a sentence, and examples', (id) => {
  const {summary = '', examples = []} = config.findCommand(id) ?? {}
  expect(summary).toMatch(/^[A-Z].*\.$/)
  expect(examples.length).toBeGreaterThan(0)
})

test('a command says what else it is called, and what is below it', () => {
  expect(page('log', 80)).toContain('Also written `vmctl logs`.')
  expect(page('plugins', 80).join('\n')).toMatch(/Commands:\n {2}plugins install /)
})

test('flags that are no longer written so are not shown', () => {
  expect(page('up', 80).join('\n')).not.toContain('--no-wait')
})
