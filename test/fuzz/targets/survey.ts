import {strict as assert} from 'node:assert'

import {unsafePath} from '../../../src/model/safe-path.ts'
import type {Guest} from '../../../src/provision/provisioner.ts'
import {surveyTree} from '../../../src/provision/tree/tree-survey.ts'
import type {TreeEntry} from '../../../src/provision/tree/tree.ts'
import {pureTrial, resultOrFailure, type Target} from '../target.ts'

const entries = [
  {name: 'a', type: 'file', mode: 0o644, sizeBytes: 1},
  {name: 'd', type: 'directory', mode: 0o755},
  {name: 'd/b', type: 'file', mode: 0o600, sizeBytes: 1},
  {name: 'l', type: 'symlink', target: 'a'},
] as unknown as readonly TreeEntry[]

export const survey: Target = {
  about: "a guest's answer to what it has under the names of a tree",
  dictionary: [
    'gzip\n',
    'zstd\n',
    'present\n',
    'absent\n',
    'ff\n',
    'd\n',
    'l\n',
    '644 0 0 root root\n',
    '-\n',
    '\0',
    './../x\0',
    './d/b\0',
    '/etc\0',
    '..\0',
  ],
  open: () =>
    pureTrial(async (input) => {
      const guest: Guest = {
        exec: async (_command, options) => {
          await options?.onStdout?.(input)
          return {code: 0, signal: null}
        },
        upload: async () => undefined,
      }
      const result = await resultOrFailure(['vmctl::provision::failed'], () =>
        surveyTree(guest, '/srv', {entries, listAll: true, options: {}}),
      )
      if (!result) return
      for (const name of result.all) assert.equal(unsafePath(name), undefined)
      for (const name of result.found.keys()) assert.ok(entries.some((entry) => entry.name === name))
      for (const {mode} of result.found.values()) assert.ok(mode === undefined || (Number.isSafeInteger(mode) && mode >= 0), `mode ${mode}`)
    }),
}
