import type {BaseImage, VmSpec} from '../../model/vm.ts'
import type {PreparedStep} from '../../provision/run/declare.ts'
import {fetchImage} from './apply.ts'
import {type Engine, hypervisorFor} from '../engine.ts'
import {stepsOf} from '../make/steps.ts'

/** A spec with everything that it needs from elsewhere. */
export interface ResolvedSpec {
  readonly spec: VmSpec
  readonly image: BaseImage
  readonly steps: readonly PreparedStep[]
}

/** Makes a spec ready for its backend: checks that it can run here, fetches its image, and reads the files of its steps. */
export const resolveSpec = async (engine: Engine, spec: VmSpec): Promise<ResolvedSpec> => {
  await (await hypervisorFor(engine, spec)).check(spec)
  const [image, steps] = await Promise.all([fetchImage(engine, spec), stepsOf(engine, spec)])
  return {spec, image, steps}
}
