const quote = (word) => `'${word.replaceAll("'", String.raw`'\''`)}'`

/**
 * A failure of its own: a code, the kind by its exit status (6 is the guest), and what to do.
 * @type {import('vmctl/plugin').Failure}
 */
export const notWritten = {
  code: 'note::file::not_written',
  exit: 6,
  help: (vm) => `Look at the directory in the guest (\`vmctl ssh ${vm}\`), or choose another \`path\`.`,
}

/**
 * provision "note" { text "…"; path "/etc/motd" } writes a line into a file of the guest.
 * @returns {import('vmctl/plugin').Provisioner<{text: string, path: string}>}
 */
export const noteProvisioner = ({VmctlError}) => ({
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
    if (exit.code !== 0) {
      throw new VmctlError(notWritten, `The note could not be written to ${path}.`, {exitCode: exit.code ?? undefined})
    }
    await output('stdout', Buffer.from(`noted in ${path}\n`))
  },
})
