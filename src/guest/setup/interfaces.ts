import {quote} from '../../model/quote.ts'

/** An interface on a network, which is to have an address. */
export interface InterfaceAddress {
  readonly mac: string
  /** In CIDR form. */
  readonly address: string
}

/**
 * Addresses on networks. At the first boot the seed's network configuration gives them; this checks it, and gives one that came
 * later or that the guest's own tools have left out.
 */
export const interfacesSection = (interfaces: readonly InterfaceAddress[]): string =>
  interfaces.length === 0
    ? ''
    : [...interfaces.map(({mac, address}) => `[ "\${1-}" = boot ] || address ${quote(mac)} ${quote(address)}`)].join('\n')

/** Functions that the section needs. */
export const interfacesFrame = `# address MAC ADDRESS/PREFIX
address() {
  for link in /sys/class/net/*; do
    [ "$(cat "$link/address" 2>/dev/null)" = "$1" ] || continue
    link=\${link##*/}
    case $(ip -4 addr show dev "$link") in *"inet $2 "*) return ;; esac
    ip link set dev "$link" up && ip addr add "$2" dev "$link" || problem "cannot give the address $2 to $link"
    return
  done
  problem "no network interface has the MAC address $1; restart the VM to give it one"
}`
