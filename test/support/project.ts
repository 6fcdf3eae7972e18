import {writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect} from 'vitest'

import {type CommandResult, makeWorkspace, runCommand, type Workspace} from './run-command.ts'
import {type SshdOptions, startSshd, type TestSshd} from './sshd.ts'

/** A directory with a VMFile, whose VMs run on the noop backend with a real sshd for a guest. */
export interface Project extends AsyncDisposable {
  readonly workspace: Workspace
  readonly sshd: TestSshd
  /** Of the VMFile. */
  readonly path: string
  /** The text of a VM, with an image and a log-in. */
  vm(name: string, body?: string): string
  /** The text of a step. */
  inline(command: string): string
  /** Writes the VMFile unless it stays as it is, and runs a command on it. */
  run(text: string | undefined, ...words: readonly string[]): Promise<CommandResult>
  vmDirectory(name: string): string
}

/** @param ssh lines of the `ssh` block of each VM */
export const startProject = async ({ssh = '', config}: {readonly ssh?: string} & SshdOptions = {}): Promise<Project> => {
  const workspace = makeWorkspace()
  const sshd = await startSshd({...(config && {config})})
  process.env.VMCTL_NOOP_SSH = `127.0.0.1:${sshd.port}`
  const path = join(workspace.directory, 'VMFile.kdl')
  const login = `  ssh {\n    user ${JSON.stringify(sshd.user)}\n    private-key ${JSON.stringify(sshd.keyPath)}\n    ${ssh}\n  }\n`
  return {
    workspace,
    sshd,
    path,
    vm: (name, body = '') => `vm ${JSON.stringify(name)} {\n  image "base.qcow2"\n${login}${body}\n}\n`,
    inline: (command) => `  provision "shell" {\n    inline ${JSON.stringify(command)}\n  }`,
    run(text, ...words) {
      if (text !== undefined) writeFileSync(path, text)
      const [verb = '', ...rest] = words
      return runCommand(verb, '--file', path, ...rest)
    },
    vmDirectory: (name) => join(workspace.stateDirectory, 'vms', name),
    async [Symbol.asyncDispose]() {
      await sshd[Symbol.asyncDispose]()
      workspace[Symbol.dispose]()
    },
  }
}

/** One whose VMs `web` and `db` are up, and whose VMFile the environment of this process names. */
export const startRunningProject = async (): Promise<Project> => {
  const project = await startProject()
  expect(await project.run([project.vm('web'), project.vm('db')].join(''), 'up')).toMatchObject({exitCode: 0})
  process.env.VMCTL_FILE = project.path
  return {
    ...project,
    async [Symbol.asyncDispose]() {
      delete process.env.VMCTL_FILE
      await project[Symbol.asyncDispose]()
    },
  }
}
