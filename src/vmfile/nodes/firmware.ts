import type {FirmwareConfig} from '../../model/vm.ts'
import {always, namesOf} from '../grammar/change.ts'
import {boolean, path, word} from '../grammar/kinds.ts'
import {block, defaulted, field, type Read, required} from '../grammar/shapes.ts'
import {type Context, optional, resolveExisting} from '../resolve/context.ts'

export const firmwareNode = block(
  'What boots the VM.',
  {argument: required(word('firmware type', 'bios', 'uefi'), 'Kind of firmware.')},
  {
    'secure-boot': defaulted(boolean, false, 'Verify the boot loader (UEFI).'),
    code: field(path('"/usr/share/OVMF/OVMF_CODE_4M.fd"'), 'Firmware image of your own (UEFI); needs vars.'),
    vars: field(path('"/usr/share/OVMF/OVMF_VARS_4M.fd"'), 'Template of its variables (UEFI); needs code.'),
  },
)

/** Undefined when the kind of firmware is missing or wrong, which has been reported. */
export const buildFirmware = async (
  written: NonNullable<Read<typeof firmwareNode>>,
  context: Context,
): Promise<FirmwareConfig | undefined> => {
  const {report} = context
  const {'secure-boot': secureBoot, code, vars} = written.fields
  const type = written.argument?.value
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

export const firmwareChange = always<'firmware'>('restart', (applied, wanted) =>
  applied?.type === wanted?.type && wanted
    ? namesOf('firmware')({...applied}, {...wanted})
    : `firmware ${applied?.type ?? 'bios'} → ${wanted?.type ?? 'bios'}`,
)
