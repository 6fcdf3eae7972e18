import {posix} from 'node:path'

import {quote, quoteAll} from '../../model/quote.ts'
import type {OwnStep} from '../../model/steps.ts'
import type {Context} from './context.ts'
import {copySteps, readCopy} from './copy.ts'
import {type Dockerfile, DockerfileError, type Instruction} from './parse.ts'
import {assignments, baseImage, environment, type Expand, expander, globalArguments} from './variables.ts'
import {type Escape, splitWords} from './words.ts'

/** What a Dockerfile comes to in a VM. */
export interface DockerfilePlan {
  /** The image of FROM, as written with its variables replaced. */
  readonly base: string
  readonly steps: readonly OwnStep[]
  /** What ENV sets: for the log-ins of the guest too. */
  readonly environment: Readonly<Record<string, string>>
  /** Instructions that mean nothing in a VM, and other things to know. */
  readonly warnings: readonly string[]
}

/** What Docker starts with when an image sets no PATH (moby, `system.DefaultPathEnv`). */
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** What earlier instructions have set. */
interface State {
  readonly env: Map<string, string>
  readonly args: Map<string, string>
  /** ARG from before FROM, and from the VMFile. */
  readonly global: ReadonlyMap<string, string>
  readonly buildArgs: Readonly<Record<string, string>>
  readonly escape: Escape
  readonly context: Context
  readonly warnings: string[]
  directory: string
  user: string
  shell: readonly string[]
}

interface Visit {
  readonly instruction: Instruction
  readonly state: State
  readonly expand: Expand
  /** The arguments, of either form, with their variables replaced. */
  readonly words: () => string[]
}

/**
 * The steps that do in a VM what a Dockerfile does in an image, in its order: one for each RUN, WORKDIR and source of COPY and
 * ADD. ENV, ARG, USER and SHELL are part of the steps behind them, so a change of one makes those due again, and no others.
 * @param buildArgs values for ARG, which they replace
 * @throws DockerfileError with the line, for what cannot be done in a VM
 */
export const dockerfileSteps = async (
  dockerfile: Dockerfile,
  {buildArgs, context}: {buildArgs: Readonly<Record<string, string>>; context: Context},
): Promise<DockerfilePlan> => {
  const {instructions, escape} = dockerfile
  const base = baseImage(dockerfile, buildArgs)
  const state: State = {
    env: new Map([['PATH', defaultPath]]),
    args: new Map(),
    global: globalArguments(dockerfile, buildArgs),
    buildArgs,
    escape,
    context,
    warnings: [],
    directory: '/',
    user: 'root',
    shell: ['/bin/sh', '-c'],
  }
  const steps: OwnStep[] = []
  for (const instruction of instructions.slice(instructions.findIndex(({keyword}) => keyword === 'FROM') + 1)) {
    const visit = visits[instruction.keyword]
    if (!visit) throw new DockerfileError(instruction.line, `${instruction.keyword} is not an instruction of a Dockerfile`)
    const expand = expander(instruction, (name) => state.env.get(name) ?? state.args.get(name), escape)
    const words = (): string[] => (instruction.exec ?? splitWords(instruction.text, escape)).map(expand)
    steps.push(...(await visit({instruction, state, expand, words})))
  }
  const {PATH: path, ...rest} = Object.fromEntries(state.env)
  return {
    base,
    steps,
    environment: {...(path !== undefined && path !== defaultPath && {PATH: path}), ...rest},
    warnings: state.warnings,
  }
}

const meansNothing = ({instruction: {line, keyword}, state}: Visit): [] => {
  state.warnings.push(`line ${line}: ${keyword} means nothing in a VM and is left out`)
  return []
}

const refuse =
  (message: string) =>
  ({instruction}: Visit): never => {
    throw new DockerfileError(instruction.line, message)
  }

const copy = ({instruction, state, expand, words}: Visit): Promise<OwnStep[]> => {
  const lookup = (name: string): string | undefined => state.env.get(name) ?? state.args.get(name)
  const title = titleOf(instruction)
  return copySteps(
    readCopy(instruction, {words: words(), directory: state.directory, title, expand, lookup}),
    state.context,
    (message) => void state.warnings.push(message),
  )
}

const visits: Readonly<Record<string, (visit: Visit) => readonly OwnStep[] | Promise<readonly OwnStep[]>>> = {
  FROM: refuse('a second FROM begins another stage, and a VM has one: leave the stages before it out'),
  ONBUILD: refuse('ONBUILD is for images that others build on, which a VM is not'),
  CMD: meansNothing,
  ENTRYPOINT: meansNothing,
  EXPOSE: meansNothing,
  LABEL: meansNothing,
  STOPSIGNAL: meansNothing,
  HEALTHCHECK: meansNothing,
  VOLUME: meansNothing,
  MAINTAINER: meansNothing,
  ARG: ({instruction, state, expand}) => {
    for (const [name, value] of assignments(instruction, expand, state.escape)) {
      const given = state.buildArgs[name] ?? value ?? state.global.get(name)
      if (given !== undefined) state.args.set(name, given)
    }
    return []
  },
  ENV: ({instruction, state, expand}) => {
    for (const [name, value] of environment(instruction, expand, state.escape)) state.env.set(name, value)
    return []
  },
  USER: ({instruction, state, words}) => {
    state.user = userName(instruction, words().join(' '))
    return []
  },
  SHELL: ({instruction, state}) => {
    if (!instruction.exec?.[0]) throw new DockerfileError(instruction.line, 'SHELL takes the exec form: SHELL ["/bin/bash", "-c"]')
    state.shell = instruction.exec
    return []
  },
  WORKDIR: ({instruction, state, words}) => {
    state.directory = posix.resolve(state.directory, words().join(' '))
    return [shellStep(instruction, `mkdir -p -- ${quote(state.directory)}`, {})]
  },
  RUN: ({instruction, state}) => [runStep(instruction, state)],
  COPY: copy,
  ADD: copy,
}

const userName = ({line}: Instruction, user: string): string => {
  if (user.includes(':')) {
    throw new DockerfileError(
      line,
      'USER with a group cannot be done in a VM: make the user a member of the group, and name the user alone',
    )
  }
  if (!/^(?:[a-z_][a-z0-9_-]{0,31}|\d{1,10})$/.test(user)) throw new DockerfileError(line, `USER cannot be ${JSON.stringify(user)}`)
  return user === '0' ? 'root' : user
}

const titleOf = ({keyword, line, text, exec}: Instruction): string => {
  const shown = (exec?.join(' ') ?? text).replaceAll(/\s+/g, ' ')
  return `Dockerfile:${line} ${keyword} ${shown.length > 60 ? `${shown.slice(0, 59)}…` : shown}`
}

const shellStep = (instruction: Instruction, inline: string, env: Readonly<Record<string, string>>): OwnStep => ({
  type: 'shell',
  run: 'on-change',
  title: titleOf(instruction),
  settings: {inline, args: [], env, privileged: true},
})

const runStep = (instruction: Instruction, {env, args, directory, user, shell}: State): OwnStep => {
  const {flags, line} = instruction
  const [flag] = flags
  if (flag) throw new DockerfileError(line, `RUN --${flag.name} needs BuildKit; a VM has neither its mounts nor its sandbox`)
  const variables = Object.fromEntries([...args, ...env])
  const command = `cd -- ${quote(directory)} || exit 1\n${runCommand(instruction, shell)}`
  if (user === 'root') return shellStep(instruction, command, variables)
  // su knows no numbers. Without a log-in it keeps the environment but for HOME and the names of the user.
  const named = /^\d/.test(user) ? `"$(id -un ${user})"` : user
  return shellStep(instruction, `exec su -s /bin/sh ${named} -c ${quote(command)}`, variables)
}

const runCommand = ({exec, text, documents}: Instruction, shell: readonly string[]): string => {
  if (exec) return `exec ${quoteAll(exec)}`
  const [only, ...others] = documents
  if (!only) return `exec ${quoteAll([...shell, text])}`
  // A here-document alone is a script of its own, for its interpreter when it names one.
  if (others.length > 0 || text !== only.announcement) {
    return `exec ${quoteAll([...shell, [text, ...documents.map(({source}) => source)].join('\n')])}`
  }
  if (!only.content.startsWith('#!')) return `exec ${quoteAll([...shell, only.content])}`
  return `script=$(mktemp) && printf %s ${quote(only.content)} >"$script" && chmod 700 "$script" && "$script"
code=$?
rm -f "$script"
exit "$code"`
}
