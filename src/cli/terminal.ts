import type {Duplex} from 'node:stream'

/** Ctrl+], which ends telnet and virsh console as well. */
const detachByte = 0x1d

/**
 * Joins the terminal to a serial console until Ctrl+] or until the console ends. The terminal is raw meanwhile, so that
 * every key, Ctrl+C included, belongs to the guest; it is restored however this ends.
 * @returns why it ended
 */
export const joinConsole = async (console: Duplex, signal: AbortSignal): Promise<'detached' | 'closed'> => {
  const {stdin, stdout} = process
  const end = Promise.withResolvers<'detached' | 'closed'>()
  const type = (chunk: Buffer): void => {
    const at = chunk.indexOf(detachByte)
    // What was typed before Ctrl+] in the same moment still goes to the guest.
    if (at === -1) {
      if (!console.write(chunk)) {
        stdin.pause()
        console.once('drain', () => stdin.resume())
      }
      return
    }
    stdin.pause()
    console.write(chunk.subarray(0, at), () => {
      end.resolve('detached')
    })
  }
  const show = (chunk: Buffer): void => {
    if (stdout.write(chunk)) return
    console.pause()
    stdout.once('drain', () => console.resume())
  }
  const close = (): void => {
    end.resolve('closed')
  }
  const isTerminal = stdin.isTTY
  if (isTerminal) stdin.setRawMode(true)
  stdin.on('data', type)
  if (!isTerminal) stdin.once('end', () => end.resolve('detached'))
  console.on('data', show)
  console.once('close', close)
  console.once('error', close)
  signal.addEventListener('abort', close, {once: true})
  try {
    return await end.promise
  } finally {
    stdin.off('data', type)
    console.off('data', show)
    if (isTerminal) stdin.setRawMode(false)
    stdin.pause()
    // A pipe that was paused while it delivered reads on for one more block, which would keep this process alive. A file has no unref.
    if ('unref' in stdin) stdin.unref()
    console.destroy()
  }
}
