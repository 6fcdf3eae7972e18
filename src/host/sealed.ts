import {createHash} from 'node:crypto'

const digest = (record: object): string => createHash('sha256').update(JSON.stringify(record)).digest('hex')

/**
 * The text of a record that says whether it is still what was written: its last field is the SHA-256 of the others, as
 * `JSON.stringify` writes them without blanks.
 */
export const seal = (record: object): string => `${JSON.stringify({...record, sha256: digest(record)}, undefined, 2)}\n`

/**
 * The record of such a text. One without the field is taken as it is: an earlier vmctl wrote it, or a person.
 * @throws SyntaxError when it is not JSON; Error when the field tells of other content
 */
export const unseal = (text: string): unknown => {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const fields = Object.entries(value)
  const [name, last] = fields.at(-1) ?? []
  // What has the form of a seal is one, whatever has become of its name.
  if (name !== 'sha256' && !(typeof last === 'string' && /^.{64}$/s.test(last))) return value
  const record = Object.fromEntries(fields.slice(0, -1))
  if (name !== 'sha256' || last !== digest(record)) {
    throw new Error('The record is not what was written: its sha256 is of other content.')
  }
  return record
}
