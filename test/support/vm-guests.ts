import {readdirSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {inject} from 'vitest'

import type {VmLab} from './vm-lab.ts'

/** Polls until a check passes, and fails with its last failure when the time is up. */
export const eventually = async <T>(check: () => T | Promise<T>, {timeoutMs = 30_000, everyMs = 100} = {}): Promise<T> => {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (Date.now() >= deadline) throw error
    }
    await sleep(everyMs)
  }
}

export interface MicroOptions {
  readonly image?: string
  readonly user?: string
  readonly memory?: number
}

/** A `vm` block on the micro guest. */
export const microVm = (name: string, body = '', {image = inject('micro'), user = 'dev', memory = 192}: MicroOptions = {}): string => `
vm ${JSON.stringify(name)} {
    image ${JSON.stringify(image)}
    memory ${memory}
    cloud-init { hostname ${JSON.stringify(name)}; }
    ssh { user ${JSON.stringify(user)}; }
${body}
}
`

/** A shell step with an inline text. */
export const inline = (text: string, settings = ''): string => `    provision "shell" { inline ${JSON.stringify(text)}; ${settings} }`

/** Names of half-made and half-removed things in a state directory: nothing of the kind may survive a successful command. */
export const leftovers = (lab: VmLab): string[] => {
  const vms = join(lab.stateDirectory, 'vms')
  const entries = readdirSync(vms, {recursive: true, encoding: 'utf8'})
  return entries.filter((entry) => /(?:^|\/)\.(?:new|gone)-|\.tmp$/.test(entry))
}
