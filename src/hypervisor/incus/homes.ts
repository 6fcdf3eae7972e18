import {type Failure, isFailure, isVmctlError, VmctlError} from '../../model/errors.ts'
import type {HomeAccess, HomeServers, HomeToken} from '../home-servers.ts'
import {fingerprintOfCertificate, makeCredentials} from './api/certificate.ts'
import {at, type IncusClient, openIncus} from './api/client.ts'
import {list, shape, text} from './api/read.ts'
import {examineHome} from './examine.ts'
import {incusFailures} from './failures.ts'

/** Somebody waits at the terminal, and an address that is wrong will not become right. */
const patienceMs = 5000

/** Incus servers as homes. */
export const incusHomes: HomeServers = {
  makeCredentials: (name) => makeCredentials(`vmctl ${name}`),

  readToken(words) {
    const invalid = (why: string): VmctlError => new VmctlError('vmctl::home::token_invalid', `The token cannot be used: ${why}.`)
    const said = tokenIn(words)
    if (!said) throw invalid('it is not one that Incus has made')
    const {fingerprint, addresses, expires_at: expires = ''} = said
    const until = Date.parse(expires)
    // Without an end, the year is 1.
    if (until > 0 && until < Date.now()) throw invalid(`it was good until ${expires}`)
    return {fingerprint: fingerprint.toLowerCase(), urls: addresses.map((address) => `https://${address}`)} satisfies HomeToken
  },

  async join(access, {signal, token}) {
    await using client = await openIncus({...access, patienceMs})
    if (!(await isTrusted(client, signal))) await useToken(client, token, signal)
    return await projectOf(client, access, signal)
  },

  async leave(access, {signal}) {
    if (!access.credentials) return
    await using client = await openIncus({...access, patienceMs})
    const fingerprint = fingerprintOfCertificate(access.credentials.certificate)
    try {
      await client.run({method: 'DELETE', path: at('certificates', fingerprint), doing: 'forget the certificate of this home', signal})
    } catch (error) {
      // It has forgotten it already.
      if (isFailure<Failure>(error, incusFailures.untrusted, incusFailures.notFound)) return
      // One that is restricted may not even remove itself.
      if (!isVmctlError(error)) throw error
      throw error.reword({message: `${error.message} There, \`incus config trust remove ${fingerprint.slice(0, 12)}\` does it.`})
    }
  },

  examine: examineHome,
}

interface Token {
  readonly fingerprint: string
  readonly addresses: readonly string[]
  readonly expires_at?: string
}

const tokenIn = (words: string): Token | undefined => {
  try {
    const said = JSON.parse(Buffer.from(words.trim(), 'base64').toString()) as Partial<Token> & {readonly secret?: unknown}
    const {fingerprint, addresses, secret} = said
    const isWhole = typeof fingerprint === 'string' && /^[0-9a-f]{64}$/i.test(fingerprint) && typeof secret === 'string'
    return isWhole && Array.isArray(addresses) && addresses.every((one) => typeof one === 'string') ? (said as Token) : undefined
  } catch {
    return undefined
  }
}

const trust = shape<{readonly auth: string}>({auth: text})

const isTrusted = async (client: IncusClient, signal: AbortSignal): Promise<boolean> =>
  (await client.get({path: '/1.0', doing: 'look at the server', signal}, trust)).auth === 'trusted'

const useToken = async (client: IncusClient, token: string | undefined, signal: AbortSignal): Promise<void> => {
  const server = client.server()
  if (token === undefined)
    throw new VmctlError(incusFailures.untrusted, `The Incus server ${server} does not know this home yet, and there is no token.`)
  try {
    await client.run({
      method: 'POST',
      path: at('certificates'),
      json: {type: 'client', trust_token: token.trim()},
      doing: 'trust this home',
      signal,
      // A token is good for once.
      lookUp: async () => ((await isTrusted(client, signal)) ? {} : undefined),
    })
  } catch (error) {
    if (isFailure<Failure>(error, incusFailures.untrusted, incusFailures.refused)) {
      throw new VmctlError(
        'vmctl::home::token_invalid',
        `The Incus server ${server} does not accept the token: it was used, has expired or was taken back.`,
        {cause: error},
      )
    }
    throw error
  }
  if (!(await isTrusted(client, signal)))
    throw new VmctlError(incusFailures.untrusted, `The Incus server ${server} took the token and does not trust this home.`)
}

const projects = list(shape<{readonly name: string}>({name: text}))

const projectOf = async (client: IncusClient, {project}: HomeAccess, signal: AbortSignal): Promise<{readonly project?: string}> => {
  const look = {path: at('projects'), query: {recursion: '1', project: undefined}, doing: 'list the projects', signal}
  const names = (await client.get(look, projects)).map(({name}) => name)
  if (project !== undefined && names.includes(project)) return {project}
  const known = names.length === 0 ? 'none' : names.toSorted().join(', ')
  if (project !== undefined)
    throw new VmctlError(
      incusFailures.notFound,
      `The Incus server ${client.server()} shows this home no project ${project}; it shows: ${known}.`,
    )
  if (names.includes('default')) return {}
  if (names.length === 1) return {project: names[0]!}
  throw new VmctlError(incusFailures.restricted, `This home is not for the project default of ${client.server()}; it is for: ${known}.`, {
    help: 'Say which by `--project NAME`.',
  })
}
