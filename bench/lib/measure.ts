import type {Goal, Row} from './report.ts'

export interface Samples {
  readonly ours: readonly number[]
  readonly reference: readonly number[]
}

interface Rounds {
  readonly count: number
  /** Rounds that are not counted, for caches to fill. */
  readonly warmUp?: number
  /** After so long two counted rounds are enough. */
  readonly budgetMs?: number
}

/** Measures ours and the reference in turn, A B B A, so that whatever else the machine does hits both. */
export const inTurn = async (rounds: Rounds, ours: () => Promise<number>, reference: () => Promise<number>): Promise<Samples> => {
  const samples = {ours: [] as number[], reference: [] as number[]}
  const {warmUp = 0, budgetMs = 20_000} = rounds
  const began = performance.now()
  for (let round = -warmUp; round < rounds.count; round++) {
    if (round >= 2 && performance.now() - began > budgetMs) break
    const turn = {ours: 0, reference: 0}
    for (const who of round % 2 === 0 ? (['ours', 'reference'] as const) : (['reference', 'ours'] as const)) {
      turn[who] = await (who === 'ours' ? ours : reference)()
    }
    if (round < 0) continue
    samples.ours.push(turn.ours)
    samples.reference.push(turn.reference)
  }
  return samples
}

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.ceil(middle) - 1] ?? NaN) + (sorted[Math.floor(middle)] ?? NaN)) / 2
}

interface Subject {
  readonly what: string
  readonly referenceName: string
  readonly samples: Samples
  readonly goal?: Goal
}

/** Milliseconds of CPU time above the reference. */
export const cpuOver = ({samples, ...subject}: Subject): Row =>
  row(subject, samples, {unit: 'ms', kind: 'difference', value: median(samples.ours) - median(samples.reference)})

/** How many times as long as the reference it took. */
export const timesAsLong = ({samples, ...subject}: Subject): Row =>
  row(subject, samples, {unit: 'ms', kind: 'ratio', value: median(samples.ours) / median(samples.reference)})

/** How many times as fast as the reference it was. */
export const timesAsFast = ({samples, ...subject}: Subject): Row =>
  row(subject, samples, {unit: 'ms', kind: 'ratio', value: median(samples.reference) / median(samples.ours)})

/** How many times as much as the reference it takes, of a disk or of a network. */
export const timesAsLarge = ({samples, ...subject}: Subject): Row =>
  row(subject, samples, {unit: 'MiB', kind: 'ratio', value: median(samples.ours) / median(samples.reference)})

/** A wall time that stands for itself, because people feel it as it is. */
export const plainly = (what: string, ms: readonly number[], goal?: Goal): Row =>
  row({what, referenceName: '', ...(goal && {goal})}, {ours: ms, reference: []}, {unit: 'ms', kind: 'absolute', value: median(ms)})

/** Peak memory; the one figure without a reference, since it does not depend on how busy the machine is. */
export const memory = (what: string, peaksMiB: readonly number[], goal?: Goal): Row =>
  row(
    {what, referenceName: '', ...(goal && {goal})},
    {ours: peaksMiB, reference: []},
    {unit: 'MiB', kind: 'absolute', value: median(peaksMiB)},
  )

const row = (subject: Omit<Subject, 'samples'>, samples: Samples, figure: Pick<Row, 'unit' | 'kind' | 'value'>): Row => ({
  ...subject,
  ...figure,
  ...(subject.goal && {met: 'atMost' in subject.goal ? figure.value <= subject.goal.atMost : figure.value >= subject.goal.atLeast}),
  ours: median(samples.ours),
  ...(samples.reference.length > 0 && {reference: median(samples.reference)}),
  samples,
})
