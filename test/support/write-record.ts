/** A process of its own that writes a VM's record again and again: `node write-record.ts DIRECTORY COUNT MARK`. */
import {writeVm} from '../../src/store/store.ts'
import {readRecord} from '../../src/store/store.ts'

const [directory = '', count = '', mark = ''] = process.argv.slice(2)
const vm = await readRecord(directory, 'web')
if (!vm) throw new Error('There is no record to start from.')
for (let round = 0; round < Number(count); round++) await writeVm({...vm, createdAt: `${mark} ${round} ${'x'.repeat(50_000)}`})
