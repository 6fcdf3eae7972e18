import * as Flags from '@oclif/core/flags'

import {graphMermaid, graphText} from '../cli/draw-graph.ts'
import {graphSvg} from '../cli/graph-svg.ts'
import * as flags from '../cli/flags.ts'
import {screenOf} from '../cli/screen.ts'
import {VmfileCommand} from '../cli/vmfile-command.ts'
import type {Graph} from '../engine/show/graph.ts'

const drawings = {text: (graph: Graph) => graphText(graph, screenOf(process.stdout)), mermaid: graphMermaid, svg: graphSvg} as const

export default class GraphCommand extends VmfileCommand {
  static override summary = 'Draw which VM waits for which.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --format svg > stack.svg']
  static override flags = {
    file: flags.file,
    format: Flags.option({options: ['text', 'mermaid', 'svg'] as const, default: 'text', summary: 'Output format.'})(),
  }

  async run(): Promise<Graph> {
    const {flags: given} = await this.parse(GraphCommand)
    const vmfile = await this.readVmfile(await this.openEngine(given), given.file, {toleratesMissing: true})
    const {graphOf} = await import('../engine/show/graph.ts')
    const graph = graphOf(vmfile)
    this.log(drawings[given.format](graph))
    return graph
  }
}
