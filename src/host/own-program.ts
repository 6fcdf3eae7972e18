import {findPackageJSON} from 'node:module'
import {dirname, extname, join} from 'node:path'
import {fileURLToPath} from 'node:url'

/** The words by which this host runs vmctl again as it runs now. */
export const ownCommand = (): readonly string[] => [process.execPath, ...process.execArgv, process.argv[1] ?? '']

/**
 * The words with which Node runs a program of vmctl's own, from the source in development, else from what the build has made of it.
 * @param name its file below src/, without the extension; scripts/bundle.ts names it too
 */
export const ownProgram = (name: string): readonly string[] => {
  const root = dirname(findPackageJSON(import.meta.url) ?? '')
  const isSource = extname(fileURLToPath(import.meta.url)) === '.ts'
  // Node strips types, and says on every start that it does.
  return isSource ? ['--disable-warning=ExperimentalWarning', join(root, 'src', `${name}.ts`)] : [join(root, 'dist', `${name}.js`)]
}
