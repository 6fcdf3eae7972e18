import {dirname} from 'node:path'

import type {VmSpec} from '../model/vm.ts'
import {type PreparedStep, prepareSteps} from '../provision/declare.ts'
import {sshUser} from './access.ts'
import type {Engine} from './engine.ts'

/** The provision steps of a spec, ready to run. Reads the local files that they name. */
export const stepsOf = (engine: Engine, spec: VmSpec, vmfilePath?: string): Promise<PreparedStep[]> =>
  prepareSteps(spec.provision, engine.provisioners, {
    user: sshUser({spec}),
    ...(vmfilePath !== undefined && {directory: dirname(vmfilePath)}),
  })
