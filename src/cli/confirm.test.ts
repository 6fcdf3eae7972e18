import {describe, expect, test} from 'vitest'

import type {Loss} from '../engine/show/loss.ts'
import {questionText} from './confirm.ts'
import {wrap} from './wrap.ts'

const ago = (days: number): string => new Date(Date.now() - days * 86_400_000 - 1000).toISOString()

const losses: readonly Loss[] = [
  {kind: 'vm', name: 'shop.web', diskBytes: 1.5 * 2 ** 30, createdAt: ago(40), isRunning: true},
  {kind: 'orphan', name: 'shop.a-service-with-a-long-name-1', diskBytes: 2 ** 20, createdAt: ago(3)},
  {kind: 'volume', name: 'shop.pgdata', diskBytes: 2 ** 30},
]

const question = {what: 'down removes these VMs with their disks, keys and logs:', losses, instead: '`vmctl down` alone keeps them.'}

describe('what is asked before something is destroyed', () => {
  test.each([40, 80, 200])('%i columns: no line is longer, and no word is cut', (width) => {
    const text = questionText(question, width)
    expect(text.split('\n').filter((line) => line.length > width)).toEqual([])
    const words = text.split(/\s+/)
    expect(words).toEqual(expect.arrayContaining(['1.50', 'running', 'shop.a-service-with-a-long-name-1', 'shop.pgdata', 'disks,']))
  })

  test('says of each what is lost', () => {
    expect(questionText(question, 200).split('\n')).toEqual([
      question.what,
      '  shop.web                           1.50 GB on its disk, made 40 days ago, running',
      '  shop.a-service-with-a-long-name-1  1.0 MB on its disk, made 3 days ago, no longer in the VMFile',
      '  volume shop.pgdata                 1.00 GB on it',
      question.instead,
    ])
  })
})

test('a command between backquotes stays on one line', () => {
  expect(wrap('Run `vmctl image list --available` now.', 20)).toEqual(['Run', '`vmctl image list --available`', 'now.'])
  expect(wrap('', 20)).toEqual([''])
})
