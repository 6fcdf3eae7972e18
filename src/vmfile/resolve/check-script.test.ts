import {describe, expect, it} from 'vitest'

import {useWorkspace, type Workspace} from '../../../fixtures/vmfiles/workspace.ts'

let workspace: Workspace
useWorkspace((made) => {
  workspace = made
})

const problems = async (content: string, settings = ''): Promise<readonly string[]> => {
  workspace.write('try.sh', content)
  const text = `vm "a" { image "image.qcow2"; ssh { user "u"; }; provision "shell" { script "try.sh"; ${settings} }; }`
  return (await workspace.problems(text)).map(({message, line}) => `${line}: ${message}`)
}

const windows = '1: script "try.sh" has Windows line ends, which no shell of a guest understands'

describe('a script', () => {
  it.each([
    ['#!/bin/sh\necho hello\n', ''],
    ['#! /usr/bin/env python3\nprint()\n', ''],
    ['echo hello\n', ''],
    ['', ''],
    ['#!/bin/sh\nprintf "a\\r\\n"\r\n', ''],
    ['print()\r\nprint()\r\n', 'interpreter "python3";'],
    ['#!python\nprint()\n', 'interpreter "python3";'],
  ])('%j is left alone %s', async (content, settings) => {
    expect(await problems(content, settings)).toEqual([])
  })

  it.each([
    ['#!/bin/bash\r\necho hello\r\n', '', windows],
    ['#!/usr/bin/env python3\r\nprint()\r\n', '', windows],
    ['echo hello\r\n', '', windows],
    ['echo hello\r\n', 'interpreter "bash -e";', windows],
    ['\uFEFF#!/bin/sh\n', '', '1: script "try.sh" begins with a byte order mark, which is no part of a first line'],
    ['#!bash\n', '', '1: the first line of script "try.sh" names an interpreter that no guest has: "bash"'],
    ['#!C:/bin/bash.exe\n', '', '1: the first line of script "try.sh" names an interpreter that no guest has: "C:/bin/bash.exe"'],
    ['#!\n', '', '1: the first line of script "try.sh" names an interpreter that no guest has: ""'],
  ])('%j is refused %s', async (content, settings, message) => {
    expect(await problems(content, settings)).toEqual([message])
  })
})
