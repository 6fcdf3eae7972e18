import {findPackageJSON} from 'node:module'
import {dirname, join} from 'node:path'

/** The shell program that builds. It is a file of the package, whatever file the build has put this into. */
export const script = join(dirname(findPackageJSON(import.meta.url) ?? ''), 'src/image/build/build.sh')
