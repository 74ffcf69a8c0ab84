/** What people do in a workbook, each as one transaction. */

import { say } from './fate/notes.js'
import { explain } from './fate/words.js'

/** A key for a new column that none of the others has. */
function freshKey(columns, title) {
  const base = title.toLowerCase().normalize('NFKD').replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '') || 'column'
  const taken = new Set(columns.map((c) => c.key))
  let key = base
  for (let n = 2; taken.has(key); n++) key = `${base}-${n}`
  return key
}

export const plainColumns = [
  { key: 'name', title: 'Name', width: 280 },
  { key: 'notes', title: 'Notes', width: 240 },
]

export function newBook(db, name, columns = plainColumns) {
  let book
  db.transact(() => {
    book = db.create('DataStore', { name })
    db.create('Schema', { name: 'Columns', columns, schemaOf: book })
  }).catch(told)
  return book
}

/** Starts a job on a workbook; what becomes of it is seen in its card, by everybody. */
export async function startJob(db, name, params, book) {
  try {
    const job = await db.run(name, params, { target: book })
    job.result.catch((problem) => problem.code !== 'cancelled' && say(`${name}: ${problem.message}`, 'error'))
  } catch (problem) {
    say(explain(problem), 'error')
  }
}

/** A row at the end. @param {number} lastRank that of the last row */
export function addRow(db, book, lastRank) {
  let row
  db.transact(
    () => {
      row = db.create('Record', { values: {}, rank: lastRank + 1, dataStore: book })
    },
    { note: 'New row' },
  ).catch(told)
  return row
}

/** Writes one cell; undefined clears it. */
export function setCell(db, row, column, value) {
  if (!column || !row.$exists || value === row.values?.[column.key]) return
  db.transact(() => {
    if (!row.values) row.values = {}
    if (value === undefined) delete row.values[column.key]
    else row.values[column.key] = value
  }, { note: `${column.title} of a row` }).catch(told)
}

/** The `reject` event has told it already. */
const told = () => {}

export function addColumn(db, book, title) {
  let column
  db.transact(() => {
    const schema = book.schema ?? db.create('Schema', { name: 'Columns', columns: [], schemaOf: book })
    column = { key: freshKey(schema.columns, title), title, width: 160 }
    schema.columns.push(column)
  }).catch(told)
  return column
}

/** The rows' values of the column are removed by the rule `column-removed`. */
export function removeColumn(schema, key) {
  const at = schema.columns.findIndex((c) => c.key === key)
  if (at >= 0) schema.columns.splice(at, 1)
}

export function setColumn(schema, key, change) {
  const column = schema.columns.find((c) => c.key === key)
  if (column) Object.assign(column, change)
}

/** What was typed, as the column's kind of value; undefined clears the cell. */
export function parseCell(text, kind) {
  const trimmed = text.trim()
  if (trimmed === '') return undefined
  if (kind !== 'number') return text
  const number = Number(trimmed.replace(/[\s_’']/g, ''))
  return Number.isFinite(number) ? number : text
}
