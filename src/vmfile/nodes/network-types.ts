import {ipv4, macAddress} from '../grammar/kinds-network.ts'
import {choice, defaulted, field, required} from '../grammar/shapes.ts'
import {interfaceName, vnicName} from '../grammar/words.ts'

const mac = field(macAddress, 'Hardware address; derived from the name of the VM when absent.')

export const networkNode = choice(
  'How the VM is connected.',
  {
    noun: 'network type',
    default: 'user',
    repeatable: true,
    named: {
      noun: 'network',
      doc: 'A network of the top level of the file.',
      fields: {ip: field(ipv4, 'Fixed address in the subnet; chosen, and kept, when absent.'), mac},
    },
  },
  {
    user: {},
    tap: {
      bridge: defaulted(interfaceName('"br0"'), 'br0', 'Bridge of the host that the VM joins.'),
      ip: field(ipv4, 'Address at which the guest is reached; found out when absent.'),
      mac,
    },
    none: {},
    vnic: {name: required(vnicName, 'VNIC of the host (illumos).')},
  },
)

/** The arguments of `network` that are no names. */
export const networkTypes = Object.keys(networkNode.variants)
