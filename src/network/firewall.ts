import {readFile, writeFile} from 'node:fs/promises'

import {ioError} from '../host/files.ts'
import {findProgram} from '../host/paths.ts'
import {lastLines, run, type RunResult} from '../host/process.ts'
import {VmctlError} from '../model/errors.ts'

/** A bridge whose guests reach what the host reaches, under its address; nobody outside reaches them. */
export interface Masquerade {
  /** Letters and digits, unlike for any other network. */
  readonly tag: string
  readonly bridge: string
  readonly subnet: string
}

/** The program that changes the firewall here; undefined when there is none. */
export const firewallProgram = async (): Promise<'nft' | 'iptables' | undefined> => {
  for (const program of ['nft', 'iptables'] as const) if (await findProgram(program)) return program
  return undefined
}

/** A table of our own, made anew as a whole in one transaction (nft(8)). */
const nftTable = ({tag, bridge, subnet}: Masquerade): string => `
table ip vmctl_${tag}
delete table ip vmctl_${tag}
table ip vmctl_${tag} {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${subnet} oifname != "${bridge}" masquerade
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname "${bridge}" accept
    oifname "${bridge}" ct state established,related accept
    oifname "${bridge}" drop
  }
}
`

/** The same where there is only iptables: two chains of our own, and a jump to each. */
const chains = ({
  bridge,
  subnet,
}: Masquerade): Readonly<Record<'nat' | 'filter', {hook: string; rules: readonly (readonly string[])[]}>> => ({
  nat: {hook: 'POSTROUTING', rules: [['-s', subnet, '!', '-o', bridge, '-j', 'MASQUERADE']]},
  filter: {
    hook: 'FORWARD',
    rules: [
      ['-i', bridge, '-j', 'ACCEPT'],
      ['-o', bridge, '-m', 'conntrack', '--ctstate', 'RELATED,ESTABLISHED', '-j', 'ACCEPT'],
      ['-o', bridge, '-j', 'DROP'],
    ],
  },
})

const iptables = (table: string, ...args: readonly string[]): Promise<RunResult> =>
  run('iptables', ['-w', '5', '-t', table, ...args], {timeoutMs: 20_000})

const require = (result: RunResult, what: string): void => {
  if (result.exitCode === 0) return
  throw new VmctlError('vmctl::network::failed', `${what}: ${lastLines(result.stderr, 2)}`)
}

/** Lets the guests of a bridge out. Idempotent. */
export const masquerade = async (wish: Masquerade): Promise<void> => {
  if ((await firewallProgram()) === 'nft') {
    require(await run('nft', ['-f', '-'], {input: nftTable(wish), timeoutMs: 20_000}), `Cannot set up NAT for ${wish.bridge} with nft`)
  } else {
    await unmasquerade(wish)
    for (const [table, {hook, rules}] of Object.entries(chains(wish))) {
      const chain = chainName(wish)
      const steps = [['-N', chain], ...rules.map((rule) => ['-A', chain, ...rule]), ['-I', hook, '-j', chain]]
      for (const step of steps) require(await iptables(table, ...step), `Cannot set up NAT for ${wish.bridge} with iptables`)
    }
  }
  await allowForwarding()
}

const chainName = ({tag}: Masquerade): string => `VMCTL-${tag}`

/** Takes back everything of `masquerade`, whichever program made it. Nothing happens when there is nothing. */
export const unmasquerade = async (wish: Masquerade): Promise<void> => {
  if (await findProgram('nft')) await run('nft', ['delete', 'table', 'ip', `vmctl_${wish.tag}`], {timeoutMs: 20_000})
  if (!(await findProgram('iptables'))) return
  for (const [table, {hook}] of Object.entries(chains(wish))) {
    const chain = chainName(wish)
    if ((await iptables(table, '-F', chain)).exitCode !== 0) continue
    await iptables(table, '-D', hook, '-j', chain)
    require(await iptables(table, '-X', chain), `Cannot remove the chain ${chain}`)
  }
}

const forwarding = '/proc/sys/net/ipv4/ip_forward'

/**
 * NAT needs the kernel to route. It stays on when the network goes, as with libvirt and Docker: others may have come to rely on it.
 */
const allowForwarding = async (): Promise<void> => {
  try {
    if ((await readFile(forwarding, 'utf8')).trim() === '0') await writeFile(forwarding, '1')
  } catch (error) {
    throw ioError('let the kernel route (net.ipv4.ip_forward) by', forwarding, error)
  }
}
