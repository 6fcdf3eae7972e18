/** The hub of a mesh, in a process of its own: `node hub-program.ts NETWORK-DIRECTORY VMS-DIRECTORY`. */
import {runHub} from './hub.ts'

const [directory = '', vmsDirectory = ''] = process.argv.slice(2)
await runHub({directory, vmsDirectory})
