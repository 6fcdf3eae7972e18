/** Lets a guest go on whose vmctl has died while it was held: `node guard-program.ts VM-DIRECTORY`. */
import {setTimeout as sleep} from 'node:timers/promises'

import {guardLives, letGo} from './guard.ts'

const [directory = ''] = process.argv.slice(2)
while (await guardLives(directory)) await sleep(20)
await letGo(directory)
