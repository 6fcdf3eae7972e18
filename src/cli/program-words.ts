/** The flags of a command, as much of them as tells where they end. */
export type FlagShapes = Readonly<Record<string, {readonly type: string; readonly char?: string | undefined}>>

/** Whether a command ends with a program for a guest, whose words are not looked at. */
export const isProgramCommand = (id: string): boolean => ['exec', 'run'].includes(id)

/**
 * Divides the words of a command that ends with a program for a guest: the command's own flags stand in front, and from the first
 * word that is none everything belongs to the guest, whatever it looks like. `--` may stand between the two.
 */
export const splitProgram = (argv: readonly string[], flags: FlagShapes): {readonly own: string[]; readonly rest: string[]} => {
  const takesValue = (word: string): boolean => {
    const found = Object.entries(flags).find(([name, flag]) => word === `--${name}` || word === `-${flag.char}`)
    return found?.[1].type === 'option'
  }
  let at = 0
  while (at < argv.length) {
    const word = argv[at] ?? ''
    if (word === '--' || !word.startsWith('-')) break
    at += takesValue(word) ? 2 : 1
  }
  return {own: argv.slice(0, at), rest: argv.slice(at)}
}
