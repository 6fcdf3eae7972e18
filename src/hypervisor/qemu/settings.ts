import type {BackendField, BackendNode} from '../../model/backend-node.ts'

/** What `qemu { … }` says of a VM. */
export interface QemuConfig {
  readonly machine?: string
  readonly cpu?: string
  /** Accelerators in the order in which they are tried. */
  readonly accel?: readonly string[]
  readonly binary?: string
  /** As QEMU's -display takes it; `none` when absent. */
  readonly display?: string
  /** Appended last, unchecked. */
  readonly args?: readonly string[]
}

declare module '../../model/vm.ts' {
  interface BackendSections {
    readonly qemu?: QemuConfig
  }
}

export const qemuNode: BackendNode = {
  doc: 'Settings of QEMU itself.',
  fields: {
    machine: {holds: 'text', noun: 'machine type', example: '"q35"', doc: 'Machine type.'},
    cpu: {holds: 'text', noun: 'CPU model', example: '"host"', doc: 'CPU model.'},
    accel: {
      holds: 'word',
      noun: 'accelerator',
      words: ['kvm', 'tcg', 'hvf', 'whpx', 'nvmm', 'xen'],
      isList: true,
      doc: 'Accelerators, in the order in which they are tried.',
    },
    binary: {holds: 'program', noun: 'program', example: '"qemu-system-x86_64"', doc: 'Program to run: a name, or a path.'},
    display: {holds: 'text', noun: 'display', example: '"none"', doc: 'Display, as QEMU knows it by -display; none when absent.'},
    args: {holds: 'any-text', isList: true, doc: 'Arguments to add at the end, unchecked.'},
  } satisfies Record<keyof QemuConfig, BackendField>,
}
