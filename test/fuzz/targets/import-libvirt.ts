import {strict as assert} from 'node:assert'

import {importAny, stepsIn} from '../imported.ts'
import {pureTrial, type Target} from '../target.ts'

export const importLibvirt: Target = {
  about: 'the XML of a libvirt domain, imported: the result is KDL, and one VM without steps',
  samples: ['fixtures/import/libvirt'],
  dictionary: [
    ...[
      '<domain type="kvm">',
      '</domain>',
      '<disk type="file">',
      '</disk>',
      '<source file="',
      '"/>',
      '<![CDATA[',
      ']]>',
      '<!--',
      '-->',
      '&lt;',
      '&#x1F600;',
    ],
    ...[
      '<!DOCTYPE a [<!ENTITY b "c">]>',
      '&b;',
      '<?xml version="1.0"?>',
      'xmlns:qemu="x"',
      '<qemu:commandline>',
      'unit="KB"',
      'unit="EiB"',
      '<vcpu>',
      '</vcpu>',
    ],
    ...[
      '<interface type="bridge">',
      '<hostdev type="pci">',
      '<address bus="0xff" slot="0xzz"/>',
      '<boot order="1"/>',
      '\u0000',
      '\uFFFF',
      '<portForward>',
      '<range start="1" end="99"/>',
    ],
  ],
  open: () =>
    pureTrial(async (input) => {
      const imported = await importAny('domain.xml', input.toString())
      if (!imported) return
      assert.equal(imported.draft.nodes.length, 1)
      assert.equal(stepsIn(imported), 0)
    }),
}
