/**
 * Control sequences of ECMA-48 and xterm:
 * CSI (7-bit or 8-bit introducer), the strings OSC, DCS, SOS, PM and APC with their terminator, and two-character escapes.
 * A sequence that the text cuts off is matched up to the end, so that no part of it is taken for text.
 */
const sequences = new RegExp(
  [
    String.raw`(?:\x1b\[|\x9b)[0-?]*[ -/]*(?:[@-~]|$)`,
    String.raw`(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|(?=\x1b)|$)`,
    String.raw`\x1b[ -/]*(?:[0-~]|$)`,
  ].join('|'),
  'g',
)

// Control characters of C0 (but tab and line feed), DEL and C1.
const controls = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g

/**
 * Text that a guest wrote, made safe for a terminal and for an error message: no cursor movement, no title changes,
 * no colours. Line feeds and tabs stay; CR LF becomes a line feed.
 */
export const stripControls = (text: string): string => text.replaceAll(sequences, '').replaceAll('\r\n', '\n').replaceAll(controls, '')

/** For every byte whether it can be part of a control character in UTF-8: all of C0 but tab and line feed, DEL, and the first byte of C1. */
const suspects = Uint8Array.from({length: 256}, (_, byte) =>
  Number((byte < 0x20 && byte !== 0x09 && byte !== 0x0a) || byte === 0x7f || byte === 0xc2),
)

const suspicious = (byte: number): number => suspects[byte] ?? 0

/** Whether the text of these bytes may have something that `stripControls` takes away. Far cheaper than to look at the text. */
export const mayHaveControls = (bytes: Uint8Array): boolean => {
  const toAligned = -bytes.byteOffset & 3
  const before = Math.min(bytes.length, toAligned)
  const words =
    bytes.length < toAligned ? new Int32Array() : new Int32Array(bytes.buffer, bytes.byteOffset + toAligned, (bytes.length - before) >> 2)
  const after = before + words.length * 4
  let found = 0
  for (let at = 0; at < before; at++) found |= suspicious(bytes[at] ?? 0)
  for (let at = after; at < bytes.length; at++) found |= suspicious(bytes[at] ?? 0)
  // Four bytes at once: all of them printable ASCII, as nearly always, or each is looked up.
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? 0
    if ((((word - 0x20202020) | (word + 0x01010101) | word) & 0x80808080) === 0) continue
    found |= suspicious(word & 0xff) | suspicious((word >>> 8) & 0xff)
    found |= suspicious((word >>> 16) & 0xff) | suspicious(word >>> 24)
  }
  return found !== 0
}
