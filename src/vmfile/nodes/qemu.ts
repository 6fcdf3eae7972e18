import {resolvePath} from '../../host/paths.ts'
import type {QemuConfig} from '../../model/vm.ts'
import {always, namesOf} from '../grammar/change.ts'
import {anyText, text, word} from '../grammar/kinds.ts'
import {block, field, list, type Read} from '../grammar/shapes.ts'
import {type Context, optional} from '../resolve/context.ts'

export const qemuNode = block(
  'Settings of QEMU itself.',
  {body: 'fields'},
  {
    machine: field(text('machine type', {example: '"q35"'}), 'Machine type.'),
    cpu: field(text('CPU model', {example: '"host"'}), 'CPU model.'),
    accel: list(word('accelerator', 'kvm', 'tcg', 'hvf', 'whpx', 'nvmm', 'xen'), 'Accelerators, in the order in which they are tried.'),
    binary: field(text('program', {example: '"qemu-system-x86_64"'}), 'Program to run: a name, or a path.'),
    display: field(text('display', {example: '"none"'}), 'Display, as QEMU knows it by -display; none when absent.'),
    args: list(anyText, 'Arguments to add at the end, unchecked.'),
  },
)

export const buildQemu = ({fields}: NonNullable<Read<typeof qemuNode>>, {directory}: Context): QemuConfig => {
  const {machine, cpu, accel, binary, display, args} = fields
  // A name is looked up in PATH, a path is relative to the VMFile like every other.
  const program = binary && (/^~|\//.test(binary.value) ? resolvePath(binary.value, directory) : binary.value)
  const values = <T>(list: readonly {readonly value: T}[]): readonly T[] | undefined =>
    list.length > 0 ? list.map(({value}) => value) : undefined
  return {
    ...optional('machine', machine?.value),
    ...optional('cpu', cpu?.value),
    ...optional('accel', values(accel)),
    ...optional('binary', program),
    ...optional('display', display?.value),
    ...optional('args', values(args)),
  }
}

export const qemuChange = always<'qemu'>('restart', (applied, wanted) => namesOf('qemu')({...applied}, {...wanted}))
