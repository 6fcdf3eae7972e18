/** `npm run bench [-- NAME…] [--json]`: measures the ratios of the speed goals and prints one table. It judges nothing: it always exits with 0, or 130. */
import {parseArgs} from 'node:util'

import {boot} from './benches/boot.ts'
import {cold, eight, four} from './benches/cold.ts'
import {disk} from './benches/disk.ts'
import {download} from './benches/download.ts'
import {enter} from './benches/enter.ts'
import {image} from './benches/image.ts'
import {layers} from './benches/layers.ts'
import {meshGuests} from './benches/mesh-guests.ts'
import {mesh} from './benches/mesh.ts'
import {notice} from './benches/notice.ts'
import {packaging} from './benches/package.ts'
import {snapshot} from './benches/snapshot.ts'
import {startup} from './benches/startup.ts'
import {output, tree, upload} from './benches/transfer.ts'
import {unchanged} from './benches/unchanged.ts'
import {vmfile} from './benches/vmfile.ts'
import {type Line, type Row, type Skipped, table} from './lib/report.ts'
import {openWorkspace, type Workspace} from './lib/workspace.ts'

const benches: Readonly<Record<string, (workspace: Workspace) => Promise<readonly (Row | Skipped)[]>>> = {
  startup,
  unchanged,
  vmfile,
  upload,
  tree,
  output,
  image,
  download,
  disk,
  boot,
  package: packaging,
  mesh,
  'mesh-guests': meshGuests,
  notice,
  enter,
  snapshot,
  layers,
  cold,
  four,
  eight,
}

const usage = `Usage: npm run bench -- [NAME…] [--json]\nBenches: ${Object.keys(benches).join(', ')}\n`

const main = async (): Promise<void> => {
  const {values, positionals} = parseArgs({allowPositionals: true, options: {json: {type: 'boolean'}, help: {type: 'boolean', short: 'h'}}})
  const unknown = positionals.filter((name) => !Object.hasOwn(benches, name))
  if (values.help || unknown.length > 0) {
    process.stdout.write(usage)
    return
  }
  const workspace = await openWorkspace()
  let isInterrupted = false
  const interrupt = (): void => {
    isInterrupted = true
    void workspace.end().finally(() => process.exit(130))
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt)
  const lines: Line[] = []
  try {
    for (const name of positionals.length > 0 ? positionals : Object.keys(benches)) {
      process.stderr.write(`${name} …`)
      const began = performance.now()
      const rows = await attempt(name, workspace, () => isInterrupted)
      lines.push(...rows.map((row) => ({bench: name, ...row})))
      process.stderr.write(` ${((performance.now() - began) / 1000).toFixed(0)} s\n`)
    }
  } finally {
    await workspace.end()
  }
  process.stdout.write(values.json ? `${JSON.stringify({node: process.version, rows: lines}, undefined, 2)}\n` : `\n${table(lines)}`)
}

/** A bench that cannot be run is a line of the table and spoils no other. */
const attempt = async (name: string, workspace: Workspace, isInterrupted: () => boolean): Promise<readonly (Row | Skipped)[]> => {
  try {
    return (await benches[name]?.(workspace)) ?? []
  } catch (error) {
    // Its programs were killed.
    if (isInterrupted()) return []
    const message = error instanceof Error ? error.message : String(error)
    process.stderr.write(` ${message}\n`)
    return [{what: name, skipped: `it failed: ${message.split('\n')[0]?.slice(0, 120)}`}]
  }
}

await main()
