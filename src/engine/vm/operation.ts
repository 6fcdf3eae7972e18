import type {OperationOptions} from '../../hypervisor/hypervisor.ts'
import type {Engine} from '../engine.ts'

export const operation = (engine: Engine): OperationOptions => ({
  signal: engine.signal,
  // What a backend has to say is about the host, so it is said once for all VMs.
  notify: (message) => void engine.emit({type: 'vm.notice', message}),
})
