/** A long list, for the tests of the bindings. */

import { addObject, id, world } from './world.js'

export const ROWS = 10_000

/** A client that has a store with so many records in a view. */
export async function manyRows() {
  const w = world()
  w.seed([addObject(id(1), 'DataStore', { name: 'Book' })])
  const { objects, edges } = w.server.state
  const meta = { version: 1 }
  for (let n = 0; n < ROWS; n++) {
    objects.set(id(1_000_000 + n), { type: 'Record', body: { n, unread: 0 }, meta })
    edges.set(id(2_000_000 + n), { label: 'dataStore', from: id(1_000_000 + n), to: id(1), body: {}, meta })
  }
  const db = await w.connect()
  const view = db.subscribe({ root: id(1), in: { dataStore: {} } })
  await w.sim.wait(view.ready)
  const rows = () => view.root.records
  return {
    ...w,
    db,
    view,
    store: view.root,
    rows,
    /** What somebody else does. @param {any[]} patch */
    others: async (patch) => {
      w.server.commit(patch, 'bob', crypto.randomUUID())
      await w.sim.run(50)
    },
    /** A place in a row's body. @param {number} n @param {string} key */
    at: (n, key) => `/objects/${id(1_000_000 + n)}/body/${key}`,
  }
}
