import {strict as assert} from 'node:assert'

import {importAny, stepsIn} from '../imported.ts'
import {pureTrial, type Target} from '../target.ts'

export const importCompose: Target = {
  about: 'a holos.yaml or a qemu-compose.yaml, imported: the result is KDL, and has no step that the file does not have',
  samples: ['fixtures/import/holos', 'fixtures/import/qemu-compose', 'fixtures/import/others'],
  dictionary: [
    ...[
      'services:\n',
      'vms:\n',
      '  a:\n',
      'image: ',
      'volumes: ',
      '{',
      '}',
      '[',
      ']',
      ': ',
      '- ',
      '&a ',
      '*a',
      '<<: *a',
      '|\n',
      '>\n',
      '!!binary ',
    ],
    ...[
      'ports: ["1:2"]',
      'depends_on: [a]',
      'healthcheck: {test: ',
      'cloud_init: ',
      'provision: [{inline: x}]',
      'environment: ',
      'replicas: 3',
    ],
    ...[
      'null',
      '~',
      '0x10',
      '1e999',
      '.inf',
      '.nan',
      '-0',
      '"\\u001b"',
      '"\\0"',
      '\uFEFF',
      '\u2028',
      '%YAML 1.1\n',
      '---\n',
      '"true": 1',
      'x-a: 1',
    ],
    ...[
      'network: default',
      'networks: {default: {}}',
      'disk_size: 999999999999999999999',
      'size: 1.5T',
      '"__proto__": 1',
      'constructor: 1',
    ],
  ],
  open: () =>
    pureTrial(async (input) => {
      const text = input.toString()
      const imported = await importAny('holos.yaml', text)
      if (imported && !text.includes('provision')) assert.equal(stepsIn(imported), 0)
    }),
}
