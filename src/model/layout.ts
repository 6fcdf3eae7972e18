import {createHash} from 'node:crypto'
import {join} from 'node:path'

/**
 * Every file of a VM's directory that is no backend's own, once. `docs/state-directory.md` says who writes and who reads each.
 * The names are those of the vmctl book; `*.json` and `known_hosts` are ours.
 */
export const vmFiles = (directory: string) =>
  ({
    record: join(directory, 'vm.json'),
    /** Whether the guest is ready, and what it was given. */
    guest: join(directory, 'guest.json'),
    /** The provision steps. */
    journal: join(directory, 'journal.json'),
    /** The last results of the health check, since the last start. */
    health: join(directory, 'health.json'),
    knownHosts: join(directory, 'known_hosts'),
    privateKey: join(directory, 'id_ed25519_generated'),
    publicKey: join(directory, 'id_ed25519_generated.pub'),
    /** The public half of the key of ssh-agent that the guest accepted, by which the `ssh` program finds it. */
    agentKey: join(directory, 'id_agent.pub'),
    /** A directory for each file that is shared by itself. */
    shares: join(directory, 'shares'),
    /** What a clone brings of volumes. */
    volumes: join(directory, 'volumes'),
    /** From when it is there the guest is saved, and from when it is gone the guest goes on. */
    saved: join(directory, 'saved.json'),
    /** What the backend needs to let it go on. */
    savedMemory: join(directory, 'saved'),
    /** A directory for each snapshot. */
    snapshots: join(directory, 'snapshots'),
    /** What the serial console has shown: a backend of this host appends to it, another one brings it when asked to. */
    consoleLog: join(directory, 'console.log'),
    provisionLog: join(directory, 'provision.log'),
    /** Says which bytes of provision.log are which stream's of the running step. */
    provisionIndex: join(directory, 'provision.index'),
  }) as const

/** Every file of a network's directory, once. */
export const networkFiles = (directory: string) =>
  ({
    record: join(directory, 'network.json'),
    /** Of a mesh: held by the hub for as long as it lives. */
    hubLock: join(directory, 'hub.lock'),
    /** Who the hub is, for ending one that no longer answers. */
    hubProcess: join(directory, 'hub.json'),
    hubSocket: join(directory, 'hub.sock'),
    hubLog: join(directory, 'hub.log'),
    /** Of a bridge. */
    dnsmasqConfig: join(directory, 'dnsmasq.conf'),
    dnsmasqProcess: join(directory, 'dnsmasq.json'),
    dnsmasqLeases: join(directory, 'dnsmasq.leases'),
    dnsmasqPid: join(directory, 'dnsmasq.pid'),
    dnsmasqLog: join(directory, 'dnsmasq.log'),
  }) as const

/** Name of the socket in a VM's directory on which it offers its interface on a mesh. Short: the kernel takes 107 bytes of a path. */
export const meshSocket = (networkId: string): string => `mesh-${createHash('sha256').update(networkId).digest('hex').slice(0, 12)}.sock`
