import {fingerprintOfCertificate} from '../../src/hypervisor/incus/api/certificate.ts'
import type {World} from './incus-world.ts'

/** Makes a fake server trust somebody. */
export const trust = (
  world: World,
  {certificate}: {readonly certificate: string},
  {restricted = false, projects = []}: {readonly restricted?: boolean; readonly projects?: readonly string[]} = {},
): void => void world.trusted.set(fingerprintOfCertificate(certificate), {name: 'test', restricted, projects})
