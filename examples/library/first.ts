// Makes a VM, runs a program in it, and removes it again: node first.ts [IMAGE]
import {connectGuest, create, destroy, exec, isVmctlError, openEngine, specFromOptions, start, status} from 'vmctl'

const name = 'first'
const interrupt = new AbortController()
process.once('SIGINT', () => interrupt.abort())

try {
  const engine = await openEngine({
    signal: interrupt.signal,
    onEvent: (event) => {
      if (event.type === 'vm.notice') process.stderr.write(`${event.vm ?? 'vmctl'}: ${event.message}\n`)
    },
  })
  const spec = await specFromOptions({
    name,
    image: process.argv[2] ?? 'debian:12',
    vcpus: 2,
    memoryBytes: 512 * 2 ** 20,
    directory: process.cwd(),
  })
  await create(engine, spec)
  try {
    await start(engine, name)
    const {state, sshPort} = await status(engine, name)
    process.stdout.write(`${name} is ${state}, SSH on port ${sshPort}\n`)
    const guest = await connectGuest(engine, name)
    const {stdout, exitCode} = await exec(guest, 'uname -a')
    process.stdout.write(`${exitCode}: ${stdout}`)
    guest.close()
  } finally {
    // With a signal of its own, so that Ctrl+C leaves nothing behind either.
    await destroy({...engine, signal: new AbortController().signal}, name)
  }
} catch (error) {
  if (interrupt.signal.aborted) {
    process.exitCode = 130
  } else if (isVmctlError(error)) {
    process.stderr.write(`${error.code}: ${error.message}\n${error.help}\n`)
    process.exitCode = error.exit
  } else {
    throw error
  }
}
