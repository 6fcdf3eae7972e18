import {resolve} from 'node:path'

import {Args, Flags} from '@oclif/core'

import {VmctlCommand} from '../cli/base-command.ts'
import {formatProblem} from '../cli/diagnostics.ts'
import type {ImportResult} from '../engine/manage/import.ts'
import {asTyped} from '../model/quote.ts'

export default class Import extends VmctlCommand {
  static override summary = "Convert another tool's configuration to a VMFile."
  static override description = `Reads Vagrantfiles, holos.yaml, qemu-compose.yaml, the vms.json of the older vmctl, and libvirt domains (through virsh, or from files with --xml). Each thing that cannot be carried over is a warning; the VMFile goes to standard output, or to a file with --output, where its relative paths start. It is checked as by \`validate\`; when it is not valid, it is written all the same and the exit status is 2.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> Vagrantfile --output VMFile.kdl',
    '<%= config.bin %> <%= command.id %> web-prod db-prod --connect qemu:///system',
    '<%= config.bin %> <%= command.id %> --xml web.xml',
  ]
  static override strict = false
  static override args = {source: Args.string({summary: 'Files, and names of libvirt domains.'})}
  static override flags = {
    xml: Flags.string({summary: 'File with the XML of a libvirt domain.', multiple: true, multipleNonGreedy: true}),
    all: Flags.boolean({summary: 'Import all libvirt domains.'}),
    connect: Flags.string({char: 'c', summary: 'URI of the libvirt to ask.'}),
    output: Flags.string({char: 'o', summary: 'File to write; - is standard output.', default: '-'}),
    force: Flags.boolean({summary: 'Replace the file when it exists.'}),
  }

  async run(): Promise<ImportResult> {
    const {argv, flags} = await this.parse(Import)
    const {importVms, invalidImport, writeImported} = await import('../engine/manage/import.ts')
    const {xml, all, connect, force} = flags
    const output = flags.output === '-' ? undefined : flags.output
    const result = await importVms({sources: argv.map(String), all, connect, output, signal: this.signal, ...(xml && {xml})}, process.cwd())
    const {text, warnings, problems, isValid} = result
    for (const warning of warnings) this.tell(`Warning: ${warning}`)
    if (output === undefined) this.log(text.trimEnd())
    else await writeImported(output, text, {force})
    if (!isValid) throw invalidImport(problems, output, {text, warnings})
    if (output !== undefined) this.log(`${output} is written.`)
    for (const problem of problems) this.tell(formatProblem(problem, {colour: process.stderr.hasColors?.() === true}))
    for (const note of result.notes) this.tell(`Note: ${note}.`)
    this.tell(`Next: ${next(output)}`)
    return result
  }
}

const next = (output: string | undefined): string => {
  if (output === undefined) return 'save this as VMFile.kdl, then vmctl validate'
  if (resolve(output) === resolve('VMFile.kdl')) return 'vmctl validate, then vmctl up'
  return `vmctl validate --file ${asTyped(output)}, then vmctl up --file ${asTyped(output)}`
}
