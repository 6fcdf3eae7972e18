import {group, hostPath, type KdlNode, node} from '../kdl.ts'
import {type About, all, attribute, bytesOf, children, type Element, own, textOf} from './xml.ts'

export const sizeNodes = (domain: Element, about: About): readonly KdlNode[] => {
  const most = textOf(domain, 'vcpu') ?? '1'
  const current = attribute(domain, 'vcpu', 'current')
  if (current !== undefined && current !== most)
    about(`it has ${current} CPUs, of which there could be ${most}: more cannot be added while it runs`)
  const count = Number(current ?? most)
  const isCount = Number.isInteger(count) && count > 0
  if (!isCount) about(`the number of CPUs ${JSON.stringify(current ?? most)} is left out: it is none`)
  for (const name of ['cpuset', 'placement']) {
    const value = attribute(domain, 'vcpu', name)
    if (value !== undefined && value !== 'static') about(`the ${name} ${value} of the CPUs is left out`)
  }
  return [...(isCount ? [node('vcpus', count)] : []), ...memoryNode(domain, about)]
}

/** MiB of the smallest VM. */
const leastMiB = 64

const memoryNode = (domain: Element, about: About): readonly KdlNode[] => {
  const [text, unit] = [textOf(domain, 'memory'), attribute(domain, 'memory', 'unit')]
  const bytes = bytesOf(text, unit)
  if (bytes === undefined) {
    about(
      text === undefined
        ? 'it has no memory size, and gets 1 GB'
        : `the memory ${text} ${unit ?? ''} is left out: it is no size that vmctl knows`,
    )
    return []
  }
  const size = Math.max(leastMiB, Math.ceil(bytes / 2 ** 20))
  if (size * 2 ** 20 !== bytes) about(`its memory becomes ${size} MiB: a VM has whole MiB, and at least ${leastMiB}`)
  const current = textOf(domain, 'currentMemory')
  const currentBytes = bytesOf(current, attribute(domain, 'currentMemory', 'unit'))
  if (current !== undefined && currentBytes !== bytes) about('ballooning is left out: the guest has all of its memory')
  if (all(domain, 'maxMemory').length > 0) about('maxMemory is left out: memory cannot be added while the VM runs')
  return [node('memory', `${size}MiB`)]
}

/** A loader alone says nothing: SeaBIOS is one too. */
const isUefi = (domain: Element): boolean =>
  attribute(domain, 'os', 'firmware') === 'efi' ||
  attribute(domain, 'os/loader', 'type') === 'pflash' ||
  /OVMF|edk2|AAVMF|efi/i.test(textOf(domain, 'os/loader') ?? '')

const isSecure = (domain: Element): boolean =>
  attribute(domain, 'os/loader', 'secure') === 'yes' ||
  all(domain, 'os/firmware/feature').some((feature) => own(feature, 'name') === 'secure-boot' && own(feature, 'enabled') === 'yes')

export const firmwareNodes = (domain: Element, about: About): readonly KdlNode[] => {
  const code = textOf(domain, 'os/loader') ?? ''
  const vars = attribute(domain, 'os/nvram', 'template') ?? ''
  if (!isUefi(domain)) {
    if (code !== '') about(`the BIOS ${code} is left out: vmctl takes that of QEMU; \`qemu { args "-bios" "FILE"; }\` names another`)
    return []
  }
  nameVariables(domain, about)
  const isPair = code !== '' && vars !== ''
  const alone = isPair ? '' : `${code}${vars}`
  if (alone !== '')
    about(`the firmware ${alone} is left out: vmctl takes the UEFI firmware that is installed; \`code\` and \`vars\` name a pair`)
  const settings = [
    isSecure(domain) ? node('secure-boot', true) : undefined,
    ...(isPair ? [node('code', hostPath(code)), node('vars', hostPath(vars))] : []),
  ]
  return [settings.some(Boolean) ? group('firmware', ['uefi'], settings) : node('firmware', 'uefi')]
}

const nameVariables = (domain: Element, about: About): void => {
  const state = textOf(domain, 'os/nvram') || attribute(domain, 'os/nvram/source', 'file')
  if (state)
    about(`the UEFI variables (nvram ${state}) are left out: the guest begins with those of the template, without boot entries of its own`)
}

/** The family of a versioned machine type, so that the guest gets the newest of this QEMU. */
const machineFamily = (type: string): string => {
  if (/^pc-q35(?:-|$)/.test(type)) return 'q35'
  return /^pc-i440fx(?:-|$)/.test(type) ? 'pc' : type
}

/** Where distributions have their QEMU. */
const usualEmulator = /^$|^\/usr\/(?:bin|libexec|lib\/qemu)\/(?:qemu-system-(?:x86_64|i386|aarch64)|kvm|qemu-kvm|kvm-spice)$/

export const qemuNodes = (domain: Element, about: About): readonly KdlNode[] => {
  const arch = attribute(domain, 'os/type', 'arch') ?? 'x86_64'
  if (arch !== 'x86_64') about(`the architecture ${arch} cannot be carried over: vmctl runs x86_64`)
  const type = attribute(domain, 'os/type', 'machine') ?? ''
  const isPc = (arch === 'x86_64' || arch === 'i686') && !type.startsWith('xen')
  const args = all(domain, 'qemu:commandline/qemu:arg').map((arg) => own(arg, 'value') ?? '')
  const variables = all(domain, 'qemu:commandline/qemu:env').map((one) => own(one, 'name') ?? '')
  const settings = [
    machineNode(type, isPc, about),
    cpuNode(domain, isPc, about),
    binaryNode(domain, about),
    args.length > 0 ? node('args', ...args) : undefined,
  ]
  if (args.length > 0) about('its arguments for QEMU are kept, and not checked: they name devices that this VM may not have')
  if (variables.length > 0) about(`environment variables of QEMU are left out: ${variables.join(', ')}`)
  return settings.some(Boolean) ? [group('qemu', [], settings)] : []
}

const machineNode = (type: string, isPc: boolean, about: About): KdlNode | undefined => {
  if (type === '') return undefined
  if (!isPc) {
    about(`the machine type ${type} is left out: vmctl takes the usual one`)
    return undefined
  }
  const short = machineFamily(type)
  if (short !== type) about(`the machine type ${type} becomes the newest ${short} of the QEMU that runs it`)
  return short === 'q35' ? undefined : node('machine', short)
}

const binaryNode = (domain: Element, about: About): KdlNode | undefined => {
  const emulator = textOf(domain, 'devices/emulator') ?? ''
  if (usualEmulator.test(emulator)) return undefined
  about(`the emulator ${emulator} is kept: remove \`binary\` for the one of this host`)
  return node('binary', hostPath(emulator))
}

const hostModes = ['host-passthrough', 'host-model', 'maximum']

/** The CPU of the host is what vmctl chooses itself where there is hardware acceleration. */
const cpuNode = (domain: Element, isPc: boolean, about: About): KdlNode | undefined => {
  const [cpu] = all(domain, 'cpu')
  if (!cpu) return undefined
  for (const {nodeName} of children(cpu).filter((child) => ['topology', 'numa', 'cache', 'maxphysaddr', 'vendor'].includes(child.nodeName)))
    about(`the ${nodeName} of the CPU is left out: QEMU chooses it`)
  const mode = own(cpu, 'mode') ?? 'custom'
  const isHost = hostModes.includes(mode)
  const given = textOf(cpu, 'model') || undefined
  const base = isHost ? hostModel(mode) : given
  const features = all(cpu, 'feature').flatMap((feature) => featureOf(feature, about))
  if (base === undefined || (isHost && features.length === 0)) {
    if (features.length > 0) about(`features of the CPU are left out: ${features.join(', ')}`)
    return undefined
  }
  if (!isPc) {
    about(`the CPU ${base} is left out: it is one of another architecture`)
    return undefined
  }
  return node('cpu', [base, ...features].join(','))
}

const hostModel = (mode: string): string => (mode === 'maximum' ? 'max' : 'host')

const featureOf = (feature: Element, about: About): readonly string[] => {
  const policy = own(feature, 'policy') ?? 'require'
  const sign = {force: '+', require: '+', disable: '-', forbid: '-'}[policy]
  const name = own(feature, 'name') ?? ''
  if (sign === undefined) about(`the CPU feature ${name} (${policy}) is left out`)
  return sign === undefined ? [] : [`${sign}${name}`]
}
