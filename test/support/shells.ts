import {spawnSync} from 'node:child_process'
import {mkdirSync, mkdtempSync, rmSync, symlinkSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll} from 'vitest'

import {missingProgram} from './programs.ts'

/** A shell that a guest may have as /bin/sh. */
export interface GuestShell {
  readonly name: (typeof guestShellNames)[number]
  /** Why it cannot be tried; undefined when it can. */
  readonly missing: string | undefined
  /** The shell under the name `sh`, by which some of them know that they are to follow POSIX. */
  readonly sh: string
  /** PATH of a guest in which it is the only `sh`. busybox brings all of its programs along, and there is nothing else then. */
  readonly path: string
}

/** The programs of a guest that has nothing but busybox. */
const applets = [
  ...['awk', 'cat', 'chmod', 'chown', 'cmp', 'cp', 'cut', 'date', 'dd', 'echo', 'env', 'find', 'grep', 'gzip', 'head', 'id', 'kill', 'ls'],
  ...['mkdir', 'mktemp', 'mv', 'nohup', 'ps', 'readlink', 'rm', 'rmdir', 'sed', 'seq', 'setsid', 'sha256sum', 'sleep', 'stat', 'sync'],
  ...['tail', 'tar', 'tr', 'true', 'wc'],
]

/**
 * Each is a program of that name. Not among them is yash, which reads characters and refuses bytes that are none, and posh, which has
 * no `kill` of its own; no guest has one of them for its `sh`.
 */
export const guestShellNames = ['dash', 'bash', 'busybox', 'mksh', 'ksh93', 'zsh'] as const

/**
 * The shells on which all programs for guests have to work, each made ready in a directory that goes when the tests of the file are
 * over. Those that are not installed are told as missing, but not under CI.
 */
export const guestShells = (): readonly GuestShell[] => {
  const root = mkdtempSync(join(tmpdir(), 'vmctl-shells-'))
  afterAll(() => rmSync(root, {recursive: true, force: true}))
  return guestShellNames.map((name) => {
    const missing = missingProgram(name, name === 'busybox' ? ['true'] : ['-c', 'true'])
    const directory = join(root, name)
    mkdirSync(directory)
    const file = spawnSync('/bin/sh', ['-c', `command -v ${name}`], {encoding: 'utf8'}).stdout.trim()
    for (const link of name === 'busybox' ? ['sh', ...applets] : ['sh']) symlinkSync(file, join(directory, link))
    return {name, missing, sh: join(directory, 'sh'), path: name === 'busybox' ? directory : `${directory}:/usr/bin:/bin`}
  })
}

/** What a login may have for a shell, besides. */
export const loginShells = ['fish', 'tcsh', 'zsh', 'mksh', 'dash', 'bash']
