import type {VmSpec} from '../model/vm.ts'
import {buildCloudInit, buildSsh} from './build-guest.ts'
import {buildImage} from './build-image.ts'
import {buildFirmware, buildNetwork, buildQemu} from './build-machine.ts'
import {buildStep} from './build-provision.ts'
import {type Context, optional} from './context.ts'
import type {vmfile} from './schema.ts'
import type {Read} from './shapes.ts'

type ReadVm = Read<(typeof vmfile)['fields']['vm']>[number]

/** The VMs of a file, checked against each other and against the files they name. A VM that is too broken to describe is left out. */
export const buildVms = async (vms: readonly ReadVm[], context: Context): Promise<readonly VmSpec[]> => {
  const {report} = context
  if (vms.length === 0 && !report.hasErrors()) {
    report.error({start: 0, end: 1}, 'no vm definitions found', 'add vm "name" { image "…" }')
  }
  refuseSameNames(vms, context)
  const specs = await Promise.all(vms.map((vm) => buildVm(vm, context)))
  return specs.filter((spec) => spec !== undefined)
}

const refuseSameNames = (vms: readonly ReadVm[], {report}: Context): void => {
  const seen = new Map<string, number>()
  for (const {argument: name} of vms) {
    if (!name) continue
    const first = seen.get(name.value)
    if (first === undefined) seen.set(name.value, name.start)
    else report.error(name, `there are two VMs named "${name.value}"`, `the first is in line ${report.lineOf(first)}; choose another name`)
  }
}

const buildVm = async (vm: ReadVm, context: Context): Promise<VmSpec | undefined> => {
  const {fields} = vm
  const name = vm.argument?.value ?? ''
  const {provision, ssh, firmware, qemu} = fields
  if (provision[0] && !ssh) {
    context.report.error(provision[0], `VM "${name}" has provisioners but no ssh block`, 'add an ssh { } section to VMFile.kdl')
  }
  const image = await buildImage(vm, fields, context)
  const parts = {
    ...optional('cloudInit', fields['cloud-init'] && (await buildCloudInit(fields['cloud-init'], name, context))),
    ...optional('ssh', ssh && (await buildSsh(ssh, context))),
    ...optional('firmware', firmware && (await buildFirmware(firmware, context))),
    ...optional('qemu', qemu && buildQemu(qemu, context)),
    provision: await Promise.all(provision.map((step) => buildStep(step, context))),
  }
  if (!image) return undefined
  return {
    name,
    image,
    vcpus: fields.vcpus.value,
    memoryMiB: fields.memory.value / 2 ** 20,
    ...optional('diskBytes', fields.disk?.value),
    network: buildNetwork(fields.network),
    ...parts,
  }
}
