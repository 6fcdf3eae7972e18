import {Args, Flags} from '@oclif/core'

import {VmctlCommand} from '../cli/base-command.ts'
import {formatProblem} from '../cli/diagnostics.ts'
import type {ImportResult} from '../engine/import.ts'

export default class Import extends VmctlCommand {
  static override summary = 'Write a VMFile from what another program knows of VMs.'
  static override description = `Reads holos.yaml, qemu-compose.yaml, a simple Vagrantfile, and libvirt domains (through virsh, or from files with --xml). What cannot be carried over is a warning that names it; the VMFile goes to standard output, or to a file with --output.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> holos.yaml --output VMFile.kdl',
    '<%= config.bin %> <%= command.id %> web-prod db-prod --connect qemu:///system',
    '<%= config.bin %> <%= command.id %> --xml web.xml',
  ]
  static override strict = false
  static override args = {source: Args.string({summary: 'Files, and names of libvirt domains.'})}
  static override flags = {
    xml: Flags.string({summary: 'File with the XML of a libvirt domain.', multiple: true, multipleNonGreedy: true}),
    all: Flags.boolean({summary: 'All domains of libvirt.'}),
    connect: Flags.string({char: 'c', summary: 'URI of the libvirt to ask.'}),
    output: Flags.string({char: 'o', summary: 'File to write; - is standard output.', default: '-'}),
    force: Flags.boolean({summary: 'Replace the file when it exists.'}),
  }

  async run(): Promise<ImportResult> {
    const {argv, flags} = await this.parse(Import)
    const {importVms, writeImported} = await import('../engine/import.ts')
    const {xml, all, connect, output, force} = flags
    const target = output === '-' ? 'standard output' : output
    const request = {sources: argv.map(String), all, connect, target, signal: this.signal, ...(xml && {xml})}
    const result = await importVms(request, process.cwd())
    for (const warning of result.warnings) this.tell(`Warning: ${warning}`)
    if (output === '-') this.log(result.text.trimEnd())
    else {
      await writeImported(output, result.text, {force})
      this.log(`${output} is written.`)
    }
    for (const problem of result.problems) this.tell(formatProblem(problem, {colour: process.stderr.hasColors?.() === true}))
    return result
  }
}
