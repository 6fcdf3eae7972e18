import type {Check} from './check.ts'
import {statfs} from 'node:fs/promises'

import {lastLines, run} from '../../host/process.ts'
import {howToInstall, type PackageName} from '../../host/packages.ts'
import {findFirmware} from '../../hypervisor/qemu/firmware.ts'
import {defaultBinary, describeVerdict, isSlower, judgeAccelerator, type Verdict} from '../../hypervisor/qemu/accelerator.ts'
import {messageOf} from '../../model/errors.ts'
import {formatSize} from '../../model/quantity.ts'
import {examineStacks} from './doctor-stacks.ts'
import type {Engine} from '../engine.ts'

/** Looks at everything that vmctl needs from this computer, by running it. */
export const examine = async (engine: Engine): Promise<Check[]> => {
  const qemu = await program(engine, {name: 'qemu', command: [engine.env.VMCTL_QEMU || defaultBinary, '--version'], need: 'fail'})
  const accelerators = qemu.status === 'ok' ? await examineAccelerators(engine) : []
  return [
    {name: 'node', status: 'ok', detail: process.version},
    ...examineProcessor(process.arch),
    qemu,
    await program(engine, {name: 'qemu-img', command: ['qemu-img', '--version'], need: 'fail'}),
    ...accelerators,
    await program(engine, {name: 'ssh', command: ['ssh', '-V'], need: 'warn'}),
    await examineFirmware(),
    await program(engine, {name: 'iproute', command: ['ip', '-V'], need: 'warn'}),
    ...(await examineStacks()),
    await examineState(engine),
  ]
}

const uses: Partial<Record<PackageName, string>> = {ssh: '`vmctl ssh`', iproute: '`network "tap"`', ovmf: '`firmware "uefi"`'}

const program = async (
  engine: Engine,
  {name, command: [file = '', ...args], need}: {name: PackageName; command: readonly string[]; need: 'warn' | 'fail'},
): Promise<Check> => {
  try {
    const {exitCode, stdout, stderr} = await run(file, args, {timeoutMs: 10_000, signal: engine.signal})
    const version = (stdout || stderr).split('\n')[0] ?? ''
    if (exitCode === 0) return {name, status: 'ok', detail: version}
    return {name, status: need, detail: `${file} does not run: ${lastLines(stderr, 1)}`, help: await howToInstall(name)}
  } catch (error) {
    engine.signal.throwIfAborted()
    const use = uses[name]
    return {name, status: need, detail: `${messageOf(error)}${use ? ` Needed for ${use}.` : ''}`, help: await howToInstall(name)}
  }
}

/** Guests are x86-64 whatever the host is. */
const examineProcessor = (processor: string): Check[] =>
  processor === 'x64'
    ? []
    : [
        {
          name: 'processor',
          status: 'warn',
          detail: `this host is ${processor}: guests are x86-64, so TCG emulates them, many times slower; ${processor} images cannot be run yet`,
        },
      ]

/** KVM is wanted but not needed; TCG must work in any case. */
const examineAccelerators = async (engine: Engine): Promise<Check[]> => {
  const options = {stateDirectory: engine.store.directory, signal: engine.signal, fresh: true}
  const kvm = await judgeAccelerator(engine.env.VMCTL_QEMU || defaultBinary, 'kvm', options)
  const tcg = await judgeAccelerator(engine.env.VMCTL_QEMU || defaultBinary, 'tcg', options)
  const [aboutKvm, aboutTcg] = await Promise.all([describeVerdict('kvm', kvm), describeVerdict('tcg', tcg)])
  return [
    await examineKvm(kvm, aboutKvm),
    tcg.works
      ? {name: 'tcg', status: 'ok', detail: aboutTcg}
      : {name: 'tcg', status: kvm.works ? 'warn' : 'fail', detail: aboutTcg, help: await howToInstall('qemu')},
  ]
}

const examineKvm = async (verdict: Verdict, detail: string): Promise<Check> => {
  if (!verdict.works) return {name: 'kvm', status: 'warn', detail, help: kvmHelp}
  if (!isSlower(verdict)) return {name: 'kvm', status: 'ok', detail}
  return {
    name: 'kvm',
    status: 'warn',
    detail: `${detail}; TCG is used`,
    help: 'In a VM, let its host pass hardware virtualization on (nested virtualization); on a physical machine, enable VT-x or AMD-V in the firmware.',
  }
}

const kvmHelp =
  'Enable VT-x or AMD-V in the firmware, load the kernel module (`sudo modprobe kvm_intel` or `kvm_amd`), and join the group kvm (`sudo usermod -aG kvm $USER`). Until then guests run under TCG, many times slower.'

const examineFirmware = async (): Promise<Check> => {
  try {
    const {code} = await findFirmware({type: 'uefi', secureBoot: false}, 'q35')
    return {name: 'uefi', status: 'ok', detail: code}
  } catch (error) {
    return {name: 'uefi', status: 'warn', detail: `${messageOf(error)} Needed for ${uses.ovmf}.`, help: await howToInstall('ovmf')}
  }
}

const enoughBytes = 5 * 2 ** 30

const examineState = async (engine: Engine): Promise<Check> => {
  const {bavail, bsize} = await statfs(engine.store.directory)
  const free = bavail * bsize
  const detail = `${engine.store.directory}, ${formatSize(free)} free`
  if (free >= enoughBytes) return {name: 'state', status: 'ok', detail}
  return {
    name: 'state',
    status: 'warn',
    detail,
    help: 'Images and disks need room: free some, or choose another directory with VMCTL_STATE_DIR.',
  }
}
