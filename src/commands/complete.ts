import {VmctlCommand} from '../cli/base-command.ts'
import {type Candidate, candidateLines, wantedAt} from '../cli/candidates.ts'

/** What the scripts of `vmctl completion` ask. */
export default class Complete extends VmctlCommand {
  static override hidden = true
  static override strict = false
  static override summary = 'Print what may stand where the cursor is, for a shell that completes.'
  static override examples = ['<%= config.bin %> <%= command.id %> -- image p']

  async run(): Promise<{readonly candidates: readonly Candidate[]; readonly files: boolean}> {
    const typed = this.argv.slice(this.argv.indexOf('--') + 1)
    const wanted = wantedAt(typed, this.config)
    const names = await this.#names(wanted)
    const candidates = [...wanted.words, ...names.map((name) => ({word: wanted.isRemotePath ? `${name}:` : name}))]
    for (const line of candidateLines(candidates, typed.at(-1) ?? '')) this.log(line)
    if (wanted.files) this.log(':files')
    return {candidates, files: wanted.files ?? false}
  }

  /** A shell that completes is told no failures. */
  async #names({names, file}: ReturnType<typeof wantedAt>): Promise<readonly string[]> {
    if (names === undefined) return []
    try {
      const engine = await this.openEngine({})
      const {typedNames} = await import('../engine/manage/typed-names.ts')
      return await typedNames(engine, names, {file, directory: process.cwd()})
    } catch {
      return []
    }
  }
}
