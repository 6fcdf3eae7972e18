import type {Duplex} from 'node:stream'

/** Ctrl+], which ends telnet and virsh console as well. */
const detachByte = 0x1d

/** How long a guest may take to read what was typed before Ctrl+]: a serial line takes a few bytes at a time, a suspended guest none. */
const drainMs = 1000

/**
 * Joins the terminal to a serial console until Ctrl+] or until the console ends. The terminal is raw meanwhile, so that
 * every key, Ctrl+C included, belongs to the guest; it is restored however this ends.
 * @returns why it ended
 */
export const joinConsole = async (console: Duplex, signal: AbortSignal): Promise<'detached' | 'closed'> => {
  const {stdin, stdout} = process
  const end = Promise.withResolvers<'detached' | 'closed'>()
  let drain: NodeJS.Timeout | undefined
  // QEMU forgets what it has not read yet when the connection breaks. Half-closed, it reads to the end and then closes.
  const detach = (rest?: Buffer): void => {
    stdin.off('data', type)
    stdin.pause()
    console.end(rest)
    drain = setTimeout(() => end.resolve('detached'), drainMs)
  }
  const type = (chunk: Buffer): void => {
    const at = chunk.indexOf(detachByte)
    // What was typed before Ctrl+] in the same moment still goes to the guest.
    if (at !== -1) detach(chunk.subarray(0, at))
    else if (!console.write(chunk)) {
      stdin.pause()
      console.once('drain', () => stdin.resume())
    }
  }
  const show = (chunk: Buffer): void => {
    if (stdout.write(chunk)) return
    console.pause()
    stdout.once('drain', () => console.resume())
  }
  const close = (): void => {
    end.resolve(drain ? 'detached' : 'closed')
  }
  const isTerminal = stdin.isTTY
  if (isTerminal) stdin.setRawMode(true)
  stdin.on('data', type)
  const endOfInput = (): void => {
    if (!drain) detach()
  }
  stdin.once('end', endOfInput)
  // A terminal that has gone can be neither read nor set.
  stdin.on('error', endOfInput)
  console.on('data', show)
  console.once('close', close)
  console.once('error', close)
  signal.addEventListener('abort', close, {once: true})
  try {
    return await end.promise
  } finally {
    clearTimeout(drain)
    stdin.off('data', type)
    stdin.off('end', endOfInput)
    console.off('data', show)
    if (isTerminal) stdin.setRawMode(false)
    stdin.pause()
    setImmediate(() => stdin.off('error', endOfInput))
    // A pipe that was paused while it delivered reads on for one more block, which would keep this process alive. A file has no unref.
    if ('unref' in stdin) stdin.unref()
    console.destroy()
  }
}
