import * as Flags from '@oclif/core/flags'

import * as flags from '../cli/flags.ts'
import {prefixedOutput} from '../cli/prefixed-output.ts'
import {emptyLog, printLog} from '../cli/print-log.ts'
import {VmfileCommand} from '../cli/vmfile-command.ts'
import type {LogFile, LogName} from '../engine/show/logs.ts'
import {isVmctlError, VmctlError} from '../model/errors.ts'

export default class Log extends VmfileCommand {
  static override summary = 'Show the console log and the provision log of a VM.'
  static override description =
    'Both are shown unless you ask for one. Terminal controls that the guest wrote are removed on a terminal and kept elsewhere. With several VMs, each line starts with the name of its VM.'
  static override aliases = ['logs']
  static override args = flags.existingVms
  static override flags = {
    console: Flags.boolean({summary: 'Only the console log (boot and cloud-init).'}),
    provision: Flags.boolean({summary: 'Only the provision log.'}),
    tail: Flags.integer({char: 'n', summary: 'Only the last lines; 0 for all.', default: 0, min: 0, helpValue: 'LINES'}),
    follow: Flags.boolean({char: 'f', summary: 'Follow the log until Ctrl+C.'}),
    file: flags.fileInFull,
  }
  static override examples = [
    '<%= config.bin %> <%= command.id %> web',
    '<%= config.bin %> <%= command.id %> web --provision -f',
    '<%= config.bin %> <%= command.id %> web db --console -n 50',
  ]

  protected override readonly onlyPrints = true

  async run(): Promise<{
    readonly logs: readonly {readonly vm: string; readonly log: LogName; readonly path: string; readonly text?: string}[]
  }> {
    const {args, flags: given} = await this.parse(Log)
    const engine = await this.openEngine(given)
    const {logFiles, readLog} = await import('../engine/show/logs.ts')
    const find = async () => {
      const names = await this.createdVms(engine, args.names, given.file)
      return (await Promise.all(names.map((name) => logFiles(engine, name, {follow: given.follow})))).flat()
    }
    const all = await find().catch((error: unknown) => {
      throw given.follow ? aboutFile(error, args.names) : error
    })
    const wanted = all.filter(({log}) => (given.console || given.provision ? given[log] : true))
    const read = (path: string, follow: boolean) => readLog(path, {tail: given.tail, follow, signal: engine.signal})
    if (this.jsonEnabled()) {
      const text = async (path: string): Promise<string> => Buffer.concat(await Array.fromAsync(read(path, false))).toString()
      return {
        logs: await Promise.all(wanted.map(async ({vm, log, path, exists}) => ({vm, log, path, ...(exists && {text: await text(path)})}))),
      }
    }
    if (new Set(all.map(({vm}) => vm)).size === 1) await printLog(wanted, read, {follow: given.follow})
    else await this.#several(wanted, read, given.follow)
    return {logs: wanted.map(({vm, log, path}) => ({vm, log, path}))}
  }

  /** With `--follow` the lines come as they are written, else one VM after the other. */
  async #several(logs: readonly LogFile[], read: (path: string, follow: boolean) => AsyncIterable<Buffer>, follow: boolean): Promise<void> {
    const isMixed = new Set(logs.map(({log}) => log)).size > 1
    const title = ({vm, log}: LogFile): string => (isMixed ? `${vm} ${log}` : vm)
    const output = prefixedOutput(logs.map(title))
    const print = async (file: LogFile): Promise<void> => {
      if (!file.exists && !follow) return
      let isEmpty = true
      for await (const chunk of read(file.path, follow)) {
        isEmpty = false
        await output.write(title(file), 'stdout', chunk)
      }
      if (isEmpty && !follow) await output.write(title(file), 'stdout', Buffer.from(`${emptyLog(file.log)}\n`))
    }
    if (follow) await Promise.all(logs.map(print))
    else for (const log of logs) await print(log)
    output.close()
  }
}

/** `-f` names the VMFile in other commands, as it did here once: its argument is taken for a VM. */
const aboutFile = (error: unknown, names: readonly string[] = []): unknown => {
  const path = names.find((name) => name.endsWith('.kdl') || name.includes('/'))
  if (path === undefined || !isVmctlError(error)) return error
  return new VmctlError('vmctl::usage::invalid', `${JSON.stringify(path)} is no VM; -f means --follow here.`, {
    help: `Name the VMFile in full: \`--file ${path}\`.`,
  })
}
