import {exitCodeOf, exitCodes, isVmctlError, messageOf, type Problem, severalFailed, about} from '../../model/errors.ts'
import {type VmSpec, isAlive} from '../../model/vm.ts'
import {readVm} from '../../store/store.ts'
import type {Vmfile} from '../../vmfile/index.ts'
import {type Engine, hypervisorFor, observe} from '../engine.ts'

/** A VM that its backend cannot run, and why. */
interface Refusal {
  readonly spec: VmSpec
  readonly error: unknown
}

const ask = async (engine: Engine, specs: readonly VmSpec[]): Promise<readonly Refusal[]> => {
  const answers = await Promise.allSettled(specs.map(async (spec) => (await hypervisorFor(engine, spec)).check(spec)))
  engine.signal.throwIfAborted()
  return specs.flatMap((spec, index) => {
    const answer = answers[index]
    return answer?.status === 'rejected' ? [{spec, error: about(answer.reason, {vm: spec.name})}] : []
  })
}

/**
 * Asks the backend about those VMs that are not running, before anything is made for any of them: no stack comes up in part for what could
 * have been read in the file.
 * @throws VmctlError what the backend says; several of them as `vmctl::vms::failed`, each told by an event
 */
export const requireRunnable = async (engine: Engine, specs: readonly VmSpec[]): Promise<void> => {
  const atRest = await Promise.all(specs.map(async (spec) => ((await isRunning(engine, spec.name)) ? [] : [spec])))
  const refusals = await ask(engine, atRest.flat())
  const [first, ...others] = refusals
  if (!first) return
  if (others.every(({error}) => messageOf(error) === messageOf(first.error))) throw first.error
  const failed = refusals.map(({spec, error}) => ({name: spec.name, error}))
  for (const {name, error} of failed) await engine.emit({type: 'vm.failed', vm: name, error})
  throw severalFailed(failed, {of: specs.length, details: {refused: failed.map(({name, error}) => ({name, message: messageOf(error)}))}})
}

/** A VM that cannot be looked at is told of in its turn. */
const isRunning = async (engine: Engine, name: string): Promise<boolean> => {
  const vm = await readVm(engine.store, name).catch(() => undefined)
  if (!vm) return false
  return isAlive(await observe(engine, vm))
}

/** What the backend says about the VMs of a file, as problems of it; what only this host lacks is a warning, since another host may have it. */
export const problemsOnBackend = async (engine: Engine, vmfile: Vmfile): Promise<readonly Problem[]> => {
  const problems = (await ask(engine, vmfile.vms)).map(({spec, error}): Problem => {
    const place = vmfile.places?.get(spec.name) ?? {file: vmfile.path, line: 1, column: 1, length: 1}
    const isOfHost = !isVmctlError(error) || (exitCodeOf(error) === exitCodes.host && !ofFile.has(error.code))
    return {
      ...place,
      code: 'vmctl::vmfile::validation',
      severity: isOfHost ? 'warning' : 'error',
      message: `${isOfHost ? 'not on this host: ' : ''}${messageOf(error)}`,
      ...(isVmctlError(error) && {hint: error.help}),
    }
  })
  // The replicas of one node have one place and say the same.
  return problems.filter((problem, index) => problems.findIndex((other) => isSame(problem, other)) === index)
}

const ofFile = new Set(['vmctl::network::port_refused', 'vmctl::backend::not_available'])

const isSame = (one: Problem, other: Problem): boolean =>
  one.line === other.line && one.column === other.column && one.message === other.message
