import {strict as assert} from 'node:assert'

import {checkImported} from '../../src/engine/manage/import-check.ts'
import {type Draft, importFile, ImportError, printKdl} from '../../src/import/index.ts'

/** What an import came to; undefined for a file that was refused. */
export interface Imported {
  readonly draft: Draft
  readonly text: string
}

/**
 * Imports a file. Whatever stands in it, the result is a document in KDL without a mistake of the syntax, problems have codes,
 * and each warning and each refusal says something. Any error but a refusal is a defect.
 */
export const importAny = async (name: string, content: string): Promise<Imported | undefined> => {
  let draft: Draft
  try {
    draft = importFile(name, content, 'demo')
  } catch (error) {
    if (!(error instanceof ImportError)) throw error
    assert.ok(error.message.length > 0, 'a refusal without a reason')
    return undefined
  }
  for (const warning of draft.warnings) assert.ok(warning.length > 0, 'a warning without words')
  assert.equal(new Set(draft.warnings).size, draft.warnings.length, 'a warning that is said twice')
  const text = printKdl(draft.nodes)
  const {isValid, problems} = await checkImported(text, '/nowhere/VMFile.kdl', 'VMFile.kdl')
  const broken = problems.find(({code}) => code === 'vmctl::vmfile::parse_failed')
  // What is larger than a VMFile may be is a problem of its own.
  assert.ok(!broken || text.length > 2 ** 20, `not KDL: ${broken?.message} in ${text}`)
  assert.equal(
    isValid,
    problems.every(({severity}) => severity === 'warning'),
  )
  return {draft, text}
}

/** The steps of all VMs. */
export const stepsIn = ({draft}: Imported): number =>
  draft.nodes.flatMap(({children = []}) => children).filter(({name}) => name === 'provision').length
