import {fileURLToPath} from 'node:url'

/** The shell program that builds. It is a file of the package, beside `dist/` as it is beside this one. */
export const script = fileURLToPath(new URL('../../../src/image/build/build.sh', import.meta.url))
