/** A process of its own that notes a start in the journal of a VM, as a verb does that holds its lock: `node note-start.ts DIRECTORY`. */
import {holdRecords, readRecords} from '../../src/engine/vm/records.ts'
import {noteStart} from '../../src/provision/run/journal.ts'

const [directory = ''] = process.argv.slice(2)
await noteStart(holdRecords(directory, await readRecords(directory)))
