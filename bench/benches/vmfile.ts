import {writeFile} from 'node:fs/promises'
import {join} from 'node:path'

import {cpuOver, inTurn} from '../lib/measure.ts'
import {cpuMs, missing} from '../lib/process.ts'
import type {Row, Skipped} from '../lib/report.ts'
import {emptyDisk, type Workspace} from '../lib/workspace.ts'
import {emptyNode} from './startup.ts'

const lineCount = 10_000
const goal = {atMost: 500}

/** A VMFile of 10,000 lines: what reading and checking it costs above a file of 20 lines, which has to load the parser too. */
export const vmfile = async (workspace: Workspace): Promise<(Row | Skipped)[]> => {
  const lack = await missing('bash')
  if (lack !== undefined) return [{what: `VMFile of ${lineCount} lines`, skipped: lack}]
  const directory = await workspace.directory('vmfile')
  const disk = await emptyDisk(directory)
  const write = async (name: string, lines: number, broken = false): Promise<string> => {
    const path = join(directory, name)
    await writeFile(path, text(lines, disk, broken))
    return path
  }
  const [small, large, broken] = [
    await write('small.kdl', 20),
    await write('large.kdl', lineCount),
    await write('broken.kdl', lineCount, true),
  ]
  const validate = (path: string): Promise<number> =>
    // A VMFile with problems ends with status 2.
    cpuMs(['sh', '-c', '"$@" || [ $? -eq 2 ]', 'sh', ...workspace.command('validate', '--file', path)], {env: workspace.env})
  const compare = (one: string, other: () => Promise<number>) => inTurn({count: 5}, () => validate(one), other)
  const referenceName = 'validate 20 lines'
  return [
    cpuOver({what: `vmctl validate, ${lineCount} lines`, referenceName, samples: await compare(large, () => validate(small)), goal}),
    cpuOver({
      what: `the same with a problem in each of its VMs`,
      referenceName,
      samples: await compare(broken, () => validate(small)),
      goal,
    }),
    cpuOver({what: `vmctl validate, 20 lines`, referenceName: 'node -e 0', samples: await compare(small, () => emptyNode(workspace))}),
  ]
}

/** VMs of 20 lines each, as people write them. */
const text = (lines: number, disk: string, broken: boolean): string =>
  Array.from({length: lines / 20}, (_, index) =>
    [
      `// Number ${index}`,
      `vm "web-${index}" {`,
      `  image "${disk}" format="raw"`,
      `  vcpus 2`,
      `  ${broken ? 'memroy' : 'memory'} "2G"`,
      `  disk "20G"`,
      `  cloud-init {`,
      `    hostname "web-${index}"`,
      `    user "deploy"`,
      `  }`,
      `  ssh {`,
      `    user "deploy"`,
      `  }`,
      `  provision "shell" {`,
      `    inline "apt-get update && apt-get install -y nginx"`,
      `    env STAGE="production" RELEASE="${index}"`,
      `    timeout "10m"`,
      `  }`,
      `}`,
      ``,
    ].join('\n'),
  ).join('\n')
