import type {Healthcheck} from '../../model/health.ts'
import {always} from '../grammar/change.ts'
import {durationOf, integer, text} from '../grammar/kinds.ts'
import {block, defaulted, field, type Located, type Read, rows} from '../grammar/shapes.ts'
import type {Context} from '../resolve/context.ts'

const intervalRange = {leastMs: 1000, least: 'at least 1 s', example: '"30s"'}

export const healthcheckNode = block(
  'How it is found out whether what the guest is for works.',
  {exclusive: ['test', 'tcp', 'http']},
  {
    test: rows(
      text('command', {example: '"curl -fs http://localhost/"'}),
      'One argument is a line for the shell of the guest, several are a program and its arguments.',
      {},
    ),
    tcp: field(integer(1, 65_535, '5432'), 'Port of the guest that accepts connections.'),
    http: field(
      text('URL', {
        rule: 'it starts with http:// or https://',
        isValid: (url) => /^https?:\/\/[^\s\p{Cc}]+$/u.test(url) && URL.canParse(url),
        example: '"http://localhost:8080/"',
      }),
      'URL, as seen from the guest, that answers with a status below 400.',
    ),
    interval: defaulted(durationOf(intervalRange), 30_000, 'Time between two checks.'),
    timeout: defaulted(durationOf(intervalRange), 5000, 'How long one check may take.'),
    retries: defaulted(integer(1, 1000, '3'), 3, 'Failures in a row that make the VM unhealthy.'),
    'start-period': defaulted(durationOf({leastMs: 0, least: '0 or more'}), 0, 'Time after the start in which failures do not count.'),
  },
)

type ReadHealthcheck = NonNullable<Read<typeof healthcheckNode>>

/** Undefined when nothing is tested, which was reported. */
export const buildHealthcheck = ({fields, given, ...place}: ReadHealthcheck, {report}: Context): Healthcheck | undefined => {
  const {test, tcp, http, interval, timeout, retries, 'start-period': startPeriod} = fields
  const how = testOf(test[0]?.words.map(({value}) => value) ?? [], tcp, http)
  if (!how) {
    if (!['test', 'tcp', 'http'].some((name) => given.has(name)))
      report.error(place, 'healthcheck needs something to test', 'add test "COMMAND", tcp PORT or http "URL"')
    return undefined
  }
  return {
    test: how,
    intervalMs: interval.value,
    timeoutMs: timeout.value,
    retries: retries.value,
    startPeriodMs: startPeriod.value,
  }
}

const testOf = (
  [first, ...more]: readonly string[],
  tcp: Located<number> | undefined,
  http: Located<string> | undefined,
): Healthcheck['test'] | undefined => {
  if (first !== undefined) return more.length > 0 ? {kind: 'exec', command: [first, ...more]} : {kind: 'shell', line: first}
  if (tcp) return {kind: 'tcp', port: tcp.value}
  return http && {kind: 'http', url: http.value}
}

export const healthcheckChange = always<'healthcheck'>('now', 'healthcheck')
