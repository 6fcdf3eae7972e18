import {howToInstall} from '../../host/packages.ts'
import {programCheck} from '../../host/program-check.ts'
import type {Check} from '../../model/check.ts'
import {messageOf} from '../../model/errors.ts'
import {defaultBinary, describeVerdict, isSlower, judgeAccelerator, type Verdict} from './accelerator.ts'
import {findFirmware} from './firmware.ts'
import type {QemuOptions} from './options.ts'
import {findVirtiofsd} from './virtiofsd.ts'

interface ProbeOptions {
  readonly stateDirectory: string
  readonly signal: AbortSignal
}

/** What QEMU needs of this host, found out by running it. */
export const examineQemu = async ({binary = defaultBinary, stateDirectory}: QemuOptions, signal: AbortSignal): Promise<Check[]> => {
  const qemu = await programCheck({name: 'qemu', command: [binary, '--version'], need: 'fail', signal})
  return [
    qemu,
    await programCheck({name: 'qemu-img', command: ['qemu-img', '--version'], need: 'fail', signal}),
    ...(qemu.status === 'ok' ? await examineAccelerators(binary, {stateDirectory, signal}) : []),
    await examineFirmware(),
    await examineVirtiofsd(),
  ]
}

/** KVM is wanted but not needed; TCG must work in any case. */
const examineAccelerators = async (binary: string, given: ProbeOptions): Promise<Check[]> => {
  const options = {...given, fresh: true}
  const kvm = await judgeAccelerator(binary, 'kvm', options)
  const tcg = await judgeAccelerator(binary, 'tcg', options)
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
    return {name: 'uefi', status: 'warn', detail: `${messageOf(error)} Needed for \`firmware "uefi"\`.`, help: await howToInstall('ovmf')}
  }
}

const examineVirtiofsd = async (): Promise<Check> => {
  const found = await findVirtiofsd()
  if ('program' in found) return {name: 'virtiofsd', status: 'ok', detail: found.program}
  return {
    name: 'virtiofsd',
    status: 'warn',
    detail: `${found.reason}. Needed for shares with \`driver="virtiofs"\`; others use 9p without it.`,
    help: await howToInstall('virtiofsd'),
  }
}
