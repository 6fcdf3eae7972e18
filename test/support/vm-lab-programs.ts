import {spawnSync} from 'node:child_process'

/** PATH with the directories of system programs, which ordinary users often lack. */
export const sbinPath = (): string => `${process.env.PATH ?? ''}:/usr/sbin:/sbin`

const isThere = (program: string): boolean =>
  spawnSync('sh', ['-c', 'command -v "$1"', 'sh', program], {env: {...process.env, PATH: sbinPath()}}).status === 0

/** Programs of the host that are not there, of those named. */
export const absent = (...programs: readonly string[]): string[] => programs.filter((program) => !isThere(program))
