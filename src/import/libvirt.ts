import {DOMParser, type Element} from '@xmldom/xmldom'

import {messageOf} from '../model/errors.ts'
import {type Draft, ImportError, importedName} from './draft.ts'
import {group, type KdlNode, node} from './kdl.ts'

/**
 * Reads the description of a libvirt domain (libvirt, "Domain XML format").
 * @throws ImportError when it is none, or when it has no disk that a VM can start from
 */
export const importDomain = (xml: string): Draft & {readonly name: string} => {
  const domain = parse(xml)
  const warnings: string[] = []
  const given = textOf(domain, 'name') ?? ''
  const name = importedName(given)
  if (name === undefined) throw new ImportError('the domain has no usable name')
  if (name !== given) warnings.push(`${given} is named ${name}`)
  const about = (message: string): void => void warnings.push(`${name}: ${message}`)
  const disk = disks(domain, about)
  if (!disk) throw new ImportError(`${name} has no disk in a file, which a VM could start from`)
  const children = [
    disk,
    node('vcpus', Number(attribute(domain, 'vcpu', 'current') ?? textOf(domain, 'vcpu') ?? 1)),
    node('memory', `${memoryMiB(domain)}MiB`),
    ...firmware(domain, about),
    ...machine(domain, about),
    ...interfaces(domain, about),
    ...devices(domain, about),
  ]
  ignored(domain, about)
  return {name, nodes: [group('vm', [name], children)], warnings}
}

type About = (message: string) => void

const parse = (xml: string): Element => {
  try {
    const problems: string[] = []
    const parser = new DOMParser({onError: (_level, message) => void problems.push(message)})
    const root = parser.parseFromString(xml, 'text/xml').documentElement
    if (problems[0] !== undefined) throw new ImportError(problems[0].split('\n')[0] ?? 'it is damaged')
    if (root?.tagName === 'domain') return root
  } catch (error) {
    throw new ImportError(`this is not XML: ${messageOf(error)}`)
  }
  throw new ImportError('this is not the XML of a libvirt domain')
}

/** The elements at a path below an element: `devices/disk`. */
const all = (element: Element, path: string): readonly Element[] =>
  path
    .split('/')
    .reduce<readonly Element[]>(
      (found, tag) => found.flatMap((one) => [...one.childNodes].filter((child): child is Element => child.nodeName === tag)),
      [element],
    )

const textOf = (element: Element, path: string): string | undefined => all(element, path)[0]?.textContent?.trim()

const attribute = (element: Element, path: string, name: string): string | undefined =>
  all(element, path)[0]?.getAttribute(name) ?? undefined

/** Units as in libvirt's virScaleInteger; KiB when absent. */
const unitBytes = (unit: string): number => {
  if (/^b(?:ytes)?$/i.test(unit)) return 1
  const power = 'kmgtpe'.indexOf(unit[0]?.toLowerCase() ?? '') + 1
  return /^.b$/i.test(unit) ? 1000 ** power : 1024 ** power
}

const memoryMiB = (domain: Element): number => {
  const bytes = Number(textOf(domain, 'memory') ?? 1024 ** 2) * unitBytes(attribute(domain, 'memory', 'unit') ?? 'KiB')
  return Math.max(64, Math.round(bytes / 2 ** 20))
}

/** The first hard disk in a file becomes the image; the others are named. */
const disks = (domain: Element, about: About): KdlNode | undefined => {
  let image: KdlNode | undefined
  for (const disk of all(domain, 'devices/disk')) {
    const kind = disk.getAttribute('device') ?? 'disk'
    const target = attribute(disk, 'target', 'dev') ?? 'a disk'
    const file = attribute(disk, 'source', 'file')
    if (kind !== 'disk') {
      if (file !== undefined) about(`${kind} ${target} (${file}) is left out`)
    } else if (disk.getAttribute('type') !== 'file' || file === undefined) {
      about(`disk ${target} is not a file (type ${disk.getAttribute('type') ?? 'unknown'}) and is left out`)
    } else if (image) {
      about(`disk ${target} (${file}) is left out: a VM has one image; copy its content to a volume`)
    } else {
      const format = attribute(disk, 'driver', 'type')
      const known = format !== undefined && ['qcow2', 'raw', 'vmdk', 'vdi', 'vhdx'].includes(format)
      image = {
        ...node('image', file),
        ...(known && {props: {format}}),
        comment: 'It is never written to: what the VM writes goes to an overlay.',
      }
    }
  }
  return image
}

/** A loader alone says nothing: SeaBIOS is one too. */
const isUefi = (domain: Element): boolean =>
  attribute(domain, 'os', 'firmware') === 'efi' ||
  attribute(domain, 'os/loader', 'type') === 'pflash' ||
  /OVMF|edk2|AAVMF|efi/i.test(textOf(domain, 'os/loader') ?? '')

const firmware = (domain: Element, about: About): KdlNode[] => {
  const loader = all(domain, 'os/loader')[0]
  const code = loader?.textContent?.trim() ?? ''
  if (!isUefi(domain)) return []
  const vars = attribute(domain, 'os/nvram', 'template')
  if (textOf(domain, 'os/nvram')) about('the UEFI variables (nvram) are left out: the guest begins with those of the template')
  const children = [
    ...(loader?.getAttribute('secure') === 'yes' ? [node('secure-boot', true)] : []),
    ...(code !== '' && vars !== undefined ? [node('code', code), node('vars', vars)] : []),
  ]
  return [children.length === 0 ? node('firmware', 'uefi') : group('firmware', ['uefi'], children)]
}

/** The family of a versioned machine type, so that the guest gets the newest of this QEMU. */
const machineFamily = (type: string): string => {
  if (type.startsWith('pc-q35')) return 'q35'
  return type.startsWith('pc-i440fx') ? 'pc' : type
}

const usualEmulator = /^$|\/(?:qemu-system-x86_64|kvm|qemu-kvm|kvm-spice)$/

const machine = (domain: Element, about: About): KdlNode[] => {
  const arch = attribute(domain, 'os/type', 'arch')
  if (arch !== undefined && arch !== 'x86_64') about(`the architecture ${arch} cannot be carried over: vmctl runs x86_64`)
  const type = attribute(domain, 'os/type', 'machine') ?? ''
  const short = machineFamily(type)
  const emulator = textOf(domain, 'devices/emulator') ?? ''
  const isUsual = usualEmulator.test(emulator)
  if (!isUsual) about(`the emulator ${emulator} is kept: remove \`binary\` for the one of this computer`)
  const args = all(domain, 'qemu:commandline/qemu:arg').map((arg) => arg.getAttribute('value') ?? '')
  const children = [
    short !== '' && short !== 'q35' ? node('machine', short) : undefined,
    cpuNode(domain, about),
    isUsual ? undefined : node('binary', emulator),
    args.length > 0 ? node('args', ...args) : undefined,
  ]
  return children.some(Boolean) ? [group('qemu', [], children)] : []
}

/** `host` is what vmctl chooses itself where there is hardware acceleration. */
const cpuNode = (domain: Element, about: About): KdlNode | undefined => {
  const [cpu] = all(domain, 'cpu')
  const model = cpu && textOf(cpu, 'model')
  if (!cpu || model === undefined || ['host-passthrough', 'host-model', 'maximum'].includes(cpu.getAttribute('mode') ?? ''))
    return undefined
  const features = all(cpu, 'feature').flatMap((feature) => {
    const policy = feature.getAttribute('policy') ?? 'require'
    const sign = {force: '+', require: '+', disable: '-', forbid: '-'}[policy]
    if (sign === undefined) about(`the CPU feature ${feature.getAttribute('name')} (${policy}) is left out`)
    return sign === undefined ? [] : [`${sign}${feature.getAttribute('name')}`]
  })
  return node('cpu', [model, ...features].join(','))
}

const interfaces = (domain: Element, about: About): KdlNode[] => {
  const [first, ...others] = all(domain, 'devices/interface')
  if (!first) return [node('network', 'none')]
  for (const other of others) {
    about(`interface ${attribute(other, 'mac', 'address') ?? 'without address'} is left out: declare a network for it`)
  }
  return [networkNode(first, about)]
}

const networkNode = (first: Element, about: About): KdlNode => {
  const type = first.getAttribute('type') ?? ''
  const source = attribute(first, 'source', type) ?? attribute(first, 'source', 'dev')
  const mac = attribute(first, 'mac', 'address')
  if (type === 'bridge' && source !== undefined) {
    return {...node('network', 'tap'), props: {bridge: source, ...(mac !== undefined && {mac})}}
  }
  if (type !== 'user') {
    const whose = source === undefined ? type : `${type} ${source}`
    about(`interface ${mac ?? 'without address'} of the ${whose} becomes user networking, with other addresses`)
  }
  return node('network', 'user')
}

const devices = (domain: Element, about: About): KdlNode[] => {
  const passed = all(domain, 'devices/hostdev').flatMap((device) => {
    const [address] = all(device, 'source/address')
    if (device.getAttribute('type') !== 'pci' || !address) {
      about(`the ${device.getAttribute('type') ?? ''} device of the host is left out: only PCI devices can be passed through`)
      return []
    }
    const part = (name: string, digits: number): string =>
      Number.parseInt(address.getAttribute(name) ?? '0', 16)
        .toString(16)
        .padStart(digits, '0')
    const rom = attribute(device, 'rom', 'file')
    const bdf = `${part('domain', 4)}:${part('bus', 2)}:${part('slot', 2)}.${part('function', 1)}`
    return [{...node('device', 'pci', bdf), ...(rom !== undefined && {props: {'rom-file': rom}})}]
  })
  const shared = all(domain, 'devices/filesystem').flatMap((share) => {
    const source = attribute(share, 'source', 'dir')
    const tag = attribute(share, 'target', 'dir')
    if (source === undefined || tag === undefined) return []
    const target = `/mnt/${importedName(tag) ?? 'share'}`
    about(`the folder ${source} (tag ${tag}) is mounted at ${target}`)
    const driver = attribute(share, 'driver', 'type') === 'virtiofs' ? {driver: 'virtiofs'} : {}
    return [{...node('share', source, target), props: {...(all(share, 'readonly').length > 0 && {'read-only': true}), ...driver}}]
  })
  return [...passed, ...shared]
}

/** What a VM has anyway (serial console, random numbers, controllers, balloon) is not worth a word. */
const ignored = (domain: Element, about: About): void => {
  const words: Readonly<Record<string, string>> = {
    graphics: 'graphical display',
    sound: 'sound card',
    redirdev: 'redirected USB device',
    tpm: 'TPM',
    watchdog: 'watchdog',
    smartcard: 'smart card',
    parallel: 'parallel port',
  }
  for (const [tag, word] of Object.entries(words)) {
    if (all(domain, `devices/${tag}`).length > 0) about(`the ${word} is left out`)
  }
  if (all(domain, 'os/kernel').length > 0) about('booting a kernel of this computer is left out: the disk must boot by itself')
  if (textOf(domain, 'currentMemory') !== undefined && textOf(domain, 'currentMemory') !== textOf(domain, 'memory')) {
    about('ballooning is left out: the guest has all of its memory')
  }
}
