/** A provisioner of one's own. Run it after a build: node examples/library/provisioning.ts VMFILE */

import {converge, openEngine, parse, prepareSteps, quote} from 'vmctl'
import type {Provisioner} from 'vmctl/plugin'

// #region provisioner
/** provision "package" { name "curl" } */
const packageProvisioner: Provisioner<{readonly name: string}> = {
  type: 'package',
  parse({name}) {
    if (typeof name !== 'string') throw new Error('a package needs a name')
    return {name}
  },
  describe: ({name}) => `package: ${name}`,
  facts: async (settings) => settings,
  async run({name}, {guest, output, signal}) {
    const connection = await guest()
    const {code} = await connection.exec(`sudo -n apt-get install -y ${quote(name)}`, {
      onStdout: (chunk) => output('stdout', chunk),
      onStderr: (chunk) => output('stderr', chunk),
      signal,
    })
    if (code !== 0) throw new Error(`apt-get ended with ${code}`)
  },
}
// #endregion

// #region run
const engine = await openEngine({
  extensions: [{provisioners: [packageProvisioner]}],
  onEvent: (event) => {
    if (event.type === 'provision.step') process.stdout.write(`step ${event.step} of ${event.total}: ${event.title}\n`)
    if (event.type === 'provision.output') process.stdout.write(event.chunk)
  },
})
const vmfile = await parse(engine, process.argv[2] ?? 'VMFile.kdl')
await converge(engine, {vmfile, verb: 'up', provision: true})
await converge(engine, {vmfile, verb: 'provision', provision: true})
// #endregion

// #region steps
for (const spec of vmfile.vms) {
  for (const {title, hash} of await prepareSteps(spec.provision, engine.provisioners)) process.stdout.write(`${hash}  ${title}\n`)
}
// #endregion
