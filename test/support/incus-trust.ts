import {fingerprintOfCertificate} from '../../src/hypervisor/incus/api/certificate.ts'
import type {Credentials} from '../../src/hypervisor/incus/api/wire.ts'
import type {World} from './incus-world.ts'

export {fingerprintOfCertificate, makeCredentials} from '../../src/hypervisor/incus/api/certificate.ts'
export type {Credentials} from '../../src/hypervisor/incus/api/wire.ts'

/** Makes a fake server trust somebody. */
export const trust = (
  world: World,
  {certificate}: Pick<Credentials, 'certificate'>,
  {restricted = false, projects = []}: {readonly restricted?: boolean; readonly projects?: readonly string[]} = {},
): void => void world.trusted.set(fingerprintOfCertificate(certificate), {name: 'test', restricted, projects})
