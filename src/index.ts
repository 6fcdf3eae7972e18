/** The library: every name that a program may import from `vmctl`. `docs/library.md` shows them at work. */
export {openEngine, type Engine, type EngineOptions} from './engine/engine.ts'
export type {EngineEvent, EventListener} from './engine/events.ts'
export {converge, planAll, type ConvergeOptions} from './engine/converge/converge.ts'
export type {VmResult} from './engine/converge/result.ts'
export type {Action, PlanStep, Verb, VmPlan} from './engine/plan/vm-plan.ts'
export {create, destroy, resume, start, stop, suspend, type LifecycleResult} from './engine/vm/lifecycle.ts'
export {list, status, type VmStatus, type VmSummary} from './engine/show/inspect.ts'
export {openConsole} from './engine/show/console.ts'
export {openPs, waitForHealth, type Ps, type PsRow, type PsScope} from './engine/show/ps.ts'
export {logFiles, readLog} from './engine/show/logs.ts'
export {connectGuest, guestAddress} from './engine/reach/guest.ts'
export {asGuest} from './engine/reach/session.ts'
export {sshKeys} from './engine/reach/identity.ts'
export {requireVm} from './store/store.ts'
export {specFromOptions, type SpecOptions} from './engine/make/spec.ts'
export {examine} from './engine/show/doctor.ts'
export type {Check} from './model/check.ts'
export type {Extension} from './engine/extensions.ts'

export {discoverVmfile as discover, type LoadOptions, type Vmfile} from './vmfile/index.ts'
export {loadVmfile, parseVmfile, readVmfile as parse} from './engine/load.ts'
export {resolveSpec as resolve} from './engine/vm/resolve.ts'
export {expandTilde, resolvePath} from './host/paths.ts'

export {
  convertImage,
  createOverlay,
  detectFormat,
  downloadImage,
  ensureImage,
  findImage,
  inspectImage,
  listImages,
  removeImage,
  type CachedImage,
  type ImageEvent,
  type ImageStore,
} from './image/index.ts'

export {generateKeyPair as generateSshKeypair, fingerprint, type KeyPair} from './guest/keys/keys.ts'
export {connect, type ConnectOptions, type GuestConnection} from './guest/ssh/ssh.ts'
export {exec, execStreaming} from './guest/commands.ts'
export {download, upload} from './guest/transfer.ts'
export {waitUntilReady as connectWithRetry, type ReadyGuest} from './guest/ready/ready.ts'

export {prepareSteps, type PreparedStep} from './provision/run/declare.ts'
export {decideSteps, type Request, type StepVerdict} from './provision/run/decide.ts'
export {runSteps, type ProvisionEvent} from './provision/run/run.ts'
export {noopHypervisor} from './hypervisor/noop/index.ts'
export {qemuHypervisor} from './hypervisor/qemu/index.ts'

export {failures, type FailureCode} from './engine/failures.ts'
export {isVmctlError, VmctlError, type Problem} from './model/errors.ts'
export {frame} from './model/frame.ts'
export * from './plugin.ts'
