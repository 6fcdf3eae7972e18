import {failures} from '../src/engine/failures.ts'
import {exitCodes} from '../src/model/errors.ts'

/** What each exit status means; a new one without a line here does not compile. */
const meanings = {
  done: 'Everything that was asked for is done.',
  unexplained: 'vmctl failed in a way that it cannot explain: a bug. Please report it.',
  usage: 'The command line or the VMFile is wrong. Nothing was done.',
  notFound: 'There is no such VM or image.',
  host: 'The host lacks something, or something on it failed: a program, a network, room on the disk, a permission.',
  state: 'The state of the VM does not allow it, or another vmctl is at work on it.',
  guest: 'The guest or a provision step failed.',
  timeout: 'It took too long.',
  interrupted: 'Ctrl+C, SIGTERM or SIGHUP ended the command.',
  unread: 'Nobody read any longer what `exec`, `log` or `ps` printed, as after SIGPIPE.',
} as const satisfies Record<keyof typeof exitCodes, string>

const anchor = (code: string): string => code.replaceAll(':', '')

export const errorsPage = (): string => `${header('src/engine/failures.ts')}
# Errors

Every failure that vmctl can explain has a code. The code is stable; the message is not. On the terminal a failure looks like this:

\`\`\`text
error[vmctl::vm::not_found]: There is no VM named "wbe".
  help: Did you mean "web"? Run \`vmctl list\` to see the VMs that exist.
\`\`\`

With \`--json\` it is printed on standard output:

\`\`\`json
{"error": {"code": "vmctl::vm::not_found", "message": "…", "help": "…"}}
\`\`\`

Problems of a VMFile come all at once in \`problems\`, each with \`file\`, \`line\`, \`column\`, \`length\`, \`severity\`, \`message\` and, where there is one, a \`hint\`.
Other facts, such as \`vm\`, \`state\` or \`exitCode\`, stand beside \`code\`; \`retry\` says whether the same may succeed \`later\` or \`never\`. A code that does not begin with \`vmctl::\` is one of a [plugin](../extending.md#failures). A failure without a code is a bug in vmctl; it has the code \`unexplained\`.

The advice below is the default. vmctl says something more exact where it knows more.

| code | [exit](exit-codes.md) | advice |
|---|---|---|
${Object.entries(failures)
  .map(([code, {exit, help}]) => `| <a id="${anchor(code)}"></a>\`${code}\` | ${exit} | ${cell(help)} |`)
  .join('\n')}
`

export const exitCodesPage = (): string => `${header('src/engine/failures.ts')}
# Exit statuses

The same for every command.

| status | meaning |
|---|---|
${Object.entries(exitCodes)
  .map(([name, code]) => `| ${code} | ${meanings[name as keyof typeof exitCodes]} |`)
  .join('\n')}

Two things differ:

- \`vmctl ssh NAME -- COMMAND\` and \`vmctl exec NAME COMMAND\` pass on the status of the command in the guest; of several VMs it is the first that is not 0. A failure of vmctl itself keeps the meaning above, so the two can look alike: \`--json\` tells them apart.
- \`vmctl doctor\` prints its findings and ends with 4 when something is missing that everybody needs.

When a command works on several VMs and some fail, every failure is printed, the error is \`vmctl::vms::failed\`, and the status is the one that the failures share, else that of the most severe: 130, 1, 4, 6, 7, 5, 3, 2, in this order. A VM that was left alone because another one failed does not count. So one VM and ten that fail for the same reason end with the same status.

## Which error has which status

${[...new Set(Object.values(failures).map(({exit}) => exit))]
  .toSorted((left, right) => left - right)
  .map((exit) => `**${exit}**: ${codesOf(exit)}`)
  .join('\n\n')}
`

const codesOf = (exit: number): string =>
  Object.entries(failures)
    .filter(([, failure]) => failure.exit === exit)
    .map(([code]) => `[\`${code}\`](errors.md#${anchor(code)})`)
    .join(', ')

/** The line that tells a reader of the source not to edit the page. */
export const header = (source: string): string => `<!-- Generated from ${source} by \`npm run docs\`. Do not edit. -->\n`

/** Text as a cell of a table. */
export const cell = (text: string): string => text.replaceAll('|', String.raw`\|`).replaceAll('\n', ' ')
