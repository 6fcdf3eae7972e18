import {anyText, boolean, label, text} from '../grammar/kinds.ts'
import {block, field, list, pairs, required} from '../grammar/shapes.ts'
import {names} from '../grammar/words.ts'
import {homeNode} from './home.ts'
import {vmDefaults} from './vm.ts'

export const projectNode = block(
  'What the VMs of the file have in common.',
  {argument: required(label('project name', '"shop"'), 'Name of the project; the names of its VMs begin with it.')},
  {
    home: homeNode,
    defaults: block("Settings of all VMs. A VM's own settings win; blocks and names with values are merged.", {}, vmDefaults),
    'ssh-key': list(
      text('public key', {example: '"~/.ssh/id_ed25519.pub"'}),
      'Public keys for every VM: paths of files, or keys themselves.',
    ),
    warm: field(boolean, 'Whether `vmctl down` keeps the memory of the VMs on disk; it powers them off when absent.'),
    label: pairs(anyText, names, 'Names and values for every VM.'),
  },
)
