import {basename} from 'node:path'

import type {Vm} from '../../model/vm.ts'
import {dictionary, optional, type Reader, shape, text} from './api/read.ts'

/** A VM or a container as a server has it. */
export interface Instance {
  readonly name: string
  readonly status: string
  /** The member that it is on; `none` outside of a cluster. */
  readonly location: string
  readonly config: Readonly<Record<string, string>>
  readonly devices: Readonly<Record<string, Device>>
}

export type Device = Readonly<Record<string, string>>

export const device: Reader<Device> = dictionary(text)

interface Wire {
  readonly name: string
  readonly status: string
  readonly location: string | undefined
  readonly config: Readonly<Record<string, string>>
  readonly devices: Readonly<Record<string, Device>>
}

const wire = shape<Wire>({name: text, status: text, location: optional(text), config: dictionary(text), devices: dictionary(device)})

export const instance: Reader<Instance> = (value, where) => {
  const {location = 'none', ...rest} = wire(value, where)
  return {...rest, location}
}

/**
 * What an instance is called. Of two VMs of one name, one of which is about to take the place of the other, each has its own; the
 * server takes letters, digits and dashes, and no digit in front.
 */
export const instanceName = ({id, spec}: Pick<Vm, 'id' | 'spec'>): string => {
  const readable = spec.name.replaceAll(/[^A-Za-z0-9]+/g, '-').slice(0, 48)
  return `${/^[A-Za-z]/.test(readable) ? '' : 'vm-'}${readable}-${id.slice(0, 8)}`.replaceAll(/-{2,}/g, '-')
}

/** How vmctl marks what is its own; what is without, or has another id, is never touched. */
export const label = {
  id: 'user.vmctl.id',
  name: 'user.vmctl.name',
  /** Whose VM of that name it is: that of one state directory. */
  owner: 'user.vmctl.owner',
  /** Set until the first start: a VM that was never put on record, because its command was killed, has it. */
  staged: 'user.vmctl.staged',
  /** What cloud-init knows the instance by, for as long as it exists. */
  seedId: 'user.vmctl.instance-id',
} as const

export const isOf = ({config}: Instance, {id}: Pick<Vm, 'id'>): boolean => config[label.id] === id

/** Incus gives an instance a new one whenever its seed changes, by which cloud-init takes the guest for a new one. */
export const instanceIdKey = 'volatile.cloud-init.instance-id'

/** Addresses of the kind that Incus chooses by itself; the same for an instance each time. */
export const macOf = ({id}: Pick<Vm, 'id'>): string => {
  const digits = basename(id).replaceAll('-', '')
  return ['10', '66', '6a', digits.slice(0, 2), digits.slice(2, 4), digits.slice(4, 6)].join(':')
}
