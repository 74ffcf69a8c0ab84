/**
 * Deletes all rows of a workbook, in parts: a workbook of any size can be
 * emptied, and others go on working meanwhile.
 */
import { chunks } from './ids.js'

const PART = 250

export default async function (event, graph) {
  const { operation } = event
  const view = await graph.load({ root: event.entity, out: { target: { in: { dataStore: {} } } } })
  const rows = Object.keys(view.objects).filter((id) => view.objects[id].type === 'Record')
  let deleted = 0
  for (const [n, part] of chunks(rows, PART).entries()) {
    if (operation.cancelled) return
    await remove(graph, part, `part ${n}`)
    deleted += part.length
    await operation.status(`${deleted} of ${rows.length} rows deleted`, deleted / rows.length)
  }
  await operation.complete({ deleted })
}

async function remove(graph, ids, key) {
  try {
    await graph.patch(ids.map((id) => ({ op: 'remove', path: `/objects/${id}` })), { key })
  } catch (err) {
    if (err.code !== 'not-found') throw err
    if (ids.length === 1) return // somebody was faster
    const half = ids.length >> 1
    await remove(graph, ids.slice(0, half), `${key} a`)
    await remove(graph, ids.slice(half), `${key} b`)
  }
}
