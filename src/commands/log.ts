import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'

import {VmctlCommand} from '../cli/base-command.ts'
import {printLog} from '../cli/print-log.ts'
import type {LogName} from '../engine/logs.ts'

export default class Log extends VmctlCommand {
  static override summary = 'Show the console log and the provision log of a VM.'
  static override description =
    'Both are shown unless one is asked for. Terminal controls that the guest wrote are removed on a terminal and kept elsewhere.'
  static override args = {name: Args.string({description: 'Name of the VM.', required: true})}
  static override flags = {
    console: Flags.boolean({summary: 'Only the console log (boot and cloud-init).'}),
    provision: Flags.boolean({summary: 'Only the provision log.'}),
    tail: Flags.integer({char: 'n', summary: 'Only the last lines; 0 for all.', default: 0, min: 0, helpValue: 'LINES'}),
    follow: Flags.boolean({summary: 'Go on with what is appended, until Ctrl+C.'}),
  }
  static override examples = [
    '<%= config.bin %> <%= command.id %> web',
    '<%= config.bin %> <%= command.id %> web --provision --follow',
    '<%= config.bin %> <%= command.id %> web --console -n 50',
  ]

  async run(): Promise<{readonly logs: readonly {readonly log: LogName; readonly path: string; readonly text?: string}[]}> {
    const {args, flags} = await this.parse(Log)
    const engine = await this.openEngine(flags)
    const {logFiles, readLog} = await import('../engine/logs.ts')
    const wanted = (await logFiles(engine, args.name)).filter(({log}) => (flags.console || flags.provision ? flags[log] : true))
    if (this.jsonEnabled()) {
      const read = async (path: string): Promise<string> => {
        const chunks = await Array.fromAsync(readLog(path, {tail: flags.tail, follow: false, signal: this.signal}))
        return Buffer.concat(chunks).toString()
      }
      return {logs: await Promise.all(wanted.map(async ({log, path, exists}) => ({log, path, ...(exists && {text: await read(path)})})))}
    }
    await printLog(wanted, (path, follow) => readLog(path, {tail: flags.tail, follow, signal: this.signal}), {follow: flags.follow})
    return {logs: wanted.map(({log, path}) => ({log, path}))}
  }
}
