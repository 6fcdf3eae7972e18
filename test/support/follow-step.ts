/** A process of its own that runs one script as a provision step, or goes on with it: `node follow-step.ts DIRECTORY PORT KEY USER SCRIPT`. */
import {writeSync} from 'node:fs'
import {connect as dial} from 'node:net'
import {basename} from 'node:path'

import {asGuest, openSession} from '../../src/engine/reach/session.ts'
import {sshCandidates} from '../../src/guest/ssh/candidates.ts'
import {connect} from '../../src/guest/ssh/ssh.ts'
import type {Vm} from '../../src/model/vm.ts'
import {prepareSteps} from '../../src/provision/run/declare.ts'
import type {Provisioner} from '../../src/provision/provisioner.ts'
import {runSteps} from '../../src/provision/run/run.ts'
import {shellProvisioner} from '../../src/provision/steps/shell.ts'

const [directory = '', port = '', keyPath = '', user = '', script = ''] = process.argv.slice(2)
using session = openSession(async () =>
  asGuest(
    await connect({
      stream: dial(Number(port), '127.0.0.1'),
      user,
      auth: await sshCandidates({explicit: keyPath}),
      verifyHostKey: () => true,
    }),
  ),
)
const provisioners = new Map([['shell', shellProvisioner as Provisioner]])
const steps = await prepareSteps([{type: 'shell', settings: {script, args: [], env: {}, privileged: false}}], provisioners)
await runSteps({id: basename(directory), name: 'web', directory} as Vm, steps, {
  provisioners,
  guest: session.guest,
  onEvent: ({type}) => void (type === 'provision.output' && writeSync(1, '.')),
  signal: new AbortController().signal,
})
