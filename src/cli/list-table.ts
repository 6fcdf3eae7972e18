import type {VmSummary} from '../engine/show/inspect.ts'
import {stateStyle} from './state-style.ts'
import type {Column} from './table.ts'
import {describeMemory, describeState} from './vm-words.ts'

/** The columns of `vmctl list`, and which of them a narrow terminal does without. */
export const listColumns: readonly Column[] = [
  {title: 'NAME'},
  {title: 'STATE', style: stateStyle},
  {title: 'BACKEND'},
  {title: 'VCPUS', align: 'right', spare: 3},
  {title: 'MEMORY', align: 'right', spare: 4},
  {title: 'NETWORK', spare: 2},
  {title: 'PID', align: 'right', spare: 1},
  {title: 'SSH', align: 'right'},
]

export const listRow = (vm: VmSummary): readonly string[] => [
  vm.name,
  describeState({state: vm.state, pause: vm.pause}),
  vm.backend,
  String(vm.vcpus ?? '-'),
  describeMemory(vm.memoryMiB),
  vm.network ?? '-',
  String(vm.pid ?? '-'),
  String(vm.sshPort ?? '-'),
]
