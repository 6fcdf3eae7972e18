import {testHypervisor} from '../src/hypervisor/contract/contract.ts'
import type {PluginTools} from '../src/engine/extensions.ts'
import type {Hypervisor} from '../src/hypervisor/hypervisor.ts'
import {VmctlError} from '../src/model/errors.ts'
import {makeVm, temporaryDirectory} from './support/builders.ts'

const example = new URL('../examples/plugin-note/paper-hypervisor.js', import.meta.url)
const {paperHypervisor} = (await import(example.href)) as {readonly paperHypervisor: (tools: PluginTools) => Hypervisor}

// The backend of docs/extending.md passes the suite that the page demands.
testHypervisor({
  create: async () => ({
    hypervisor: paperHypervisor({VmctlError}),
    makeVm: async (change = {}) => makeVm({directory: temporaryDirectory(), phase: 'prepared', ...change}),
    cleanup: async () => undefined,
  }),
})
