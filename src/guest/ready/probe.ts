import {type FailureCode, VmctlError} from '../../model/errors.ts'
import {stripControls} from '../../model/strip.ts'
import {type CloudInitReport, type GuestPaths, parseBootId, parseProbe, probeCommand} from './cloud-init-result.ts'
import type {GuestConnection} from '../ssh/connection.ts'
import type {Watch} from './watch.ts'

export interface ProbeOutcome {
  readonly bootId: string | undefined
  /** `degraded`: cloud-init finished, with problems that it could recover from. */
  readonly cloudInit: 'done' | 'absent' | 'degraded'
  readonly warnings: readonly string[]
}

export interface ProbeSettings {
  readonly expectCloudInit: boolean
  readonly cloudInitTimeoutMs?: number
  readonly paths: GuestPaths
}

// 10 s in one command: a wait that nobody is left to hear ends soon.
const rounds = 50

/**
 * Asks the guest which boot this is and, if it got a seed, how cloud-init fared, waiting for that as long as it takes.
 * @throws VmctlError `vmctl::cloudinit::failed` with what it reports, `vmctl::cloudinit::timed_out` by the watch
 */
export const probeGuest = async (connection: GuestConnection, watch: Watch, settings: ProbeSettings): Promise<ProbeOutcome> => {
  const {expectCloudInit, cloudInitTimeoutMs = 600_000, paths} = settings
  for (let first = true; ; first = false) {
    let output = ''
    let bootId: string | undefined
    const {code} = await connection.exec(probeCommand(paths, expectCloudInit ? rounds : 0), {
      signal: watch.signal,
      onStdout: (chunk) => {
        output += chunk.toString()
        if (bootId !== undefined) return
        bootId = parseBootId(output)
        if (bootId === undefined) return
        watch.reached('boot-id', bootId)
        if (first && expectCloudInit) watch.allow({ms: cloudInitTimeoutMs, ...slowCloudInit})
      },
    })
    // sshd ends its sessions when it is restarted or the guest goes down.
    if (code === null)
      throw new VmctlError('vmctl::ssh::connection_lost', 'The shell in the guest was ended while vmctl waited for the guest.')
    if (code !== 0)
      throw new VmctlError('vmctl::ssh::failed', `The user cannot run a shell command in the guest (status ${code ?? 'unknown'}).`)
    if (!expectCloudInit) return {bootId: bootId || undefined, cloudInit: 'absent', warnings: []}
    const report = parseProbe(output)
    if (report.state === 'running') continue
    const outcome = judge(report)
    watch.reached('cloud-init', outcome.cloudInit)
    return {bootId: bootId || undefined, ...outcome}
  }
}

const slowCloudInit = {code: 'vmctl::cloudinit::timed_out' as FailureCode, message: 'cloud-init did not finish'}

const judge = (report: Exclude<CloudInitReport, {readonly state: 'running'}>): Pick<ProbeOutcome, 'cloudInit' | 'warnings'> => {
  if (report.state !== 'done') {
    const why = report.state === 'disabled' ? 'cloud-init is switched off in the guest' : 'the guest has no cloud-init'
    return {cloudInit: 'absent', warnings: [`The cloud-init seed was not used: ${why}.`]}
  }
  const say = (messages: readonly string[]): readonly string[] => messages.map((message) => stripControls(message))
  if (report.errors.length > 0) {
    throw new VmctlError('vmctl::cloudinit::failed', `cloud-init failed in the guest:\n${say(report.errors).join('\n')}`, {
      details: {errors: report.errors},
    })
  }
  const warnings = say(report.recoverable).map((message) => `cloud-init: ${message}`)
  // DataSourceNone is what is left when no source was found, ours included.
  if (report.datasource?.startsWith('DataSourceNone')) warnings.push('cloud-init did not find its seed.')
  return {cloudInit: warnings.length > 0 ? 'degraded' : 'done', warnings}
}
