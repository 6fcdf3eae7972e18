import type {DockerfileSpec} from '../../model/dockerfile.ts'
import {messageOf} from '../../model/errors.ts'
import {isMirrorable} from '../../model/safe-path.ts'
import {type FileSettings, type ProvisionStep, runModes, type ShellCommand, type ShellSettings} from '../../model/steps.ts'
import {anyText, boolean, duration, fileMode, path, text, word} from '../grammar/kinds.ts'
import {choice, defaulted, field, list, pairs, type Read, required} from '../grammar/shapes.ts'
import {guestPath, ownerName, variableName} from '../grammar/words.ts'
import {quoted} from '../kdl/wording.ts'
import {checkScript} from '../resolve/check-script.ts'
import {type Context, optional, resolveExisting} from '../resolve/context.ts'
import {readSecrets, secretEnvironment} from '../resolve/secrets.ts'
import {buildArguments, buildContext, buildDockerfile} from './dockerfile.ts'

const privilegedField = defaulted(boolean, false, 'Work as root, by way of sudo.')

const environment = pairs(anyText, variableName, 'Environment variables.')

const run = field(
  word('run mode', ...runModes),
  'When a step that is done runs again: at each start (a file: when it is no longer there), when it changed, or never; `always` when absent.',
)

const cache = field(
  boolean,
  'Whether a layer may hold its result; when absent, unless it says `run "always"`, has secrets or is of a plugin.',
)

export const provisionNode = choice(
  'One step that sets up the guest. Steps run in the order of the file.',
  {
    noun: 'provision type',
    default: 'shell',
    repeatable: true,
    extensible: true,
    common: {run, cache},
  },
  {
    shell: {
      inline: field(text('command', {example: '"apt-get update"'}), 'Command line to run in the guest.'),
      script: field(path('"scripts/setup.sh"'), 'Script to copy into the guest and run there.'),
      args: list(anyText, 'Arguments of the script.'),
      env: environment,
      'secret-env': secretEnvironment,
      timeout: field(duration, 'How long the step may take.'),
      interpreter: field(
        text('program', {example: '"python3"'}),
        'Program of the guest that runs it; the shell, or the first line of the script, when absent.',
      ),
      privileged: privilegedField,
      run,
      cache,
    },
    file: {
      source: required(path('"app.conf"'), 'File or directory to copy.'),
      destination: required(guestPath, 'Where it goes in the guest.'),
      mode: field(fileMode, 'Mode of the copy; that of the source when absent.'),
      owner: field(ownerName, 'Owner of the copy.'),
      ignore: list(text('pattern', {example: '"node_modules"'}), 'What a directory is copied without, as in .gitignore.'),
      mirror: defaulted(boolean, false, 'Delete what the destination has and the source directory does not.'),
      privileged: privilegedField,
      run,
      cache,
    },
    dockerfile: {
      path: required(path('"./Dockerfile"'), 'Path of the Dockerfile.'),
      context: buildContext,
      'build-arg': buildArguments,
      run,
      cache,
    },
    reboot: {
      timeout: field(duration, 'How long the guest may take to come back; 10 minutes when absent.'),
      run,
    },
  },
)

/** The provision types that every vmctl knows; plugins bring more. */
export const provisionVariants = provisionNode.variants

type Step = Read<typeof provisionNode>[number]

type ShellStep = Extract<Step, {type: 'shell'}>

type FileStep = Extract<Step, {type: 'file'}>

type DockerfileStep = Extract<Step, {type: 'dockerfile'}>

/** One provision step with its settings resolved; undefined when they are not whole. What a plugin refuses is reported at the step. */
export const buildStep = async (step: Step, context: Context): Promise<ProvisionStep | undefined> => {
  switch (step.type) {
    case 'shell': {
      const settings = await buildShell(step, context)
      return settings && {type: 'shell', ...againOf(step.fields), settings}
    }
    case 'file': {
      const settings = await buildFile(step, context)
      return settings && {type: 'file', ...againOf(step.fields), settings}
    }
    case 'dockerfile': {
      const settings = await buildDockerfileStep(step, context)
      return settings && {type: 'dockerfile', ...againOf(step.fields), settings}
    }
    case 'reboot':
      return {type: 'reboot', ...againOf({run: step.fields.run}), settings: optional('timeoutMs', step.fields.timeout?.value)}
    case 'extension':
      try {
        context.provisionTypes.get(step.extension)?.(step.settings)
      } catch (error) {
        context.report.error(step, `provision "${step.extension}": ${messageOf(error)}`)
      }
      return {type: step.extension, ...againOf(step.common), settings: step.settings}
  }
}

const againOf = ({
  run: read,
  cache: kept,
}: {
  readonly run?: {readonly value: unknown} | undefined
  readonly cache?: {readonly value: boolean} | undefined
}): Pick<ProvisionStep, 'run' | 'cache'> => {
  const mode = runModes.find((one) => one === read?.value)
  return {...optional('run', mode), ...optional('cache', kept?.value)}
}

const buildDockerfileStep = async ({fields}: DockerfileStep, context: Context): Promise<DockerfileSpec | undefined> => {
  const {path, context: from, 'build-arg': buildArgs} = fields
  return path && (await buildDockerfile({path, context: from, buildArgs}, context)).spec
}

const buildShell = async (step: ShellStep, context: Context): Promise<ShellSettings | undefined> => {
  const {inline, script, args, env, 'secret-env': secretEnv, timeout, interpreter, privileged} = step.fields
  const {report} = context
  for (const [name, value] of secretEnv) {
    if (env.has(name)) report.error(value, `${quoted(name)} is given twice`, 'keep it in env or in secret-env')
  }
  if (inline && script) {
    report.error(
      inline.start > script.start ? inline : script,
      'shell provision cannot have both inline and script',
      'write two provision blocks, one for each',
    )
  } else if (!step.given.has('inline') && !step.given.has('script')) {
    report.error(step, 'shell provision requires inline or script', 'add inline "COMMAND" or script "PATH"')
  }
  const path = script && (await resolveExisting(script, 'script', context))
  if (script && path !== undefined) await checkScript(script, {path, interpreter: interpreter?.value}, context)
  const command: ShellCommand | undefined = inline ? {inline: inline.value} : path === undefined ? undefined : {script: path}
  return (
    command && {
      ...command,
      args: args.map(({value}) => value),
      env: variables(env),
      ...(secretEnv.size > 0 && {secretEnv: await readSecrets(secretEnv, context)}),
      ...optional('timeoutMs', timeout?.value),
      ...optional('interpreter', interpreter?.value),
      privileged: privileged.value,
    }
  )
}

const variables = (pairs: ReadonlyMap<string, {readonly value: string}>): Record<string, string> =>
  Object.fromEntries([...pairs].map(([name, {value}]) => [name, value]))

const buildFile = async (step: FileStep, context: Context): Promise<FileSettings | undefined> => {
  const {source, destination, mode, owner, privileged, ignore, mirror} = step.fields
  if (mirror.value && destination && !isMirrorable(destination.value)) {
    context.report.error(
      destination,
      `${quoted(destination.value)} is too much to be mirrored`,
      'everything else in it would be deleted; name a directory of its own',
    )
  }
  const path = source && (await resolveExisting(source, 'source', context, 'file or directory'))
  if (path === undefined || !destination) return undefined
  return {
    source: path,
    destination: destination.value,
    ...optional('mode', mode?.value),
    ...optional('owner', owner?.value),
    privileged: privileged.value,
    ...(ignore.length > 0 && {ignore: ignore.map(({value}) => value)}),
    ...(mirror.value && {mirror: true}),
  }
}
