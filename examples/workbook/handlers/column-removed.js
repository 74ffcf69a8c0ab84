/**
 * A column was removed from a workbook: removes its values from every row.
 *
 * The rows are changed in parts that stay well below the limits of a
 * transaction. Each part has a key, so that a second attempt after a crash
 * repeats nothing, and a row that somebody deletes meanwhile is simply left out.
 */
import { chunks } from './ids.js'

const PART = 400

export default async function (event, graph) {
  const kept = new Set(event.after.body.columns.map((c) => c.key))
  const gone = event.before.body.columns.map((c) => c.key).filter((key) => !kept.has(key))
  if (gone.length === 0) return

  const view = await graph.load({ root: event.entity, out: { schemaOf: { in: { dataStore: {} } } } })
  const removals = Object.entries(view.objects)
    .filter(([, object]) => object.type === 'Record')
    .flatMap(([id, record]) =>
      gone
        .filter((key) => Object.prototype.hasOwnProperty.call(record.body.values, key))
        .map((key) => ({ op: 'remove', path: `/objects/${id}/body/values/${escape(key)}` })),
    )
  for (const [n, part] of chunks(removals, PART).entries()) await remove(graph, part, `part ${n}`)
}

/** Removes; if a part cannot go as a whole, because a row changed, by halves. */
async function remove(graph, ops, key) {
  try {
    await graph.patch(ops, { key })
  } catch (err) {
    if (err.code !== 'not-found' && err.code !== 'path-missing') throw err
    if (ops.length === 1) return // this row or this value is gone already
    const half = ops.length >> 1
    await remove(graph, ops.slice(0, half), `${key} a`)
    await remove(graph, ops.slice(half), `${key} b`)
  }
}

/** A key as a token of a JSON Pointer. */
const escape = (key) => key.replace(/~/g, '~0').replace(/\//g, '~1')
