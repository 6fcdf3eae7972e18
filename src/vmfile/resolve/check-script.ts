import type {Located} from '../grammar/shapes.ts'
import {quoted} from '../kdl/wording.ts'
import type {Context} from './context.ts'
import {lookAt, readAtMost} from './local-files.ts'

/** Enough for the first line, which the kernel reads 256 bytes of at most (execve(2)). */
const headBytes = 4096

/** What reads a script as text of a POSIX shell, to which a carriage return is a part of the last word of a line. */
const shells = /(?:^|\/)(?:ba|da|a|z|k|mk|pdk)?sh(?:\s|$)/

interface Script {
  readonly path: string
  /** The program of the guest that is to run it, instead of what its first line names. */
  readonly interpreter: string | undefined
}

/** Reports a script that no guest could run as it is: its first line names nothing that can be there, or its lines end as in Windows. */
export const checkScript = async (
  script: Located<string>,
  {path, interpreter}: Script,
  {report, toleratesMissing}: Context,
): Promise<void> => {
  if (toleratesMissing || (await lookAt(path)).kind !== 'file') return
  const content = await readAtMost(path, headBytes)
  if ('reason' in content) return
  const text = content.bytes.toString('utf8')
  const shown = quoted(script.value)
  const [line = ''] = text.split('\n')
  const program = interpreter ?? (line.startsWith('#!') ? line.slice(2).trim() : 'sh')
  if (text.startsWith('\uFEFF')) {
    report.error(script, `script ${shown} begins with a byte order mark, which is no part of a first line`, 'save it as UTF-8 without BOM')
  } else if (line.endsWith('\r') && (interpreter === undefined ? line.startsWith('#!') || shells.test(program) : shells.test(program))) {
    report.error(
      script,
      `script ${shown} has Windows line ends, which no shell of a guest understands`,
      "save it with Unix line ends (LF): `sed -i 's/\\r$//' FILE`, and in .gitattributes: *.sh text eol=lf",
    )
  } else if (interpreter === undefined && line.startsWith('#!') && !program.startsWith('/')) {
    report.error(
      script,
      `the first line of script ${shown} names an interpreter that no guest has: ${JSON.stringify(program)}`,
      'name it by its path in the guest, such as #!/bin/sh or #!/usr/bin/env python3',
    )
  }
}
