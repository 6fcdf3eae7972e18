import {readFileSync} from 'node:fs'
import {dirname, resolve} from 'node:path'
import {fileURLToPath} from 'node:url'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..')
const pjson = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8'))

/** Load options that make oclif take the commands from src/ instead of dist/. */
export const fromSource = {
  root,
  ignoreManifest: true,
  pjson: {...pjson, oclif: {...pjson.oclif, commands: './src/commands'}},
}
