import {execFileSync} from 'node:child_process'
import {resolve} from 'node:path'

let path: string | undefined

/** Path of the micro guest's image, which is built first if need be. */
export const microImage = (): string => {
  path ??= execFileSync('sh', [resolve(import.meta.dirname, '../../fixtures/guests/build.sh'), 'micro'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).trim()
  return path
}
