import {Command} from '@oclif/core/command'
import * as Errors from '@oclif/core/errors'
import * as Flags from '@oclif/core/flags'
import type {Input, ParserOutput} from '@oclif/core/interfaces'

import type {Engine} from '../engine/engine.ts'
import type {EngineEvent} from '../engine/events.ts'
import type {Extension, PluginTools} from '../engine/extensions.ts'
import type {Doomed, Loss} from '../engine/show/loss.ts'
import {exitCodes, isFailure, isVmctlError, messageOf, VmctlError} from '../model/errors.ts'
import {commandsWithFlag, spaced} from './command-line.ts'
import type {Question} from './confirm.ts'
import {everything, listenToDebug, logLevel} from './logging.ts'
import {misreadFile} from './misread-file.ts'
import {OutputEnded, whileOutputLasts} from './outputs.ts'
import {openProgress, type Progress} from './progress.ts'
import {report} from './report.ts'
import {type CommandShape, usageError} from './usage-error.ts'

/** The event of oclif by which a plugin hands over what it brings: its hook returns an Extension. */
export const extensionHook = 'vmctl:extend'

/** How long the end of the work may take before it is explained, in milliseconds. */
const endingMs = 500

type Values = Readonly<Record<string, unknown>>

export interface EngineFlags {
  readonly 'state-dir'?: string | undefined
  readonly 'lock-timeout'?: number | undefined
  readonly 'fail-if-locked'?: boolean | undefined
  readonly frozen?: boolean | undefined
  readonly offline?: boolean | undefined
  readonly home?: string | undefined
}

/** What a command would destroy, and what is asked before. */
export interface Asked extends Omit<Question, 'losses'>, Doomed {
  /** `--yes`. */
  readonly yes: boolean
  /** What is no whole VM and no volume. */
  readonly losses?: readonly Loss[]
}

/** What all commands share: the global flags, the engine, Ctrl+C, and how failures end. */
export abstract class VmctlCommand extends Command {
  static override enableJsonFlag = true

  static override baseFlags = {
    'state-dir': Flags.directory({
      summary: 'Directory that holds the VMs, instead of $XDG_DATA_HOME/vmctl.',
      env: 'VMCTL_STATE_DIR',
      helpGroup: 'GLOBAL',
    }),
    debug: Flags.boolean({summary: 'Print what vmctl does to standard error; VMCTL_LOG chooses parts of it.', helpGroup: 'GLOBAL'}),
  }

  /** Whether the work of the command is its output: it ends when nobody reads that any longer. */
  protected readonly onlyPrints: boolean = false

  #progress: Progress | undefined
  #isOver = false
  #output: ReturnType<typeof whileOutputLasts> | undefined
  readonly #controller = new AbortController()

  /** Aborted by Ctrl+C and by SIGTERM. */
  protected get signal(): AbortSignal {
    return this.#controller.signal
  }

  /**
   * Reads the words of the command line and nothing else. By default oclif takes an absent argument from standard input, which
   * here belongs to the program in the guest, and loses what it has read.
   */
  protected override async parse<F extends Values, B extends Values, A extends Values>(
    options?: Input<F, B, A>,
    argv?: string[],
  ): Promise<ParserOutput<F, B, A>> {
    for (const arg of Object.values(options?.args ?? {})) arg.ignoreStdin = true
    try {
      const parsed = await super.parse(options, argv)
      const misread = this.#misreadFile(options, argv)
      if (misread) throw misread
      listenToDebug(parsed.flags.debug === true ? everything : logLevel())
      return parsed
    } catch (error) {
      throw this.#misreadFile(options, argv) ?? usageError(error, this.#shape(options))
    }
  }

  #shape({args, flags, baseFlags}: {readonly args?: object; readonly flags?: object; readonly baseFlags?: object} = {}): CommandShape {
    return {
      words: spaced(this.id ?? ''),
      args: Object.keys(args ?? {}),
      flags: Object.keys({...flags, ...baseFlags, json: true, help: true}),
      known: this.config.commandIDs.map(spaced),
      elsewhere: (flag) => commandsWithFlag(flag, this.config),
    }
  }

  #misreadFile(
    options: {readonly flags?: Readonly<Record<string, {readonly char?: string}>>} | undefined,
    argv = this.argv,
  ): VmctlError | undefined {
    return options?.flags?.file?.char === 'f' ? misreadFile(argv, spaced(this.id ?? '')) : undefined
  }

  /** Opens the engine with the plugins' extensions, and joins it to the terminal. */
  protected async openEngine(flags: EngineFlags): Promise<Engine> {
    const {openEngine} = await import('../engine/engine.ts')
    this.watchSignals()
    const output = this.onlyPrints ? whileOutputLasts() : undefined
    this.#output = output
    const progress = openProgress({json: this.jsonEnabled()})
    this.#progress = progress
    const lockTimeoutMs = flags['fail-if-locked'] ? 0 : flags['lock-timeout']
    return openEngine({
      ...(lockTimeoutMs !== undefined && {lockTimeoutMs}),
      ...(flags['state-dir'] !== undefined && {stateDirectory: flags['state-dir']}),
      ...(flags.frozen !== undefined && {frozen: flags.frozen}),
      ...(flags.offline !== undefined && {offline: flags.offline}),
      ...(flags.home !== undefined && {home: flags.home}),
      extensions: await this.#extensions(),
      onEvent: (event: EngineEvent) => progress.show(event),
      signal: output ? AbortSignal.any([this.signal, output.signal]) : this.signal,
    })
  }

  /** The VM that exists and that a name means here: a short one belongs to the VMFile of this directory. */
  protected async vmNamed(engine: Engine, asked: string, file?: string): Promise<string> {
    const {findVm} = await import('../engine/find.ts')
    return findVm(engine, asked, {file, directory: process.cwd()})
  }

  /** A warning that never disturbs `--json`. */
  protected tell(message: string): void {
    if (!this.jsonEnabled()) this.above(() => process.stderr.write(`${message}\n`))
  }

  /** The work is over: what is printed from here on stands below the rows. */
  protected async settle(): Promise<void> {
    await this.#progress?.close()
  }

  /** What the command prints itself; the rows are away meanwhile. */
  override log(message?: string, ...args: unknown[]): void {
    this.above(() => super.log(message, ...args))
  }

  protected above<T>(write: () => T): T {
    return this.#progress ? this.#progress.above(write) : write()
  }

  /**
   * Lets a person on a terminal say no to what cannot be undone. Nobody is asked who said `--yes`, wants JSON or has no terminal, and
   * nothing is asked where nothing would be lost.
   */
  protected async confirmLoss(engine: Engine, asked: Asked): Promise<void> {
    if (asked.yes || this.jsonEnabled()) return
    const {canAsk, confirm} = await import('./confirm.ts')
    if (!canAsk()) return
    const {lossOf} = await import('../engine/show/loss.ts')
    const losses = [...(asked.losses ?? []), ...(await lossOf(engine, asked))]
    if (losses.length > 0) await this.above(() => confirm({...asked, losses}, this.signal))
  }

  /** Lets Ctrl+C and its like abort `signal`, instead of ending the process at once. */
  protected watchSignals(): void {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(name, () => {
        if (this.signal.aborted) this.#leave()
        this.#controller.abort(new VmctlError('vmctl::interrupted', name === 'SIGINT' ? 'Interrupted.' : `Interrupted by ${name}.`))
        if (!this.onlyPrints) setTimeout(() => this.#tellEnding(), endingMs).unref()
      })
    }
  }

  #tellEnding(): void {
    if (!this.#isOver) this.above(() => process.stderr.write('Ending what runs, in guests too. A second Ctrl+C leaves at once.\n'))
  }

  /** The second Ctrl+C. */
  #leave(): never {
    this.#isOver = true
    // What has been drawn stays, and nothing is waited for.
    void this.#progress?.close(this.signal.reason)
    if (!this.onlyPrints)
      process.stderr.write(
        'Left at once. A step may go on in its guest, or have been ended there half-way; the next `vmctl up` says which.\n',
      )
    process.exit(exitCodes.interrupted)
  }

  async #extensions(): Promise<Extension[]> {
    const {successes, failures} = await this.config.runHook(extensionHook, {VmctlError} satisfies PluginTools)
    for (const {plugin, error} of failures) {
      this.tell(`Warning: the plugin ${plugin.name} could not be loaded: ${messageOf(error)}`)
    }
    return successes.map(({result}) => result).filter(isExtension)
  }

  protected override async catch(error: Error): Promise<never> {
    this.#isOver = true
    const {aborted, reason} = this.signal
    // Who knows more of it has said what the interruption means.
    const failure = aborted && isVmctlError(reason) && !isFailure(error, 'vmctl::interrupted') ? reason : error
    await this.#progress?.close(failure)
    if (error instanceof Errors.ExitError) throw error
    if (error instanceof OutputEnded) throw new Errors.ExitError(exitCodes.unread)
    throw new Errors.ExitError(report(failure, {json: this.jsonEnabled()}))
  }

  protected override async finally(error: Error | undefined): Promise<void> {
    await this.#progress?.close()
    this.#output?.[Symbol.dispose]()
    await super.finally(error)
  }
}

const isExtension = (value: unknown): value is Extension => typeof value === 'object' && value !== null
