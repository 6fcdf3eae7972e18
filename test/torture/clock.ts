/**
 * Loaded before vmctl (`node --import`): a clock on the wall that somebody sets while vmctl runs. VMCTL_TEST_CLOCK is a
 * number of days to be off, or `jumping`: a day ahead and a day behind by turns, at every look.
 */
const setting = process.env.VMCTL_TEST_CLOCK ?? '0'
const day = 24 * 60 * 60 * 1000
const RealDate = Date
const now = Date.now.bind(Date)
let looks = 0

const told = (): number => {
  looks += 1
  return now() + (setting === 'jumping' ? (looks % 2 === 0 ? day : -day) : Number(setting) * day)
}

class SetDate extends RealDate {
  constructor(...args: readonly unknown[]) {
    // @ts-expect-error -- The many forms of the constructor are passed on as they are.
    super(...(args.length === 0 ? [told()] : args))
  }

  static override now = told
}

globalThis.Date = SetDate as DateConstructor
