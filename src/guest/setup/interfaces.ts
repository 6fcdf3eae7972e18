import {quoteAll} from '../../model/quote.ts'

/** An interface on a network, which is to have an address. */
export interface InterfaceAddress {
  readonly mac: string
  /** In CIDR form. */
  readonly address: string
}

/** A call for each: the program checks it, and gives one that is missing. */
export const interfacesSection = (interfaces: readonly InterfaceAddress[]): string =>
  interfaces.map(({mac, address}) => quoteAll(['address', mac, address])).join('\n')
