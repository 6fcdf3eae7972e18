/** The life of one VM without a VMFile. Run it after a build: node examples/library/life.ts IMAGE PUBLIC-KEY */
import {connectGuest, create, destroy, exec, isVmctlError, list, openEngine, specFromOptions, start, status, stop} from 'vmctl'

const [image, sshKey] = process.argv.slice(2)

// #region open
const interrupt = new AbortController()
process.once('SIGINT', () => interrupt.abort())

const engine = await openEngine({
  signal: interrupt.signal,
  onEvent: (event) => {
    if (event.type === 'vm.notice') process.stderr.write(`${event.vm}: ${event.message}\n`)
  },
})
// #endregion

// #region create
const spec = await specFromOptions({
  name: 'example',
  image,
  sshKey,
  vcpus: 2,
  memoryBytes: 512 * 2 ** 20,
  directory: process.cwd(),
})
await create(engine, spec)
await start(engine, 'example')
// #endregion

try {
  // #region use
  const guest = await connectGuest(engine, 'example')
  const {stdout, exitCode} = await exec(guest, 'uname -a')
  process.stdout.write(`${exitCode}: ${stdout}`)
  guest.close()
  // #endregion

  // #region look
  const {state, sshPort} = await status(engine, 'example')
  process.stdout.write(`${state}, SSH on port ${sshPort}\n`)
  for (const vm of await list(engine)) process.stdout.write(`${vm.name}: ${vm.state}\n`)
  // #endregion
} catch (error) {
  // #region errors
  if (!isVmctlError(error)) throw error
  process.stderr.write(`${error.code}: ${error.message}\n${error.help}\n`)
  process.exitCode = 1
  // #endregion
} finally {
  // #region end
  await stop(engine, 'example')
  await destroy(engine, 'example')
  // #endregion
}
