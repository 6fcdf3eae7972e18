import {VmctlError} from '../../model/errors.ts'
import {lockedKey, keyOfReference} from '../../model/lock.ts'
import {displaySource} from '../../model/secrets.ts'
import type {ImageReference} from '../../model/vm.ts'
import type {Engine} from '../engine.ts'
import {type ImageLock, lockPath, openImageLock} from '../lock.ts'

/** The lock of a VMFile; undefined where there can be none. */
export const openLock = ({store, signal, emit}: Engine, vmfile: string): Promise<ImageLock | undefined> =>
  openImageLock(vmfile, {
    lockDirectory: store.lockDirectory,
    signal,
    onNotice: (message) => void emit({type: 'vm.notice', message}),
  })

/**
 * The engine of a verb on a VMFile, which goes by its lock file.
 * @param references the images that the verb may need
 * @throws VmctlError `vmctl::image::not_locked` when the lock would have to change and must not, before anything is done
 */
export const goByLock = async (engine: Engine, vmfile: string, references: readonly ImageReference[]): Promise<Engine> => {
  const lock = await openLock(engine, vmfile)
  const isFrozen = engine.frozen === 'always' || (engine.frozen === 'with-lock' && lock?.exists === true)
  if (isFrozen) requireLocked(lock, {vmfile, references, isAsked: engine.frozen === 'always'})
  // Where CI alone would have it frozen and there is nothing to go by, nothing is begun either.
  const isUsed = lock && (lock.exists || engine.frozen !== 'with-lock')
  return isUsed ? {...engine, lock} : engine
}

interface Requirement {
  readonly vmfile: string
  readonly references: readonly ImageReference[]
  /** By `--frozen`, and not by the environment. */
  readonly isAsked: boolean
}

const requireLocked = (lock: ImageLock | undefined, {vmfile, references, isAsked}: Requirement): void => {
  const missing = unlockedOf(lock, references)
  if (missing.length === 0) return
  const names = missing.map(({problem}) => problem)
  throw new VmctlError(
    'vmctl::image::not_locked',
    lock?.exists
      ? `The images are frozen, and ${lock.name} would have to change: ${names.join('; ')}.`
      : `The images are frozen, and there is no ${lock?.name ?? lockPath(vmfile)} to take them from.`,
    {
      details: {lock: lock?.path ?? lockPath(vmfile), images: missing.map(({image}) => image)},
      ...(!isAsked && {help: 'Run `vmctl image lock`, and commit the lock file. With CI=true it is not changed, unless by `--no-frozen`.'}),
    },
  )
}

/** What of the images of a VMFile is not locked, or not as the VMFile has it now; each image once. */
export const unlockedOf = (
  lock: ImageLock | undefined,
  references: readonly ImageReference[],
): readonly {readonly image: string; readonly problem: string; readonly reference: ImageReference}[] =>
  lockable(references).flatMap((reference) => {
    if (lock?.find(reference)) return []
    const key = keyOfReference(reference)
    const isThere = lock?.images().some((image) => lockedKey(image) === key)
    const image = displaySource(reference)
    return [{image, reference, problem: isThere ? `${image} has another digest in the VMFile` : `${image} is not in it`}]
  })

/** The images that can be locked, each once for what is declared of it. */
export const lockable = (references: readonly ImageReference[]): readonly ImageReference[] => [
  ...new Map(
    references.flatMap((reference) => {
      const {kind, sha256 = '', sha512 = ''} = reference
      return kind === 'file' ? [] : [[`${keyOfReference(reference)} ${sha256} ${sha512}`, reference] as const]
    }),
  ).values(),
]
