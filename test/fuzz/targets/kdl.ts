import {strict as assert} from 'node:assert'

import {makeWorkspace} from '../../../fixtures/vmfiles/workspace.ts'
import {frame} from '../../../src/model/frame.ts'
import type {Target} from '../target.ts'

export const kdl: Target = {
  about: 'a VMFile, parsed and validated',
  samples: ['fixtures/vmfiles/book', 'fixtures/vmfiles/bad', 'fixtures/vmfiles/good'],
  dictionary: [
    ...[
      '"',
      '"""',
      '#"',
      '"#',
      '#"""',
      '"""#',
      '{',
      '}',
      '(',
      ')',
      '=',
      ';',
      '\\',
      '/-',
      '//',
      '/*',
      '*/',
      '\n',
      '\r',
      '\t',
      ' ',
      ',',
      "'",
    ],
    ...[
      '#',
      '#true',
      'true',
      'r"',
      'r#"a"#',
      '0x',
      '1e999',
      '-1',
      '2G',
      '\0',
      '\uFEFF',
      '\u202E',
      '😀',
      '\\u{1F600}',
      '__proto__',
      '[',
      '\u2028',
    ],
    ...[
      'constructor',
      'toString=1',
      'vm',
      'image',
      'provision',
      'ssh',
      '"x" "y"',
      '(u8)',
      '\u0085',
      '"a\\nb"',
      'env',
      'network',
      'run "once"',
    ],
    ...[
      'project "p" {',
      'defaults {',
      'volume "a" ',
      'port "8080:80"',
      'replicas 2',
      'depends-on "a"',
      'share "www" "/w"',
      'device "pci" "01:00.0"',
    ],
    ...[
      'healthcheck { test ',
      'dockerfile "Dockerfile"',
      'per-replica=#true',
      'subnet "10.0.0.0/24"',
      'ip="10.0.0.2"',
      'write-file ',
      'runcmd ',
    ],
    ...['vm "a" {\n', 'image-url ', 'checksum-url ', 'cloud-init {', 'secret=#true', 'mirror #true', 'ignore "*"', '#inf', '#nan', '#null'],
  ],
  open() {
    const workspace = makeWorkspace()
    process.env.HOME = workspace.home
    return {
      async try(input) {
        const text = input.toString()
        // Anything but a VmctlError with problems is thrown here.
        const problems = await workspace.problems(text)
        const lines = text.split(/\r\n|\n|\r/)
        let place = 0
        for (const problem of problems) {
          assert.match(problem.message, /^\P{Control}+$/u)
          assert.ok(problem.line <= lines.length, 'a line behind the end')
          assert.ok(problem.column <= Array.from(lines[problem.line - 1] ?? '').length + 1, 'a column behind the end')
          assert.ok(problem.length > 0, 'nothing to underline')
          const next = problem.line * 1e6 + problem.column
          assert.ok(next >= place, 'problems that are not in order')
          place = next
          const drawn = frame(text, problem)
          assert.match(drawn, /^ *--> VMFile\.kdl:\d+:\d+\n/)
          assert.match(drawn.replaceAll('\n', ''), /^\P{Control}*$/u)
        }
      },
      [Symbol.asyncDispose]: async () => workspace.remove(),
    }
  },
}
