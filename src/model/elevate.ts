import {elevate as asRoot} from './programs/index.ts'
import {quote} from './quote.ts'

/** The command line that runs `command` (a POSIX shell command line) with the rights of root. */
export const elevate = (command: string): string => `sh -c ${quote(asRoot.text)} sh ${quote(command)}`
