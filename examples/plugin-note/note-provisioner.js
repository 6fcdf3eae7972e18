const quote = (word) => `'${word.replaceAll("'", String.raw`'\''`)}'`

/**
 * provision "note" { text "…"; path "/etc/motd" } writes a line into a file of the guest.
 * @type {import('vmctl/plugin').Provisioner<{text: string, path: string}>}
 */
export const noteProvisioner = {
  type: 'note',

  parse({text, path = '/tmp/note'}) {
    if (typeof text !== 'string') throw new Error('a note needs a text')
    return {text, path}
  },

  describe: ({path}) => `note in ${path}`,

  // What the step depends on; of a changed text `vmctl up` says "text changed" and runs the step.
  facts: async (settings) => settings,

  async run({text, path}, {guest, output, signal}) {
    const connection = await guest()
    const exit = await connection.exec(`sh -c ${quote(`printf '%s\\n' ${quote(text)} >${quote(path)}`)}`, {
      onStderr: (chunk) => output('stderr', chunk),
      signal,
    })
    if (exit.code !== 0) throw new Error(`the note could not be written (exit code ${exit.code})`)
    await output('stdout', Buffer.from(`noted in ${path}\n`))
  },
}
