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
