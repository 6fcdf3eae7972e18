import {afterAll, beforeAll, describe, expect, test} from 'vitest'

import {missingProgram} from '../../test/support/programs.ts'
import {makeWorkspace, runShell, spawnCommand, vmctlWords, type Workspace} from '../../test/support/run-command.ts'
import {completionScripts} from './completion-scripts.ts'

let workspace: Workspace
beforeAll(async () => {
  workspace = makeWorkspace()
  workspace.write('VMFile.kdl', `project "shop"\nvm "web" { image "${workspace.image}"; }\nvm "db" { image "${workspace.image}"; }\n`)
  for (const [name, text] of Object.entries(completionScripts)) workspace.write(`vmctl.${name}`, text)
  await spawnCommand(['create', 'lone', '--image', workspace.image])
})
afterAll(() => workspace[Symbol.dispose]())

const vmctl = [process.execPath, ...vmctlWords].map((word) => `'${word}'`).join(' ')

/** What a shell offers for a line with the cursor at its end. */
const shells: Readonly<Record<string, (line: string) => string>> = {
  bash: (line) =>
    `source ./vmctl.bash; COMP_LINE='${line}' COMP_POINT=${line.length}; _vmctl; ((\${#COMPREPLY[@]})) && printf '%s\\n' "\${COMPREPLY[@]}"; :`,
  // Its completion system wants a terminal; what it would be told is printed instead.
  zsh: (line) => {
    const words = line.split(' ').map((word) => `'${word}'`)
    return `zsh -f -c "vmctl() { ${vmctl} \\"\\$@\\"; }; compdef() { :; }; _describe() { print -rl -- \\\${(P)2}; }; _files() { print :files; }; source ./vmctl.zsh; words=(${words.join(' ')}); CURRENT=${words.length}; _vmctl"`
  },
  fish: (line) => `fish --no-config -c "function vmctl; ${vmctl} \\$argv; end; source ./vmctl.fish; complete -C '${line}'"`,
}

describe.each(Object.entries(shells))('%s', (name, offer) => {
  const missing = missingProgram(name, ['-c', 'true'])
  test.skipIf(missing)('offers commands, names of VMs, flags and values', async () => {
    const offered = async (line: string): Promise<readonly string[]> => {
      const {stdout, stderr, exitCode} = await runShell(`cd '${workspace.directory}'; ${offer(line)}`)
      expect([stderr, exitCode]).toEqual(['', 0])
      return stdout
        .split('\n')
        .map((text) => text.replace(/\t.*|(?<!\\):[A-Z].*|(?<!\\):$/, '').replaceAll('\\:', ':'))
        .filter((text) => text !== '')
        .toSorted()
    }
    expect(await offered('vmctl image p')).toEqual(['prune', 'pull', 'push'])
    expect(await offered('vmctl up ')).toEqual(['db', 'lone', 'web'])
    expect(await offered('vmctl up --no-h')).toEqual(['--no-health'])
    expect(await offered('vmctl clone l')).toEqual(['lone'])
    expect(await offered('vmctl try --ke')).toEqual(['--keep'])
    expect(await offered('vmctl graph --format m')).toEqual(['mermaid'])
    expect(await offered('vmctl validate --file VMF')).toContain(name === 'zsh' ? ':files' : 'VMFile.kdl')
  })
})

test.skipIf(missingProgram('bash', ['-c', 'true']))('bash: behind a colon only the rest is inserted', async () => {
  const line = 'vmctl run debian:1'
  const {stdout} = await runShell(`cd '${workspace.directory}'; ${shells.bash?.(line) ?? ''}`)
  expect(stdout.split('\n')).toEqual(expect.arrayContaining(['12', '13']))
})

test('the script is what `vmctl completion` prints, and a shell that is not known is told which are', async () => {
  expect((await spawnCommand(['completion', 'bash'])).stdout).toBe(completionScripts.bash)
  const {json} = await spawnCommand(['completion', 'tcsh', '--json'])
  expect(json.error).toMatchObject({code: 'vmctl::usage::invalid', message: expect.stringContaining('bash, zsh or fish')})
})
