import {type KdlNode, node, withProps} from '../kdl.ts'
import {type About, all, attribute, children, type Element, own} from './xml.ts'

/** The first interface becomes the network of the VM; the others are named with what to write for them. */
export const networkNodes = (domain: Element, about: About): readonly KdlNode[] => {
  const [first, ...others] = all(domain, 'devices/interface')
  if (!first) return [node('network', 'none')]
  for (const other of others) {
    const bridge = attribute(other, 'source', 'bridge')
    const instead =
      bridge === undefined
        ? 'declare a `network`, and name it in the vm'
        : `declare \`network "lan" { driver "external"; bridge-name "${bridge}"; }\`, and name it in the vm`
    about(`interface ${macOf(other)} (${describe(other)}) is left out: ${instead}`)
  }
  nameDetails(first, about)
  return connect(first, about)
}

const macOf = (element: Element): string => attribute(element, 'mac', 'address') ?? 'without address'

const describe = (element: Element): string => {
  const type = own(element, 'type') ?? 'unknown'
  const source = attribute(element, 'source', type) ?? attribute(element, 'source', 'dev') ?? attribute(element, 'source', 'network')
  return source === undefined ? type : `${type} ${source}`
}

const connect = (first: Element, about: About): readonly KdlNode[] => {
  const type = own(first, 'type') ?? ''
  const mac = attribute(first, 'mac', 'address')
  const bridge = attribute(first, 'source', 'bridge')
  if (type === 'bridge' && bridge !== undefined) return [withProps(node('network', 'tap'), {bridge, mac})]
  if (type !== 'user')
    about(
      `interface ${macOf(first)} of the ${describe(first)} becomes user networking, with other addresses; \`network "tap" bridge="…"\` joins a bridge`,
    )
  if (mac !== undefined)
    about(`the MAC address ${mac} is left out: user networking has one of its own; networks of the file and tap take \`mac\``)
  return [node('network', 'user'), ...forwards(first, about)]
}

/** Ports of passt: `<portForward proto='tcp'><range start='2222' to='22'/></portForward>`. */
const forwards = (first: Element, about: About): readonly KdlNode[] =>
  all(first, 'portForward').flatMap((forward) => {
    const protocol = own(forward, 'proto') ?? 'tcp'
    const bind = own(forward, 'address')
    return all(forward, 'range').flatMap((range) => {
      const [start, end] = [Number(own(range, 'start')), Number(own(range, 'end') ?? own(range, 'start'))]
      const guest = Number(own(range, 'to') ?? start)
      if (own(range, 'exclude') === 'yes' || !Number.isInteger(start) || !(end >= start) || end - start > 100) {
        about('a range of forwarded ports is left out: write `port "HOST:GUEST"` for each')
        return []
      }
      return Array.from({length: end - start + 1}, (_, index) =>
        withProps(node('port'), {guest: guest + index, host: start + index, protocol: protocol === 'udp' ? protocol : undefined, bind}),
      )
    })
  })

const nameDetails = (first: Element, about: About): void => {
  const model = attribute(first, 'model', 'type')
  if (model === undefined)
    about("its network card has no model, which is one of libvirt's choice, and will be virtio: the guest needs the driver")
  else if (!model.startsWith('virtio')) about(`its network card ${model} becomes virtio: the guest needs the driver (Windows: virtio-win)`)
  if (attribute(first, 'link', 'state') === 'down')
    about('its network is unplugged (link state down), and will be connected: write `network "none"` to keep it off')
  const others = children(first)
    .map(({nodeName}) => nodeName)
    .filter((tag) =>
      [
        'vlan',
        'bandwidth',
        'filterref',
        'virtualport',
        'mtu',
        'ip',
        'route',
        'guest',
        'tune',
        'rom',
        'coalesce',
        'port',
        'teaming',
      ].includes(tag),
    )
  const backend = attribute(first, 'backend', 'type')
  if (backend !== undefined && backend !== 'passt') others.push(`backend ${backend}`)
  if (others.length > 0) about(`settings of its network are left out: ${[...new Set(others)].join(', ')}`)
}
