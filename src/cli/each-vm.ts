/** What is printed as JSON of each VM. A single one stands beside the list too, as it did before there was one. */
export type EachVm<Result> = {readonly vms: readonly Result[]} | (Result & {readonly vms: readonly Result[]})

/** Scripts read `vms`, for one VM as for many. */
export const eachVm = <Result extends object>(vms: readonly Result[]): EachVm<Result> => {
  const [only, ...others] = vms
  return only && others.length === 0 ? {...only, vms} : {vms}
}
