import {readdir, readlink} from 'node:fs/promises'
import {join} from 'node:path'

import {listProcesses} from '../../host/proc.ts'
import {vmFiles} from '../../model/layout.ts'
import {vmDirectory} from '../../store/store.ts'
import type {Engine} from '../engine.ts'

/** Whether any process that we may look at has the disk of a VM open. */
export const diskIsInUse = async (engine: Engine, name: string): Promise<boolean> => {
  const {overlay} = vmFiles(vmDirectory(engine.store, name))
  for (const pid of await listProcesses()) {
    const directory = `/proc/${pid}/fd`
    for (const descriptor of await readdir(directory).catch(() => [])) {
      const target = await readlink(join(directory, descriptor)).catch(() => '')
      if (target === overlay) return true
    }
  }
  return false
}
