import {strict as assert} from 'node:assert'

import {importAny, stepsIn} from '../imported.ts'
import {pureTrial, type Target} from '../target.ts'

const file = (inside: string, behind = ''): string => `Vagrant.configure("2") do |config|
  config.vm.box = "debian/bookworm64"
${inside}
end
${behind}`

/** Ways to have code in a file that never runs. */
const off: readonly ((code: string) => string)[] = [
  (code) => file(code.replaceAll(/^/gm, '# ').replaceAll(/[\r\u2028\u2029]/g, ' ')),
  (code) => file(`\n=begin\n${code.replaceAll(/^=end/gm, '')}\n=end`),
  (code) => file('', `__END__\n${code}`),
  (code) => file(`  text = <<-'NEVER_IN_THE_CODE'\n${code}\nNEVER_IN_THE_CODE`),
  (code) => `exit\n${file(code)}`,
]

/** The lines between `do |config|` and the last `end`. */
const insideOf = (code: string): string => code.replace(/^[^]*?do \|config\|/, '').replace(/end\s*$/, '')

export const importVagrant: Target = {
  about: 'a Vagrantfile, imported: the result is KDL, and code that is off makes no step',
  samples: ['fixtures/import/vagrant'],
  dictionary: [
    ...['do |x|', 'end', 'if ', 'unless ', 'else', '=begin\n', '=end\n', '<<~EOS\n', 'EOS\n', '#{', '}', '%w[', '%q(', ' if false', 'next'],
    ...[
      '.each',
      '.times',
      'config.vm.',
      'provision "shell", inline: ',
      'run: "never"',
      '"',
      "'",
      '`',
      ':a => 1',
      '**x',
      '&& ',
      '|| ',
      '\\',
    ],
    ...[
      'define "a"',
      '(1..3)',
      '(1..9999999)',
      '"a" * 999999999',
      'def f(x)',
      'f(1)',
      'while true',
      'ENV["X"]',
      '__dir__',
      '? :',
      '->{}',
      '{',
      '[',
    ],
    ...['\u0000', '\u2028', '\uFEFF', 'é', '__END__\n', 'disabled: true', 'ip: "10.0.0.2"', '"%99999d" % 1', 'case x when 1', '<<', '||= '],
  ],
  open: () =>
    pureTrial(async (input) => {
      const code = input.toString()
      await importAny('Vagrantfile', code)
      const wrap = off[input.length % off.length] ?? file
      const silent = await importAny('Vagrantfile', wrap(insideOf(code)))
      if (silent) assert.equal(stepsIn(silent), 0, `a step that never runs: ${silent.text}`)
    }),
}
