import {ImportError} from '../draft.ts'
import {hostPath, type KdlNode, node, withProps} from '../kdl.ts'
import {type About, all, attribute, children, type Element, own, textOf} from './xml.ts'

interface Disk {
  readonly element: Element
  readonly kind: string
  readonly target: string
  readonly file: string | undefined
  /** Place in the order of booting; undefined when the file gives no order. */
  readonly order: number | undefined
}

const read = (element: Element): Disk => {
  const type = own(element, 'type') ?? 'file'
  const order = Number(attribute(element, 'boot', 'order') ?? Number.NaN)
  return {
    element,
    kind: own(element, 'device') ?? 'disk',
    target: attribute(element, 'target', 'dev') ?? 'a disk',
    file: type === 'file' ? attribute(element, 'source', 'file') : undefined,
    order: Number.isNaN(order) ? undefined : order,
  }
}

/**
 * The disk that the VM boots from becomes its image; everything else of the disks is named.
 * @throws ImportError when there is none in a file
 */
export const imageNode = (domain: Element, name: string, about: About): KdlNode => {
  const disks = all(domain, 'devices/disk').map(read)
  const hard = disks.filter(({kind}) => kind === 'disk' || kind === 'lun')
  const boot = hard.toSorted((a, b) => (a.order ?? Number.POSITIVE_INFINITY) - (b.order ?? Number.POSITIVE_INFINITY) || 0)[0]
  if (!boot) throw new ImportError(`${name} has no disk in a file, which a VM could start from`)
  if (boot.file === undefined) {
    const isOnly = hard.every(({file}) => file === undefined)
    const type = own(boot.element, 'type') ?? 'file'
    const what = isOnly
      ? `${name} has no disk in a file, which a VM could start from`
      : `${name} boots from ${boot.target}, which is no file (type ${type})`
    throw new ImportError(`${what}: make one by \`qemu-img convert -O qcow2 SOURCE FILE\`, and write \`image "FILE"\``)
  }
  nameOthers(disks, boot, about)
  nameOrder(domain, disks, {boot, about})
  nameDetails(boot, about)
  const format = attribute(boot.element, 'driver', 'type')
  const known = format !== undefined && ['qcow2', 'raw', 'vmdk', 'vdi', 'vhdx'].includes(format)
  if (format !== undefined && !known) about(`the format ${format} of disk ${boot.target} is left out: vmctl finds it out, or refuses it`)
  return {
    ...withProps(node('image', hostPath(boot.file)), {format: known ? format : undefined}),
    comment: 'It is never written to: what the VM writes goes to an overlay.',
  }
}

const nameOthers = (disks: readonly Disk[], boot: Disk, about: About): void => {
  for (const disk of disks) {
    const {kind, target, file, element} = disk
    if (disk === boot) continue
    if (kind !== 'disk' && kind !== 'lun') {
      // An empty drive is nothing to lose.
      const source = file ?? describeSource(element)
      if (source !== undefined)
        about(`${kind} ${target} (${source}) is left out: a VM of vmctl has no such drive; \`qemu { args "-cdrom" "FILE"; }\` makes one`)
    } else if (file === undefined) {
      about(`disk ${target} is not a file (type ${own(element, 'type') ?? 'unknown'}) and is left out: copy its content to a volume`)
    } else {
      about(`disk ${target} (${file}) is left out: a VM has one image; copy its content to a volume`)
    }
  }
}

const describeSource = (element: Element): string | undefined => {
  const [source] = all(element, 'source')
  return source && (own(source, 'dev') ?? own(source, 'name') ?? own(source, 'volume') ?? own(source, 'protocol'))
}

interface Boot {
  readonly boot: Disk
  readonly about: About
}

const nameOrder = (domain: Element, disks: readonly Disk[], {boot, about}: Boot): void => {
  const first = attribute(domain, 'os/boot', 'dev')
  if (first !== undefined && first !== 'hd') about(`it boots from ${first} first, which is left out: a VM of vmctl boots from its image`)
  const earlier = [
    ...disks.filter(({kind}) => kind !== 'disk' && kind !== 'lun').map(({target, order}) => ({what: target, order})),
    ...['interface', 'hostdev', 'redirdev'].flatMap((tag) =>
      all(domain, `devices/${tag}`).map((one) => ({what: `an ${tag}`, order: Number(attribute(one, 'boot', 'order') ?? Number.NaN)})),
    ),
  ].filter(({order}) => order !== undefined && order < (boot.order ?? Number.POSITIVE_INFINITY))
  for (const {what} of earlier) about(`it boots from ${what} before its disk, which is left out: a VM of vmctl boots from its image`)
}

const buses: Readonly<Record<string, string>> = {h: 'ide', s: 'scsi', v: 'virtio', f: 'fdc', x: 'xen'}

/** What a disk is beyond a file: a guest that lacks the driver, or the key, does not boot. */
const nameDetails = ({element, target, kind, file}: Disk, about: About): void => {
  const bus = attribute(element, 'target', 'bus') ?? buses[target[0] ?? ''] ?? 'virtio'
  if (bus !== 'virtio')
    about(`disk ${target} is on the bus ${bus}, and will be on virtio: the guest needs the driver (Windows: virtio-win) before it can boot`)
  if (kind === 'lun') about(`disk ${target} is passed through as a SCSI device, and will be a plain disk`)
  if (all(element, 'encryption').length > 0 || all(element, 'source/encryption').length > 0)
    about(`the encryption of disk ${target} is left out: vmctl cannot open it; decrypt it by \`qemu-img convert\` first`)
  if (all(element, 'backingStore/source').length > 0)
    about(
      `disk ${target} is a layer over another image, which vmctl refuses: make one of both by \`qemu-img convert -O qcow2 ${file ?? 'OLD'} NEW\``,
    )
  const details = children(element)
    .map(({nodeName}) => nodeName)
    .filter((tag) =>
      [
        'readonly',
        'shareable',
        'transient',
        'serial',
        'wwn',
        'vendor',
        'product',
        'iotune',
        'geometry',
        'blockio',
        'auth',
        'throttlefilters',
      ].includes(tag),
    )
  const [driver] = all(element, 'driver')
  const options = ['cache', 'io', 'discard', 'detect_zeroes', 'iothread', 'queues', 'error_policy'].filter(
    (name) => driver && own(driver, name) !== undefined,
  )
  const names = [
    ...details.map((tag) => (textOf(element, tag) ? `${tag} ${textOf(element, tag)}` : tag)),
    ...options.map((option) => `${option} ${driver && own(driver, option)}`),
  ]
  const short = names.map((one) => one.replaceAll(/\s+/g, ' ').slice(0, 60))
  if (short.length > 0) about(`settings of disk ${target} are left out: ${short.join(', ')}`)
}
