import {mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import type {Workspace} from './run-command.ts'

/** Links a plugin as `vmctl plugins link` does, for the commands of this process that come after. Call it before the first one. */
export const linkPlugin = ({directory}: Workspace, {name, root}: {readonly name: string; readonly root: string}): void => {
  const data = join(directory, 'data')
  mkdirSync(join(data, 'vmctl'), {recursive: true})
  const plugins = [{type: 'link', name, root}]
  writeFileSync(join(data, 'vmctl/package.json'), JSON.stringify({private: true, oclif: {schema: 1, plugins}}))
  process.env.XDG_DATA_HOME = data
}

/** Writes a plugin that is one hook, and links it. */
export const writePlugin = (workspace: Workspace, hook: string): void => {
  const root = join(workspace.directory, 'plugin')
  mkdirSync(root)
  const manifest = {name: 'vmctl-plugin-test', version: '1.0.0', type: 'module', oclif: {hooks: {'vmctl:extend': './extend.js'}}}
  writeFileSync(join(root, 'package.json'), JSON.stringify(manifest))
  writeFileSync(join(root, 'extend.js'), hook)
  linkPlugin(workspace, {name: manifest.name, root})
}
