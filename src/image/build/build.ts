import {readFile, stat} from 'node:fs/promises'
import {join} from 'node:path'

import {convertImage} from '../../host/qemu-img.ts'
import {readEnd, writeFileAtomic} from '../../host/files.ts'
import {remove} from '../../host/durable.ts'
import {run} from '../../host/process.ts'
import {type FailureCode, isFailure, VmctlError} from '../../model/errors.ts'
import {stripControls} from '../../model/strip.ts'
import type {ImageListener} from '../events.ts'
import type {ImageStore} from '../image-store.ts'
import type {BuildableRelease} from './releases.ts'
import {script} from './script.ts'
import {buildEnvironment, requireTools} from './tools.ts'
import {listOf, openWorkplace, sweepOutput, type Workplace} from './workplace.ts'

export interface BuildOptions {
  /** Absolute path of the image. */
  readonly output: string
  /** What the guest sees. */
  readonly sizeBytes: number
  /** Packages besides those that every image has. */
  readonly packages: readonly string[]
  /** Where packages come from; where the apt of this machine gets Debian's when absent. */
  readonly mirror?: string | undefined
  readonly securityMirror?: string | undefined
  readonly signal: AbortSignal
  readonly onEvent: ImageListener
}

/** What was built; the `--json` shape of `vmctl image build`. */
export interface BuiltImage {
  readonly name: string
  readonly path: string
  /** A list of its packages with their versions. */
  readonly packagesPath: string
  readonly format: 'qcow2'
  readonly sizeBytes: number
  readonly virtualSizeBytes: number
}

/**
 * Builds an image from packages. It appears as a whole, after the list of its packages, and replaces what is there.
 * @throws VmctlError `vmctl::image::build_failed`, `vmctl::image::download_failed`, `vmctl::image::no_space`,
 *   `vmctl::image::disk_too_small`, `vmctl::host::not_installed`
 */
export const buildDebian = async (store: ImageStore, release: BuildableRelease, options: BuildOptions): Promise<BuiltImage> => {
  const {output, sizeBytes, signal, onEvent} = options
  await requireTools()
  await sweepOutput(output)
  await using place = await openWorkplace(store, signal)
  const tell = (phase: string): void => onEvent({type: 'image.building', source: release.name, phase})
  try {
    await runScript(place, release, {...options, tell})
    tell('writing the image')
    await write(place, options)
  } catch (error) {
    if (!isFailure(error, 'vmctl::interrupted')) throw error
    await remove(place.log)
    throw error.reword({help: 'Nothing of it is left; the next build begins anew.'})
  }
  await remove(place.log)
  onEvent({type: 'image.ready', source: release.name, path: output, isFresh: true})
  const written = await stat(output)
  return {
    name: release.name,
    path: output,
    packagesPath: listOf(output),
    format: 'qcow2',
    sizeBytes: written.size,
    virtualSizeBytes: sizeBytes,
  }
}

/** The image comes last: where it is, its list is. */
const write = async ({directory}: Workplace, {output, signal}: BuildOptions): Promise<void> => {
  await writeFileAtomic(listOf(output), await readFile(join(directory, 'packages')), 0o644)
  await convertImage({path: join(directory, 'disk.raw'), format: 'raw'}, {path: output, format: 'qcow2'}, {signal})
}

type Told = BuildOptions & {readonly tell: (phase: string) => void}

const runScript = async (place: Workplace, release: BuildableRelease, {tell, ...options}: Told): Promise<void> => {
  let phase = 'preparing'
  let rest = ''
  // The log is written by the program itself, so that it can be followed, and is there whatever becomes of this process.
  const {exitCode} = await run(script, [place.directory], {
    signal: options.signal,
    env: {
      ...buildEnvironment(),
      SUITE: release.suite,
      SIZE: `${options.sizeBytes}`,
      PACKAGES: options.packages.join(' '),
      MIRROR: options.mirror ?? '',
      SECURITY_MIRROR: options.securityMirror ?? '',
      PROFILE: '',
      LOG: place.log,
    },
    onStdout: (chunk) => {
      const lines = `${rest}${chunk}`.split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) tell((phase = line))
    },
  })
  if (exitCode !== 0) throw await failureOf(exitCode, {release, phase, log: place.log})
}

interface Reason {
  readonly status?: number
  readonly words?: RegExp
  readonly code: FailureCode
  readonly help: string
}

interface Failed {
  readonly release: BuildableRelease
  readonly phase: string
  readonly log: string
}

/** What went wrong, by what the programs said at the end. */
const failureOf = async (exitCode: number | null, {release, phase, log}: Failed): Promise<VmctlError> => {
  const said = stripControls(await readEnd(log, 16 * 1024)).trimEnd()
  const {code, help} = reasons.find(({status, words}) => (status === undefined ? words?.test(said) : status === exitCode)) ?? unknown
  const text = saidOf(said)
    .map((line) => `  ${line.trim()}`)
    .join('\n')
  return new VmctlError(code, `${release.name} could not be built. While ${phase}:\n${text}`, {
    help: `${help} What was said is in ${log}, until the next build.`,
    details: {log, phase},
  })
}

/** The lines that tell of an error, without those that tell that there was one; the last ones where none does. */
const saidOf = (said: string): readonly string[] => {
  const lines = said.split('\n')
  const errors = lines.filter(
    (line) =>
      /^(?:E: |dpkg: error|[\w./-]+: )/.test(line) && !/^[IW]: |^E: (?:apt-get|mmdebstrap failed|Some index)|^dpkg: warning/.test(line),
  )
  return (errors.length > 0 ? errors : lines).slice(-4)
}

/** By the exit status of the script, or by words of its programs. */
const reasons: readonly Reason[] = [
  {
    status: 3,
    code: 'vmctl::image::disk_too_small',
    help: 'Give a larger `--size`, or fewer packages.',
  },
  {
    status: 4,
    code: 'vmctl::image::build_failed',
    help: 'It takes namespaces. For an ordinary user, `/etc/subuid` and `/etc/subgid` need a range of ids (`sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER`), and the kernel has to let users make namespaces. Or build as root.',
  },
  {
    words: /No space left on device|have enough free space/,
    code: 'vmctl::image::no_space',
    help: 'Free some space where the state directory is; a build takes about 3 GB.',
  },
  {
    words: /Could not allocate block/,
    code: 'vmctl::image::disk_too_small',
    help: 'Give a larger `--size`, or fewer packages.',
  },
  {
    words: /Unable to locate package|has no installation candidate|Version .* was not found/,
    code: 'vmctl::image::build_failed',
    help: 'Check the names of the packages.',
  },
  {
    words:
      /Could not resolve|Temporary failure|Could not connect|Unable to connect|Connection (?:failed|timed out)|Failed to fetch|does not have a Release file/,
    code: 'vmctl::image::download_failed',
    help: 'Check the network connection and the mirror (`--mirror`), then run the command again.',
  },
]

const unknown: Reason = {code: 'vmctl::image::build_failed', help: 'Correct what it says, then run the command again.'}
