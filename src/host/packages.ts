import {readIfExists} from './files.ts'

/** Programs and files that vmctl can use, by the names of the packages that bring them. */
const packages = {
  qemu: {
    debian: 'qemu-system-x86',
    fedora: 'qemu-system-x86-core',
    arch: 'qemu-system-x86',
    alpine: 'qemu-system-x86_64',
    suse: 'qemu-x86',
  },
  'qemu-img': {debian: 'qemu-utils', fedora: 'qemu-img', arch: 'qemu-img', alpine: 'qemu-img', suse: 'qemu-img'},
  ssh: {debian: 'openssh-client', fedora: 'openssh-clients', arch: 'openssh', alpine: 'openssh-client', suse: 'openssh-clients'},
  ovmf: {debian: 'ovmf', fedora: 'edk2-ovmf', arch: 'edk2-ovmf', alpine: 'ovmf', suse: 'qemu-ovmf-x86_64'},
  dnsmasq: {debian: 'dnsmasq-base', fedora: 'dnsmasq', arch: 'dnsmasq', alpine: 'dnsmasq', suse: 'dnsmasq'},
  nftables: {debian: 'nftables', fedora: 'nftables', arch: 'nftables', alpine: 'nftables', suse: 'nftables'},
  virtiofsd: {debian: 'virtiofsd', fedora: 'virtiofsd', arch: 'virtiofsd', alpine: 'virtiofsd', suse: 'virtiofsd'},
  iproute: {debian: 'iproute2', fedora: 'iproute', arch: 'iproute2', alpine: 'iproute2', suse: 'iproute2'},
} as const

export type PackageName = keyof typeof packages

const installers = {
  debian: 'sudo apt-get install',
  fedora: 'sudo dnf install',
  arch: 'sudo pacman -S',
  alpine: 'sudo apk add',
  suse: 'sudo zypper install',
} as const

type Family = keyof typeof installers

/** The family of the distribution from the text of os-release(5): ID, else ID_LIKE. */
export const distributionFamily = (osRelease: string): Family | undefined => {
  const value = (key: string): string => new RegExp(`^${key}=["']?([^"'\\n]*)`, 'm').exec(osRelease)?.[1] ?? ''
  const words = `${value('ID')} ${value('ID_LIKE')}`.split(/\s+/)
  const aliases: Readonly<Record<string, Family>> = {ubuntu: 'debian', rhel: 'fedora', centos: 'fedora', opensuse: 'suse'}
  for (const word of words) {
    const family = aliases[word] ?? word
    if (family in installers) return family as Family
  }
  return undefined
}

const hostFamily = async (): Promise<Family | undefined> => distributionFamily((await readIfExists('/etc/os-release')) ?? '')

/** How to install something on the host, as a sentence for a person. */
export const howToInstall = async (name: PackageName): Promise<string> => {
  const family = await hostFamily()
  if (!family) return `Install ${packages[name].debian} (Debian's name) with the package manager of the host.`
  return `Install it: \`${installers[family]} ${packages[name][family]}\`.`
}

/** The same for packages of which only Debian's names are known. */
export const howToInstallDebian = async (names: readonly string[]): Promise<string> =>
  (await hostFamily()) === 'debian'
    ? `Install it: \`${installers.debian} ${names.join(' ')}\`.`
    : `Install with the package manager of the host what Debian calls ${names.join(', ')}.`
