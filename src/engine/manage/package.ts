import {chmod, stat} from 'node:fs/promises'
import {basename, join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {clean, sealDisk} from '../../guest/programs/index.ts'
import {exec} from '../../guest/commands.ts'
import {remove} from '../../host/durable.ts'
import {hashFile} from '../../host/hash.ts'
import {lastLines} from '../../host/process.ts'
import {imageInfo} from '../../host/qemu-img.ts'
import {diskOfPackage, writePackage} from '../../image/write-package.ts'
import {about, VmctlError} from '../../model/errors.ts'
import {programText, shellFromInput} from '../../model/guest-program.ts'
import {hasShell, noShell} from '../../model/login.ts'
import type {PackageFacts, PackageFormat} from '../../model/package-format.ts'
import {withoutSecrets} from '../../model/secrets.ts'
import {stripControls} from '../../model/strip.ts'
import {isAlive, noopBackend, type Vm} from '../../model/vm.ts'
import {requireVm} from '../../store/store.ts'
import {type Engine, hypervisorOf, observe} from '../engine.ts'
import {requireWayIn} from '../plan/login.ts'
import {sshUser} from '../reach/identity.ts'
import {waitForGuest} from '../reach/wait.ts'
import {copyVm, endCopy, holdCopies, sweepCopies, unhurried} from '../vm/copy.ts'
import {operation} from '../vm/operation.ts'
import {type Output, type OutputOptions, placeOutput, planOutput, stageOutput} from './package-output.ts'

export interface PackageOptions extends OutputOptions {
  /** Whether identity, keys and traces are removed; otherwise the disk is taken as it is. */
  readonly clean: boolean
  /** Absolute paths in the guest that are not removed. */
  readonly keep: readonly string[]
  /** Version of vmctl, for the facts. */
  readonly version: string
  /** Called before a VM that runs is stopped; throws to leave it alone. */
  readonly onStop?: () => Promise<void>
}

/** What `vmctl package` has made; its `--json` shape. */
export interface Packaged {
  readonly name: string
  readonly path: string
  /** All files, that one included. */
  readonly files: readonly string[]
  readonly format: PackageFormat
  readonly sizeBytes: number
  readonly virtualSizeBytes: number
  /** Of the file at `path`. */
  readonly sha256: string
  readonly cleaned: boolean
}

/**
 * Makes an image of a VM. The VM goes on as it was: the work is done on a copy, for which a running VM is stopped and started again.
 * @throws VmctlError `vmctl::image::exists`, `vmctl::guest::clean_failed`, …; nothing is written then
 */
export const packageVm = async (engine: Engine, name: string, options: PackageOptions): Promise<Packaged> => {
  await planOutput(name, options)
  const vm = await requireVm(engine.store, name)
  await requireFit(engine, vm, options)
  if (isAlive(await observe(engine, vm))) await options.onStop?.()
  await using _copies = await holdCopies(engine, name, `vmctl package ${name}`)
  // Another one that was waited for may have written it, and the VM is not to be stopped in vain.
  const output = await planOutput(name, options)
  await engine.emit({type: 'verb.begin', vm: name, verb: 'package'})
  try {
    await sweepCopies(engine, name)
    const stage = await stageOutput(output)
    try {
      return await packageCopy(engine, name, {options, output, stage})
    } finally {
      await remove(stage)
    }
  } catch (error) {
    throw about(error, {vm: name})
  } finally {
    await engine.emit({type: 'verb.end', vm: name, verb: 'package'})
  }
}

/** Refuses what cannot work before the VM is stopped for it. */
const requireFit = async (engine: Engine, vm: Vm, {clean: isCleaned, keep}: PackageOptions): Promise<void> => {
  const hypervisor = await hypervisorOf(engine, vm)
  if (!hypervisor.clone || !hypervisor.exportDisk) {
    throw new VmctlError('vmctl::backend::not_available', `The backend ${vm.backend} cannot package a VM.`)
  }
  for (const path of keep) {
    if (path.startsWith('/') && !/[\n\0]|(?:^|\/)\.\.?(?:\/|$)/.test(path)) continue
    throw new VmctlError('vmctl::usage::invalid', `${JSON.stringify(path)} cannot be kept: it is no absolute path in the guest.`)
  }
  if (!isCleaned) return
  if (vm.backend === noopBackend) {
    throw new VmctlError('vmctl::backend::not_available', `The VM ${vm.name} is of the backend noop: there is no guest to clean.`, {
      help: 'Take its disk as it is with `--no-clean`.',
    })
  }
  requireWayIn(vm.spec, {})
  if (!hasShell(vm.spec.ssh)) throw noShell(`The guest of ${vm.name} cannot be cleaned`)
}

interface Job {
  readonly options: PackageOptions
  readonly output: Output
  readonly stage: string
}

const packageCopy = async (engine: Engine, name: string, {options, output, stage}: Job): Promise<Packaged> => {
  const copy = await copyVm(engine, name)
  try {
    if (options.clean) await cleanCopy(engine, name, {copy, options, output})
    const hypervisor = await hypervisorOf(engine, copy)
    const {name: file, ...how} = diskOfPackage(output.format)
    const disk = join(stage, file)
    await hypervisor.exportDisk?.(copy, {path: disk, ...how}, operation(engine, copy))
    const {virtualSizeBytes} = await imageInfo(disk, {format: how.format, signal: engine.signal})
    const facts = factsOf(name, copy, {options, virtualSizeBytes})
    const files = await writePackage({format: output.format, disk, facts, signal: engine.signal})
    const [{path: result}] = files
    // What still has its identity and its secrets is for nobody else.
    for (const {path} of files) await chmod(path, options.clean ? 0o644 : 0o600)
    const [sha256, {size: sizeBytes}] = [await hashFile(result), await stat(result)]
    engine.signal.throwIfAborted()
    const written = await placeOutput(output, files, {...facts, format: output.format, sizeBytes, sha256})
    return {name, path: output.path, files: written, format: output.format, sizeBytes, virtualSizeBytes, sha256, cleaned: options.clean}
  } finally {
    // Also after Ctrl+C, which has cancelled everything else.
    await endCopy(unhurried(engine), copy)
  }
}

/** How long a guest may take to power off that writes nothing any more, in milliseconds. */
const offMs = 180_000

/** Boots the copy, cleans it, and waits until it has powered itself off. */
const cleanCopy = async (
  engine: Engine,
  name: string,
  {copy, options, output}: {readonly copy: Vm; readonly options: PackageOptions; readonly output: Output},
): Promise<void> => {
  const hypervisor = await hypervisorOf(engine, copy)
  // What is told of the copy is told of the VM.
  const told: Engine = {...engine, emit: (event) => engine.emit(event.vm === copy.name ? {...event, vm: name} : event)}
  await engine.emit({type: 'vm.notice', vm: name, message: 'a copy of it, without network, is started and cleaned'})
  await hypervisor.start(copy, operation(told, copy))
  const {connection} = await waitForGuest(told, copy, {
    onStall: async (reason) => (await hypervisor.startOtherwise?.(copy, {...operation(told, copy), reason})) ?? false,
  })
  const program = [
    programText(clean, {
      root: '/',
      keep: options.keep.join('\n'),
      login: sshUser(copy),
      authorized: output.format === 'box' ? vagrantKey : '',
    }),
    sealDisk.text,
  ].join('\n')
  try {
    const {stdout, stderr} = await exec(connection, shellFromInput('vmctl-clean'), {
      stdin: program,
      privileged: true,
      signal: engine.signal,
    })
    const said = stripControls(stderr).replaceAll(/^vmctl-clean: /gm, '')
    if (!stdout.trimEnd().endsWith('sealed')) {
      throw new VmctlError(
        'vmctl::guest::clean_failed',
        `The copy of ${name} could not be cleaned: ${lastLines(said, 5) || 'the shell ended early'}`,
      )
    }
  } finally {
    connection.close()
  }
  const deadline = performance.now() + offMs
  while (isAlive(await hypervisor.observe(copy))) {
    if (performance.now() > deadline) {
      throw new VmctlError('vmctl::guest::clean_failed', `The copy of ${name} was cleaned and did not power off.`)
    }
    await sleep(200, undefined, {signal: engine.signal})
  }
  await hypervisor.stop(copy, {...operation(told, copy), timeoutMs: 0})
}

const factsOf = (
  name: string,
  {spec, base}: Vm,
  {options, virtualSizeBytes}: {readonly options: PackageOptions; readonly virtualSizeBytes: number},
): PackageFacts => {
  const {kind, source, architecture} = withoutSecrets(spec).image
  return {
    schema: 1,
    name,
    // The path of a file says nothing to others, and something about its owner.
    image: kind === 'file' ? basename(source) : source,
    ...(base.sha256 !== undefined && {imageSha256: base.sha256}),
    virtualSizeBytes,
    architecture: architecture ?? 'x86_64',
    firmware: spec.firmware?.type ?? 'bios',
    ...(spec.firmware?.secureBoot && {secureBoot: true}),
    user: sshUser({spec}),
    cleaned: options.clean,
    createdAt: new Date().toISOString(),
    vmctl: options.version,
  }
}

/** The public half of the key pair that all Vagrant boxes have; Vagrant replaces it at the first `vagrant up`. */
const vagrantKey =
  'ssh-rsa AAAAB3NzaC1yc2EAAAABIwAAAQEA6NF8iallvQVp22WDkTkyrtvp9eWW6A8YVr+kz4TjGYe7gHzIw+niNltGEFHzD8+v1I2YJ6oXevct1YeS0o9HZyN1Q9qgCgzUFtdOKLv6IedplqoPkcmF0aYet2PkEDo3MlTBckFXPITAMzF8dJSIFo9D8HfdOV0IAdx4O7PtixWKn5y2hMNG0zQPyUecp4pzC6kivAIhyfHilFR61RGL+GPXQ2MWZWFYbAGjyiYJnAmCP3NOTd0jMZEnDkbUvxhMmBYSdETk1rRgm+R4LOzFUGaHqHDLKLX+FIPKcF96hrucXzcWyLbIbEgE98OHlnVYCzRdK8jlqm8tehUc9c9WhQ== vagrant insecure public key'
