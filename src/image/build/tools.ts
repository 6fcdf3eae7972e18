import {pathExists} from '../../host/files.ts'
import {howToInstallDebian} from '../../host/packages.ts'
import {environment, findProgram} from '../../host/paths.ts'
import {VmctlError} from '../../model/errors.ts'

/** What the programs of a build need, with its package in Debian. */
const tools = [
  {thing: 'mmdebstrap', package: 'mmdebstrap'},
  {thing: 'apt-get', package: 'apt'},
  {thing: '/usr/share/keyrings/debian-archive-keyring.gpg', package: 'debian-archive-keyring'},
  {thing: 'unshare', package: 'util-linux'},
  {thing: 'setpriv', package: 'util-linux'},
  {thing: 'newuidmap', package: 'uidmap', isForUsers: true},
  {thing: 'sfdisk', package: 'fdisk'},
  {thing: 'mke2fs', package: 'e2fsprogs'},
  {thing: 'mformat', package: 'mtools'},
  {thing: 'qemu-img', package: 'qemu-utils'},
] as const

/** The environment of a build: programs for root are not on the PATH of every user. */
export const buildEnvironment = (): NodeJS.ProcessEnv => {
  const env = environment()
  return {...env, PATH: [env.PATH, '/usr/sbin', '/sbin'].filter(Boolean).join(':')}
}

/** @throws VmctlError `vmctl::host::not_installed`, with all that is missing */
export const requireTools = async (): Promise<void> => {
  const env = buildEnvironment()
  const isRoot = process.getuid?.() === 0
  const missing: (typeof tools)[number][] = []
  for (const tool of tools) {
    if ('isForUsers' in tool && isRoot) continue
    const isThere = tool.thing.startsWith('/') ? await pathExists(tool.thing) : (await findProgram(tool.thing, env)) !== undefined
    if (!isThere) missing.push(tool)
  }
  if (missing.length === 0) return
  throw new VmctlError('vmctl::host::not_installed', `To build an image, this is missing: ${missing.map(({thing}) => thing).join(', ')}.`, {
    help: await howToInstallDebian([...new Set(missing.map((tool) => tool.package))]),
  })
}
