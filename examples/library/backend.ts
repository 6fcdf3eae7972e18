/** A backend of one's own beside the built-in ones. Run it after a build: node examples/library/backend.ts IMAGE */
import {create, destroy, noopHypervisor, openEngine, specFromOptions, start, status} from 'vmctl'
import type {Hypervisor} from 'vmctl/plugin'

// #region backend
/** Prints what it is asked to do, and lets another backend do it. */
const talkative = (inner: Hypervisor): Hypervisor => ({
  ...inner,
  name: `talkative-${inner.name}`,
  async start(vm, options) {
    process.stdout.write(`starting ${vm.name} in ${vm.directory}\n`)
    await inner.start(vm, options)
  },
})

const engine = await openEngine({
  stateDirectory: '/tmp/vmctl-example',
  extensions: [{hypervisors: [talkative(noopHypervisor())]}],
  backend: 'talkative-noop',
})
// #endregion

const [image] = process.argv.slice(2)
await create(engine, await specFromOptions({name: 'paper', image, directory: process.cwd()}))
await start(engine, 'paper')
process.stdout.write(`${(await status(engine, 'paper')).state}\n`)
await destroy(engine, 'paper')
