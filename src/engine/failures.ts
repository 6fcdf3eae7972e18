import {incusFailures} from '../hypervisor/incus/failures.ts'
import {qemuFailures} from '../hypervisor/qemu/failures.ts'
import {adviceText, commonFailures, type FailureCode as CommonCode} from '../model/failures.ts'

const ofBackends = [...Object.values(incusFailures), ...Object.values(qemuFailures)]

/** A code of vmctl, or of a backend that it brings. */
export type FailureCode = CommonCode | (typeof ofBackends)[number]['code']

/** Exit status and advice of each code, for programs and for the reference. */
export const failures = Object.fromEntries(
  [...Object.entries(commonFailures), ...ofBackends.map((failure) => [failure.code, failure] as const)].map(([code, {exit, help}]) => [
    code,
    {exit, help: adviceText(help)},
  ]),
) as Readonly<Record<FailureCode, {readonly exit: number; readonly help: string}>>
