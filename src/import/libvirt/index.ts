import {type Draft, importedName, ImportError} from '../draft.ts'
import {group} from '../kdl.ts'
import {collectWarnings} from '../warnings.ts'
import {deviceNodes, nameDevices, nameSettings} from './devices.ts'
import {imageNode} from './disks.ts'
import {firmwareNodes, qemuNodes, sizeNodes} from './machine.ts'
import {networkNodes} from './network.ts'
import {parseDomain, textOf, attribute, own} from './xml.ts'

/**
 * Reads the description of a libvirt domain (libvirt, "Domain XML format"). What decides how its guest boots and runs is carried
 * over or named.
 * @throws ImportError when it is none, when it is a container, or when the disk that it boots from is not a file
 */
export const importDomain = (xml: string): Draft => {
  const domain = parseDomain(xml)
  const warnings = collectWarnings()
  const given = textOf(domain, 'name') ?? ''
  const name = importedName(given)
  if (name === undefined) throw new ImportError('the domain has no usable name')
  if (name !== given) warnings.about(given, `it is named ${name}`)
  const about = (message: string): void => warnings.about(name, message)
  const type = own(domain, 'type') ?? 'kvm'
  const guest = textOf(domain, 'os/type') ?? 'hvm'
  if (['exe', 'linux-container'].includes(guest) || ['lxc', 'openvz', 'vz'].includes(type))
    throw new ImportError(`${name} is a container (type ${type}), and no VM`)
  if (!['kvm', 'qemu'].includes(type))
    about(`it is a domain of the type ${type}, and will run on KVM or TCG: its guest may lack the drivers`)
  if (guest !== 'hvm') about(`its guest is of the type ${guest}, and will boot as on real hardware`)
  const children = [
    imageNode(domain, name, about),
    ...sizeNodes(domain, about),
    ...firmwareNodes(domain, about),
    ...qemuNodes(domain, about),
    ...networkNodes(domain, about),
    ...deviceNodes(domain, about),
  ]
  nameDevices(domain, about)
  nameSettings(domain, about)
  if (attribute(domain, 'devices/interface', 'type') !== undefined)
    about('the guest keeps its users and keys: for `vmctl ssh` add `ssh { user "NAME"; private-key "FILE"; }` with a user that it has')
  const notes = ['`virsh destroy` is `vmctl stop --timeout 0`; `vmctl destroy` removes a VM with its disk']
  return {nodes: [group('vm', [name], children)], warnings: warnings.list(), notes}
}
