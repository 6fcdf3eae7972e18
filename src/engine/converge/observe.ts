import {newGuest} from '../../guest/record.ts'
import {setupHashes} from '../../guest/setup/script.ts'
import {findImage} from '../../image/cache.ts'
import {isMadeFrom} from '../../image/cached-build.ts'
import {describeBuild, type LockedImage, lockedName} from '../../model/lock.ts'
import {displaySource} from '../../model/secrets.ts'
import {type BaseImage, ownsDisks, type Vm, type VmSpec} from '../../model/vm.ts'
import {emptyJournal} from '../../provision/run/journal.ts'
import {readVm} from '../../store/store.ts'
import {applyChanges} from '../../vmfile/changes.ts'
import type {Vmfile} from '../../vmfile/index.ts'
import {backendNodes, type Engine, observe} from '../engine.ts'
import {claim} from '../owner.ts'
import {placesOf, type Unselected} from '../plan/order.ts'
import {planVm} from '../plan/plan.ts'
import type {Place} from '../plan/vm-plan.ts'
import type {Observed, PlanOptions} from '../plan/vm-plan.ts'
import type {Target} from '../vm/target.ts'
import {setupOf} from '../make/attach.ts'
import {describeLayer, findLayer, type FoundLayer} from '../make/layers.ts'
import {identityOf} from '../reach/identity.ts'
import {peekRecords, readRecords} from '../vm/records.ts'
import {stepsOf} from '../make/steps.ts'

export interface LookOptions extends PlanOptions {
  readonly vmfile: Vmfile
}

/** What is wanted of one VM, and what there is. */
export interface Situation {
  readonly target: Target
  readonly observed: Observed
}

export const situationOf = async (engine: Engine, spec: VmSpec, options: LookOptions): Promise<Situation> => {
  const {image, ...seen} = await observedOf(engine, spec, options)
  const target = await targetOf(engine, spec, {...options, observed: seen})
  const found = image && target.layers && (await layerOf(engine, target, {vm: seen.vm, base: image}))
  if (!found) return {observed: seen, target}
  const {journal, layer} = found
  return {observed: {...seen, layer: {id: layer.id, text: describeLayer(found), journal}}, target: {...target, plannedLayer: layer.id}}
}

export const situationsOf = async (engine: Engine, specs: readonly VmSpec[], options: LookOptions): Promise<Map<string, Situation>> => {
  const looks = await Promise.allSettled(specs.map((spec) => situationOf(engine, spec, options)))
  return new Map(looks.flatMap((look, index) => (look.status === 'fulfilled' ? [[specs[index]?.name ?? '', look.value] as const] : [])))
}

/** The layer from which a VM would be made now. */
const layerOf = (
  engine: Engine,
  {spec, steps}: Target,
  {vm, base}: {readonly vm: Vm | undefined; readonly base: BaseImage},
): Promise<FoundLayer | undefined> => findLayer(engine, {spec, steps, base, identity: vm && identityOf(vm)})

/**
 * Finds out where each VM stands among the others. A look at all of them beforehand tells which are about to start, so
 * that a condition is checked only when somebody waits for it.
 */
export const placeAmongOthers = async (
  engine: Engine,
  specs: readonly VmSpec[],
  {options, situations}: {readonly options: LookOptions; readonly situations: ReadonlyMap<string, Situation>},
): Promise<ReadonlyMap<string, Place>> => {
  const isStarted = ({name}: VmSpec): boolean => {
    const situation = situations.get(name)
    // One that cannot be looked at is told of in its turn.
    if (!situation) return true
    const {steps} = planVm(situation.target, situation.observed, {...options, provision: false})
    return steps.some(({action}) => action === 'start')
  }
  const starters = options.verb === 'provision' ? [] : specs.filter(isStarted)
  return placesOf(specs, {
    verb: options.verb,
    starters: new Set(starters.map(({name}) => name)),
    unselected: await findUnselected(engine, specs, options.vmfile),
  })
}

const findUnselected = async (engine: Engine, specs: readonly VmSpec[], vmfile: Vmfile): Promise<readonly Unselected[]> => {
  const others = vmfile.vms.filter((spec) => !specs.includes(spec))
  // One that cannot be looked at is nothing that this verb is about.
  return Promise.all(others.map(async (spec) => ({spec, isRunning: await isRunning(engine, spec.name).catch(() => false)})))
}

const isRunning = async (engine: Engine, name: string): Promise<boolean> => {
  const vm = await readVm(engine.store, name)
  return vm !== undefined && (await observe(engine, vm)).state === 'running'
}

const targetOf = async (
  engine: Engine,
  spec: VmSpec,
  {vmfile, verb, observed, layers = true, provision}: LookOptions & {readonly observed: Observed},
): Promise<Target> => {
  // `down` must work although a script of the VMFile is gone.
  const steps = verb === 'down' ? [] : await stepsOf(engine, spec, vmfile.path)
  const setup = verb === 'up' ? await attainableSetup(engine, spec, observed) : undefined
  return {spec, vmfile: vmfile.path, steps, backends: backendNodes(engine), ...(setup && {setup}), layers: layers && provision}
}

/** What a guest that runs can get of a spec without a restart; one that is at rest gets all of it when it is started. */
const attainableSetup = async (engine: Engine, spec: VmSpec, {vm, observation}: Observed): Promise<Target['setup']> =>
  vm && ownsDisks(observation)
    ? setupHashes(await setupOf(engine, applyChanges(vm.spec, spec, {effects: new Set(['now']), backends: backendNodes(engine)})))
    : undefined

/** Also the image from which the VM would be made, when that is needed. */
interface Seen extends Observed {
  readonly image: BaseImage | undefined
}

/** Looking at an image means running qemu-img, so that is done where a disk may be made from it. The archive of a container is used where it is. */
const imageFor = async (
  engine: Engine,
  {kind, image: reference}: VmSpec,
  {isMade}: {readonly isMade: boolean},
): Promise<Pick<Seen, 'image' | 'imageIsHere'>> => {
  if (kind !== undefined || !isMade) return {image: undefined, imageIsHere: true}
  const image = await findImage(engine.images, reference, engine.lock?.find(reference)?.digests)
  return {image, imageIsHere: image !== undefined}
}

const observedOf = async (engine: Engine, spec: VmSpec, {vmfile, verb, adopt = false}: LookOptions): Promise<Seen> => {
  const found = await readVm(engine.store, spec.name)
  const {image, imageIsHere} = await imageFor(engine, spec, {isMade: verb === 'reload' || (verb === 'up' && !found)})
  if (!found) return {observation: {state: 'destroyed'}, journal: emptyJournal, guest: newGuest, imageIsHere, image}
  const {vm, isNew, notice} = await claim(engine, found, {vmfile, adopt})
  const read = verb === 'up' || verb === 'provision' ? readRecords : peekRecords
  const [observation, records] = await Promise.all([observe(engine, vm), read(vm.directory)])
  return {
    vm,
    observation,
    ...records,
    imageIsHere,
    image,
    isNewRecord: isNew,
    ...(notice !== undefined && {ownership: notice}),
    ...(await otherBuildOf(engine, vm, engine.lock?.find(spec.image))),
  }
}

/** The locked build of its image in words, when a VM is known to be made from another one. */
const otherBuildOf = async (
  {images, lock}: Engine,
  {base, spec}: Vm,
  locked: LockedImage | undefined,
): Promise<Pick<Observed, 'otherBuild'>> => {
  // Another image is a change of the VMFile, which is told as such.
  if (!locked || lockedName(spec.image) !== locked.image || (await isMadeFrom(images, base, locked.digests)) !== false) return {}
  return {otherBuild: `${lock?.name} has another build of ${displaySource(spec.image)} (${describeBuild(locked)})`}
}
