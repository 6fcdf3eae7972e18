import {homedir} from 'node:os'
import {join} from 'node:path'

import {readIfExists} from '../../host/files.ts'
import {lastLines, run} from '../../host/process.ts'
import {messageOf} from '../../model/errors.ts'

/** Who asks: a user, or a token that a registry gives out others for. Neither is ever shown or kept. */
export type Credentials =
  | {readonly kind: 'user'; readonly user: string; readonly password: string}
  | {readonly kind: 'identity'; readonly token: string}

export interface FoundCredentials {
  readonly credentials?: Credentials
  /** What could not be read, for the message when it turns out that credentials are needed. */
  readonly problems: readonly string[]
}

/** Docker Hub is logged in to under an address of its own. */
const dockerHub = 'https://index.docker.io/v1/'

interface ConfigFile {
  readonly auths: Readonly<Record<string, unknown>>
  readonly credHelpers: Readonly<Record<string, unknown>>
  readonly credsStore: unknown
}

/**
 * The credentials that `docker login`, `podman login` and their like have kept for a repository. Files that are named come before
 * those at their usual places.
 */
export const findCredentials = async (
  {registry, repository}: {readonly registry: string; readonly repository: string},
  {env, signal}: {readonly env: NodeJS.ProcessEnv; readonly signal: AbortSignal},
): Promise<FoundCredentials> => {
  const problems: string[] = []
  for (const path of configFiles(env)) {
    try {
      const config = await readConfig(path)
      const credentials = config && (await fromConfig(config, {registry, repository}, signal))
      if (credentials) return {credentials, problems}
    } catch (error) {
      signal.throwIfAborted()
      problems.push(`${path}: ${messageOf(error)}`)
    }
  }
  return {problems}
}

const configFiles = (env: NodeJS.ProcessEnv): readonly string[] => [
  ...(env.REGISTRY_AUTH_FILE ? [env.REGISTRY_AUTH_FILE] : []),
  ...(env.DOCKER_CONFIG ? [join(env.DOCKER_CONFIG, 'config.json')] : []),
  ...(env.XDG_RUNTIME_DIR ? [join(env.XDG_RUNTIME_DIR, 'containers', 'auth.json')] : []),
  join(env.HOME || homedir(), '.docker', 'config.json'),
]

const readConfig = async (path: string): Promise<ConfigFile | undefined> => {
  const text = await readIfExists(path)
  if (text === undefined) return undefined
  const {auths, credHelpers, credsStore} = objectOf(parsed(text))
  return {auths: objectOf(auths), credHelpers: objectOf(credHelpers), credsStore}
}

/** The parser's own message may quote what stands in the file. */
const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error('it is not JSON.')
  }
}

interface Place {
  readonly registry: string
  readonly repository: string
}

/** A helper for this registry, else what the file itself has, else the helper for all registries. */
const fromConfig = async (config: ConfigFile, place: Place, signal: AbortSignal): Promise<Credentials | undefined> => {
  const server = place.registry === 'docker.io' ? dockerHub : place.registry
  const helper = config.credHelpers[place.registry] ?? config.credHelpers[server]
  if (typeof helper === 'string') return askHelper(helper, server, signal)
  for (const name of namesOf(place)) {
    const written = writtenCredentials(objectOf(config.auths[name]))
    if (written) return written
  }
  return typeof config.credsStore === 'string' && config.credsStore !== '' ? askHelper(config.credsStore, server, signal) : undefined
}

/** As Docker writes a registry, and as Podman does, which tells apart whose repository it is: the most telling name first. */
const namesOf = ({registry, repository}: Place): readonly string[] => {
  const parts = repository.split('/')
  const narrow = parts.map((_, index) => `${registry}/${parts.slice(0, parts.length - index).join('/')}`)
  const hub = registry === 'docker.io' ? [dockerHub, 'index.docker.io', 'https://docker.io'] : []
  return [...narrow, registry, `https://${registry}`, `https://${registry}/v1/`, `https://${registry}/v2/`, ...hub]
}

const writtenCredentials = ({auth, username, password, identitytoken}: Readonly<Record<string, unknown>>): Credentials | undefined => {
  if (typeof identitytoken === 'string' && identitytoken !== '') return {kind: 'identity', token: identitytoken}
  if (typeof username === 'string' && typeof password === 'string' && username !== '') return {kind: 'user', user: username, password}
  if (typeof auth !== 'string' || auth === '') return undefined
  const pair = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '')
  const colon = pair.indexOf(':')
  if (colon < 1) throw new Error('an `auth` in it is not a user and a password.')
  return {kind: 'user', user: pair.slice(0, colon), password: pair.slice(colon + 1)}
}

/** What programs that keep credentials say when they have none, which is no failure. */
const hasNone = /credentials not found|no credentials|not found in/i

const askHelper = async (name: string, server: string, signal: AbortSignal): Promise<Credentials | undefined> => {
  if (!/^[A-Za-z0-9][\w.-]*$/.test(name)) throw new Error('it names a credential helper in a way that no program is called.')
  const program = `docker-credential-${name}`
  const {exitCode, stdout, stderr} = await run(program, ['get'], {input: server, signal, timeoutMs: 30_000})
  if (exitCode !== 0) {
    if (hasNone.test(stdout) || hasNone.test(stderr)) return undefined
    throw new Error(`${program} ended with status ${exitCode}: ${lastLines(stderr, 1).slice(0, 200)}`)
  }
  const {Username: user, Secret: secret} = objectOf(parsed(stdout))
  if (typeof user !== 'string' || typeof secret !== 'string' || secret === '') return undefined
  return user === '<token>' ? {kind: 'identity', token: secret} : {kind: 'user', user, password: secret}
}

const objectOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
