import {importedName} from '../draft.ts'
import {hostPath, type KdlNode, node, withProps} from '../kdl.ts'
import {type About, all, attribute, children, type Element, own, textOf} from './xml.ts'

/** Devices of the host, and shared folders. */
export const deviceNodes = (domain: Element, about: About): readonly KdlNode[] => [
  ...all(domain, 'devices/hostdev').flatMap((device) => hostDevice(device, about)),
  ...all(domain, 'devices/filesystem').flatMap((share) => folder(share, about)),
]

const hostDevice = (device: Element, about: About): readonly KdlNode[] => {
  const [address] = all(device, 'source/address')
  const type = own(device, 'type') ?? 'unknown'
  if (type !== 'pci' || !address) {
    about(`the ${type} device of the host is left out: only PCI devices can be passed through`)
    return []
  }
  const part = (name: string, digits: number): string =>
    Number.parseInt(own(address, name) ?? '0', 16)
      .toString(16)
      .padStart(digits, '0')
  const rom = attribute(device, 'rom', 'file')
  if (attribute(device, 'rom', 'bar') === 'off') about('the switched-off ROM of a PCI device is left out: vmctl shows the ROM to the guest')
  const bdf = `${part('domain', 4)}:${part('bus', 2)}:${part('slot', 2)}.${part('function', 1)}`
  return [withProps(node('device', 'pci', bdf), {'rom-file': rom === undefined ? undefined : hostPath(rom)})]
}

const folder = (share: Element, about: About): readonly KdlNode[] => {
  const source = attribute(share, 'source', 'dir')
  const tag = attribute(share, 'target', 'dir')
  if (source === undefined || tag === undefined || (own(share, 'type') ?? 'mount') !== 'mount') {
    about(`a file system of the type ${own(share, 'type') ?? 'unknown'} is left out: vmctl shares folders of the host`)
    return []
  }
  const target = `/mnt/${importedName(tag) ?? 'share'}`
  about(
    `the folder ${source} (tag ${tag}) is mounted at ${target}, which cloud-init sets up in the guest; where it has none, add automount=#false`,
  )
  const mode = own(share, 'accessmode')
  if (mode !== undefined && mode !== 'passthrough') about(`the access mode ${mode} of the folder ${source} is left out`)
  return [
    withProps(node('share', hostPath(source), target), {
      'read-only': all(share, 'readonly').length > 0 ? true : undefined,
      driver: attribute(share, 'driver', 'type') === 'virtiofs' ? 'virtiofs' : undefined,
    }),
  ]
}

const devices: Readonly<Record<string, string>> = {
  sound: 'the sound card is left out',
  redirdev: 'the redirected USB device is left out',
  tpm: 'the TPM is left out: a guest whose disk is sealed to it (BitLocker) needs its recovery key',
  watchdog: 'the watchdog is left out',
  smartcard: 'the smart card is left out',
  parallel: 'the parallel port is left out',
  shmem: 'the shared memory is left out',
  vsock: 'the vsock is left out',
  iommu: 'the IOMMU of the guest is left out',
  memory: 'memory modules are left out: `memory` is all that the guest has',
  panic: 'the panic device is left out',
  crypto: 'the crypto device is left out',
  pstore: 'the pstore is left out',
}

/** What is lost of the devices; what a VM has anyway (a serial console, random numbers, controllers) is not worth a word. */
export const nameDevices = (domain: Element, about: About): void => {
  for (const graphics of all(domain, 'devices/graphics').slice(0, 1)) {
    about(
      `the graphical display (${own(graphics, 'type') ?? 'unknown'}) is left out: \`qemu { args "-vnc" "127.0.0.1:1" "-device" "VGA"; }\` makes one`,
    )
  }
  for (const [tag, message] of Object.entries(devices)) if (all(domain, `devices/${tag}`).length > 0) about(message)
  const serials = all(domain, 'devices/serial')
  if (serials.length > 1 || serials.some((serial) => !['pty', undefined].includes(own(serial, 'type'))))
    about('serial ports are left out: a VM has one, which `vmctl console` opens')
  for (const channel of all(domain, 'devices/channel')) {
    const name = attribute(channel, 'target', 'name') ?? own(channel, 'type') ?? 'unknown'
    if (!/spice/.test(name)) about(`the channel ${name} is left out: vmctl works over SSH`)
  }
  if (all(domain, 'devices/input').some((input) => own(input, 'type') === 'passthrough' || own(input, 'type') === 'evdev'))
    about('input devices of the host are left out')
}

/** Parts of the domain itself that change how the guest runs. */
export const nameSettings = (domain: Element, about: About): void => {
  nameFeatures(domain, about)
  nameClock(domain, about)
  if (all(domain, 'os/kernel').length > 0) about('booting a kernel of the host is left out: the disk must boot by itself')
  const reboots: Readonly<Record<string, readonly string[]>> = {
    on_poweroff: ['destroy'],
    on_reboot: ['restart'],
    on_crash: ['destroy', 'restart', 'coredump-restart'],
  }
  for (const [tag, usual] of Object.entries(reboots)) {
    const value = textOf(domain, tag)
    if (value !== undefined && !usual.includes(value))
      about(`${tag} ${value} is left out: a VM that powers off is stopped, and one that reboots runs on`)
  }
  const parts = [
    'memoryBacking',
    'memtune',
    'numatune',
    'cputune',
    'blkiotune',
    'iothreads',
    'launchSecurity',
    'sysinfo',
    'seclabel',
    'idmap',
    'resource',
    'perf',
    'throttlegroups',
  ]
  const found = parts.filter((tag) => all(domain, tag).length > 0)
  if (found.length > 0) about(`settings of the domain are left out: ${found.join(', ')}`)
  const ofQemu = children(domain)
    .map(({nodeName}) => nodeName)
    .filter((tag) => tag.includes(':') && tag !== 'qemu:commandline')
  if (ofQemu.length > 0) about(`settings of the domain are left out: ${[...new Set(ofQemu)].join(', ')}`)
  if (all(domain, 'os/bootmenu').some((menu) => own(menu, 'enable') === 'yes')) about('the boot menu is left out')
  if (all(domain, 'os/smbios').length > 0) about('the SMBIOS mode is left out')
}

const nameFeatures = (domain: Element, about: About): void => {
  const [features] = all(domain, 'features')
  if (!features) return
  const isHyperv = all(features, 'hyperv').length > 0 || all(domain, 'clock/timer').some((timer) => own(timer, 'name') === 'hypervclock')
  if (isHyperv)
    about(
      'the Hyper-V features are left out: Windows runs slower without; `qemu { cpu "host,hv-relaxed=on,hv-vapic=on,hv-time=on"; }` has them',
    )
  const others = children(features)
    .map(({nodeName}) => nodeName)
    .filter((tag) => !['acpi', 'apic', 'pae', 'hyperv', 'smm', 'vmport', 'hap'].includes(tag))
  if (others.length > 0) about(`features are left out: ${[...new Set(others)].join(', ')}`)
}

/** How clocks tick is QEMU's choice; these three are what every program writes. */
const usualTimers = new Set(['rtc', 'pit', 'hpet', 'hypervclock'])

const nameClock = (domain: Element, about: About): void => {
  const offset = attribute(domain, 'clock', 'offset') ?? 'utc'
  if (offset === 'localtime')
    about('the clock in local time is left out: the guest gets UTC; `qemu { args "-rtc" "base=localtime"; }` sets it')
  else if (offset !== 'utc') about(`the clock offset ${offset} is left out: the guest gets UTC`)
  const timers = all(domain, 'clock/timer')
    .map((timer) => own(timer, 'name') ?? 'unknown')
    .filter((name) => !usualTimers.has(name))
  if (timers.length > 0) about(`timers of the clock are left out: ${timers.join(', ')}`)
}
