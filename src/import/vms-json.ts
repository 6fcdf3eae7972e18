import {type Draft, importedName, ImportError} from './draft.ts'
import {group, hostPath, type KdlNode, node, withProps} from './kdl.ts'
import {collectWarnings} from './warnings.ts'

type Handle = Readonly<Record<string, unknown>>

const isHandle = (value: unknown): value is Handle =>
  typeof value === 'object' && value !== null && 'backend' in value && ('overlay_path' in value || 'work_dir' in value)

/** Whether a document is the registry of the older vmctl, which was written in Rust: names, each with the handle of a VM. */
export const isVmsJson = (document: Handle): boolean => Object.keys(document).length > 0 && Object.values(document).every(isHandle)

/**
 * Reads the registry of the older vmctl (its book, "VmHandle Serialization" and "NetworkConfig"). The handles do not say from
 * which image a VM was made, nor what provisioned it.
 * @throws ImportError when no VM of it can be imported
 */
export const importVmsJson = (document: Handle): Draft => {
  const warnings = collectWarnings()
  const nodes = Object.entries(document).flatMap(([key, value]) => {
    const handle = isHandle(value) ? value : {}
    const name = importedName(key)
    if (name === undefined || handle.backend !== 'qemu') {
      warnings.about(key, `it is left out: its backend is ${JSON.stringify(handle.backend)}, and vmctl runs QEMU`)
      return []
    }
    return [vmNode(name, handle, (message) => warnings.about(name, message))]
  })
  if (nodes.length === 0) throw new ImportError('none of its VMs runs on QEMU')
  return {nodes, warnings: warnings.list()}
}

const vmNode = (name: string, handle: Handle, about: (message: string) => void): KdlNode => {
  const number = (key: string): number | undefined => {
    const value = handle[key]
    return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : undefined
  }
  const overlay = typeof handle.overlay_path === 'string' ? handle.overlay_path : 'overlay.qcow2'
  about(
    `its disk is a layer over another image: stop it, make one of both by \`qemu-img convert -O qcow2 ${JSON.stringify(overlay)} ${name}.qcow2\` beside the VMFile`,
  )
  about('its provision steps are in its own VMFile, which vmctl reads as it is: use that instead where you have it')
  if (typeof handle.vnc_addr === 'string')
    about(`the display at ${handle.vnc_addr} is left out: \`qemu { args "-vnc" "127.0.0.1:0" "-device" "VGA"; }\` makes one`)
  const [vcpus, memory, disk, port] = [number('vcpus'), number('memory_mb'), number('disk_gb'), number('ssh_host_port')]
  return group(
    'vm',
    [name],
    [
      node('image', hostPath(`./${name}.qcow2`)),
      vcpus === undefined ? undefined : node('vcpus', vcpus),
      memory === undefined ? undefined : node('memory', memory),
      disk === undefined ? undefined : node('disk', disk),
      networkNode(handle, about),
      group('cloud-init', [], [node('hostname', name)]),
      group('ssh', [], [port === undefined ? undefined : node('port', port)]),
    ],
  )
}

const networkNode = ({network, mac_addr: mac}: Handle, about: (message: string) => void): KdlNode => {
  const {type, bridge} = {type: undefined, bridge: undefined, ...(typeof network === 'object' && network)}
  if (type === 'Tap' && typeof bridge === 'string')
    return withProps(node('network', 'tap'), {bridge, mac: typeof mac === 'string' ? mac : undefined})
  if (type === 'None') return node('network', 'none')
  if (type !== 'User') about(`the network ${JSON.stringify(type ?? null)} becomes user networking`)
  return node('network', 'user')
}
