import {readFile} from 'node:fs/promises'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'

import {run} from './process.ts'
import type {Workspace} from './workspace.ts'
import type {Task, TaskOptions} from '../worker.ts'

const worker = fileURLToPath(new URL('../worker.ts', import.meta.url))

/** Has a process of its own do something with the library, and returns the milliseconds that it took, without the start of the process. */
export const work = async (workspace: Workspace, task: Task, options: TaskOptions): Promise<number> => {
  const report = join(await workspace.directory('report'), 'ms')
  await run(process.execPath, [worker, task, report, JSON.stringify(options)], {env: workspace.env, stdout: 'discard'})
  return Number(await readFile(report, 'utf8'))
}
