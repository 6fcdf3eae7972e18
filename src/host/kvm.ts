import {open, readdir, readFile} from 'node:fs/promises'

import {messageOf} from '../model/errors.ts'

/** Why this user cannot use KVM on this host at all; undefined when the device can be opened, which proves no more than that. */
export const kvmRefusal = async (): Promise<string | undefined> => {
  try {
    await (await open('/dev/kvm', 'r+')).close()
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}

/** Parameters of the modules on which the speed of a guest depends. */
const parameters = ['ept', 'npt', 'unrestricted_guest', 'nested']

/** The modules of KVM with what decides about their speed, as one text: another text is another KVM. */
export const kvmModules = async (): Promise<string> => {
  const modules = (await readdir('/sys/module').catch(() => [])).filter((name) => /^kvm(?:_|$)/.test(name)).toSorted()
  const described = await Promise.all(
    modules.map(async (name) => {
      const values = await Promise.all(parameters.map((parameter) => readWord(`/sys/module/${name}/parameters/${parameter}`)))
      return [name, ...parameters.flatMap((parameter, index) => (values[index] ? [`${parameter}=${values[index]}`] : []))].join(' ')
    }),
  )
  return described.join(', ')
}

/** Whether the processor shows that it runs guests in hardware (Intel VT-x, AMD-V): in a VM, whether the host passes that on. */
export const hasHardwareVirtualization = async (): Promise<boolean> =>
  /^flags\s*:.*\b(?:vmx|svm)\b/m.test(await readFile('/proc/cpuinfo', 'utf8').catch(() => ''))

const readWord = (path: string): Promise<string> =>
  readFile(path, 'utf8').then(
    (text) => text.trim(),
    () => '',
  )
