import {resolvePath} from '../../host/paths.ts'
import type {FirmwareConfig, QemuConfig} from '../../model/vm.ts'
import {type Context, optional, resolveExisting} from './context.ts'
import type {vmfile} from '../grammar/schema.ts'
import type {Read} from '../grammar/shapes.ts'

type VmFields = (typeof vmfile)['fields']['vm']['fields']

/** Undefined when the kind of firmware is missing or wrong, which has been reported. */
export const buildFirmware = async (
  firmware: NonNullable<Read<VmFields['firmware']>>,
  context: Context,
): Promise<FirmwareConfig | undefined> => {
  const {report} = context
  const {'secure-boot': secureBoot, code, vars} = firmware.fields
  const type = firmware.argument?.value
  if (type === 'bios') {
    for (const [name, field] of Object.entries({code, vars, ...(secureBoot.value ? {'secure-boot': secureBoot} : {})})) {
      if (field) report.error(field, `${name} needs UEFI`, 'write firmware "uefi"')
    }
  }
  const alone = type === 'bios' ? undefined : code && !vars ? code : vars && !code ? vars : undefined
  if (alone) report.error(alone, 'code and vars are needed together', `add ${code ? 'vars' : 'code'}`)
  const paths = await Promise.all([code, vars].map((file) => file && resolveExisting(file, 'firmware file', context)))
  return type && {type, secureBoot: secureBoot.value, ...optional('code', paths[0]), ...optional('vars', paths[1])}
}

export const buildQemu = ({fields}: NonNullable<Read<VmFields['qemu']>>, {directory}: Context): QemuConfig => {
  const {machine, cpu, accel, binary, display, args} = fields
  // A name is looked up in PATH, a path is relative to the VMFile like every other.
  const program = binary && (/^~|\//.test(binary.value) ? resolvePath(binary.value, directory) : binary.value)
  const values = <T>(list: readonly {readonly value: T}[]): readonly T[] | undefined =>
    list.length > 0 ? list.map(({value}) => value) : undefined
  return {
    ...optional('machine', machine?.value),
    ...optional('cpu', cpu?.value),
    ...optional('accel', values(accel)),
    ...optional('binary', program),
    ...optional('display', display?.value),
    ...optional('args', values(args)),
  }
}
