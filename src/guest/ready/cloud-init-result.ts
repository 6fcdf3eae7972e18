import {shellCommand, programText} from '../../model/guest-program.ts'
import {awaitCloudInit} from '../programs/index.ts'

/** Where the guest keeps what is asked of it; tests point them elsewhere. */
export interface GuestPaths {
  readonly bootId: string
  /** cloud-init's own directory for this boot ("Status", cloud-init documentation). */
  readonly cloudInit: string
}

export const guestPaths: GuestPaths = {bootId: '/proc/sys/kernel/random/boot_id', cloudInit: '/run/cloud-init'}

/** What cloud-init says of itself. `running` means: ask again. */
export type CloudInitReport =
  | {readonly state: 'absent' | 'disabled' | 'running'}
  | {
      readonly state: 'done'
      readonly errors: readonly string[]
      readonly recoverable: readonly string[]
      readonly datasource: string | undefined
    }

const marker = '-- vmctl --'

/** The command whose output `parseProbe` understands; `rounds` 0 asks for the boot id only. */
export const probeCommand = (paths: GuestPaths, rounds: number): string =>
  shellCommand(programText(awaitCloudInit, {boot_id: paths.bootId, directory: paths.cloudInit, rounds, marker}))

/** The boot id comes first, so it can be read while cloud-init is still waited for; undefined until it is complete. */
export const parseBootId = (output: string): string | undefined => {
  const [head, rest] = output.split(`${marker}\n`)
  return rest === undefined ? undefined : (head ?? '').trim()
}

export const parseProbe = (output: string): CloudInitReport => {
  const [, state, result, status] = output.split(`${marker}\n`).map((part) => part.trim())
  if (state === 'disabled') return {state}
  if (state === 'running') return parseStatus(record(json(result)))
  if (state !== 'done') return {state: 'absent'}
  const {errors, datasource} = record(record(json(result)).v1)
  return {
    state: 'done',
    errors: strings(errors),
    recoverable: recoverableErrors(record(json(status)).v1),
    datasource: typeof datasource === 'string' ? datasource : undefined,
  }
}

/** The answer of `cloud-init status --format json`; `done`, `degraded done` and `error` are the ends that it knows. */
const parseStatus = ({status, errors, recoverable_errors: recoverable, datasource}: Readonly<Record<string, unknown>>): CloudInitReport => {
  if (status === 'disabled') return {state: 'disabled'}
  if (status !== 'error' && !String(status).endsWith('done')) return {state: 'running'}
  const found = strings(errors)
  return {
    state: 'done',
    errors: status === 'error' && found.length === 0 ? ['it does not say why'] : found,
    recoverable: byLevel(recoverable),
    datasource: typeof datasource === 'string' ? datasource : undefined,
  }
}

/** Each stage of status.json has them by level (cloud-init 23.4 and later): `{"WARNING": ["…"]}`. */
const recoverableErrors = (stages: unknown): readonly string[] =>
  Object.values(record(stages)).flatMap((stage) => byLevel(record(stage).recoverable_errors))

const byLevel = (errors: unknown): readonly string[] =>
  Object.entries(record(errors)).flatMap(([level, messages]) => strings(messages).map((message) => `${level}: ${message}`))

const json = (text: string | undefined): unknown => {
  try {
    return JSON.parse(text ?? '')
  } catch {
    return undefined
  }
}

const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}

const strings = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(String) : [])
