/** Transactions and refusals in words. */

const unescape = (token) => token.replace(/~1/g, '/').replace(/~0/g, '~')

/**
 * What a pointer into the graph means to a person.
 * @param {import('@graphtide/client').Client} db
 * @param {string} pointer
 * @returns {{object: any, key: string | null, label: string}} key: that of a cell
 */
export function placeOf(db, pointer) {
  const [, kind, id, , member, ...rest] = pointer.split('/').map(unescape)
  const object = kind === 'objects' ? db.get(id) : undefined
  if (kind === 'edges') return { object, key: null, label: 'A link' }
  if (object?.$type === 'Record' && member === 'values' && rest.length) {
    const [key] = rest
    return { object, key, label: `${columnOf(object, key)?.title ?? key} of ${nameOf(object)}` }
  }
  const labels = { Record: 'The row', Schema: 'The columns', Comment: 'A comment', User: 'Your name', OperationRequest: 'A job' }
  const label = object?.$type === 'DataStore' ? `The workbook ${nameOf(object)}` : (labels[object?.$type] ?? 'A change')
  return { object, key: null, label: object?.$type === 'Record' ? `The row ${nameOf(object)}` : label }
}

/** The column of a cell. */
export const columnOf = (row, key) => row?.dataStore?.schema?.columns.find((c) => c.key === key)

/** How a row or a workbook is called: by its first column. */
export function nameOf(object) {
  const [first] = object.dataStore?.schema?.columns ?? []
  const name = object.name ?? object.values?.[first?.key] ?? Object.values(object.values ?? {})[0]
  return name === undefined || name === '' ? 'an empty row' : `“${short(String(name), 32)}”`
}

/** A transaction in a few words. @param {import('@graphtide/client').Client} db @param {{patch: any[], note?: string}} transaction */
export function describe(db, { patch, note }) {
  const made = patch.find((op) => op.op === 'add' && /^\/objects\/[^/]+$/.test(op.path))
  const gone = patch.find((op) => op.op === 'remove' && /^\/objects\/[^/]+$/.test(op.path))
  const names = { Record: 'a row', DataStore: 'a workbook', Comment: 'a comment', User: 'you, by name', OperationRequest: 'a job' }
  if (made) return `New: ${names[made.value.type] ?? made.value.type}`
  if (gone) return 'A deletion'
  return patch.length ? placeOf(db, patch[0].path).label : (note ?? 'A change')
}

/** Why something was refused. @param {any} problem */
export function reasonOf(problem) {
  const first = problem.problem?.errors?.[0]
  if (problem.code === 'schema' && first) return first.message
  if (problem.code === 'forbidden') return 'you may read this, but not change it'
  if (problem.code === 'not-found') return 'somebody has deleted it meanwhile'
  return problem.message
}

/** A refusal as one sentence. @param {any} problem */
export const explain = (problem) => `Not saved: ${reasonOf(problem)}`

/** @param {string} text @param {number} length */
export const short = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text)
