import {importedName} from '../draft.ts'
import {group, type KdlNode, node, withProps} from '../kdl.ts'
import {imageOfBox, similarImages} from './boxes.ts'
import {shareNode} from './folders.ts'
import type {Machine} from './machine.ts'
import {portNodes} from './networks.ts'
import {chosen} from './providers.ts'
import {stepNodes} from './provision.ts'

/** A machine as nodes: its volumes, which belong to the top level, and the VM itself. */
export interface MachineNodes {
  readonly volumes: readonly KdlNode[]
  readonly vm: KdlNode
}

/** @param taken ports of the host, with the machine that has them */
export const machineNodes = (machine: Machine, taken: Map<string, string>): MachineNodes => {
  const {name, hostname, user, disk, autostart, nodes, bootTimeout, networks} = machine
  const memory = chosen(machine, 'memory', machine.memory)
  const vcpus = chosen(machine, 'the number of CPUs', machine.vcpus)
  const volumes = machine.volumes.map((volume) => ({name: importedName(`${name}-${volume.name}`) ?? name, size: volume.size}))
  const children = [
    imageNode(machine),
    vcpus === undefined ? undefined : node('vcpus', Number(vcpus)),
    memory === undefined ? undefined : node('memory', memory),
    disk,
    ...nodes.values(),
    autostart ? undefined : node('autostart', false),
    ...networks,
    ...portNodes(machine, taken),
    ...volumes.map((volume) => node('volume', volume.name)),
    ...[...machine.folders].map(([target, folder]) => shareNode(machine, target, folder)),
    // Vagrant can always log in, as a user of this name.
    group('cloud-init', [], [hostname === undefined ? undefined : node('hostname', hostname), node('user', user)]),
    group('ssh', [], [bootTimeout === undefined ? undefined : node('connect-timeout', bootTimeout)]),
    ...machine.steps.flatMap((step) => stepNodes(machine, step)),
  ]
  const comment = commentOf(machine)
  return {
    volumes: volumes.map((volume) => withProps(node('volume', volume.name), {size: volume.size, filesystem: 'none'})),
    vm: {...group('vm', [name], children), ...(comment !== undefined && {comment})},
  }
}

const imageNode = ({box}: Machine): KdlNode | undefined => {
  const image = box === undefined ? undefined : imageOfBox(box)
  return image === undefined ? undefined : node('image', image)
}

/** What is still to be done where no image is known. */
const commentOf = ({name, box, shared}: Machine): string | undefined => {
  if (box !== undefined && imageOfBox(box) !== undefined) return undefined
  const similar = similarImages(box ?? '')
    .slice(0, 3)
    .map((image) => `image "${image}"`)
    .join(', ')
  const what = box === undefined || box === '' ? 'no box is named that is known here' : `the box ${box} is no image that vmctl knows`
  shared.warnings.about(name, `${what}: an image must be named, such as ${similar}, or image-url "https://…"`)
  return `Add an image, such as ${similar}: ${what}.`
}
