import {styleText} from 'node:util'

export type Style = Parameters<typeof styleText>[0]

/** What text is drawn for. */
export interface Screen {
  /** Columns of the terminal; absent where nothing has to fit: in a file, in a pipe. */
  readonly width?: number
  readonly colour: boolean
}

interface Output {
  readonly isTTY?: boolean
  readonly columns?: number
  hasColors?(): boolean
}

/** What a stream leads to. A terminal that says it has no columns, as serial lines do, is as wide as it likes. */
export const screenOf = (stream: Output, env: NodeJS.ProcessEnv = process.env): Screen => {
  const {isTTY, columns = 0} = stream
  if (!isTTY) return {colour: false}
  return {...(columns > 0 && {width: columns}), colour: stream.hasColors?.() === true && !env.NO_COLOR}
}

export const paint = (style: Style | undefined, text: string, {colour}: Pick<Screen, 'colour'>): string =>
  colour && style !== undefined && text !== '' ? styleText(style, text, {validateStream: false}) : text
