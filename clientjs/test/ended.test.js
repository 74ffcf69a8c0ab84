import { describe, expect, test, vi } from 'vitest'
import { addObject, id, world } from './world.js'

const STORE = id(1)

async function setup() {
  const w = world()
  w.seed([addObject(STORE, 'DataStore', { name: 'Book' })])
  const db = await w.connect()
  const view = db.subscribe({ root: STORE })
  await w.sim.wait(view.ready)
  return { ...w, db, store: view.root }
}

describe.each([4401, 4403, 4409, 4413])('a connection that the server has ended for good (%d)', (code) => {
  test('ends what waits for an answer, with the reason', async () => {
    const { db, store, sim, sockets, server } = await setup()
    store.name = 'second'
    await sim.run(100)
    const op = await sim.wait(db.run('import'))
    server.options.reverting = () => new Promise(() => {})
    const undone = db.undo()
    undone.catch(() => {}) // looked at below
    await sim.settle()
    sockets.at(-1).cut(1006) // away for a moment
    await sim.run(1)
    const written = db.transact(() => {
      store.name = 'third'
    })
    const late = db.subscribe({ root: id(9) })
    const settled = vi.fn()
    void db.settled().then(settled)
    await sim.until(() => db.status === 'live' || db.status === 'connecting')
    sockets.at(-1).cut(code)
    await sim.until(() => db.status === 'closed')
    const reason = /** @type {any} */ (db.connection.state).reason
    expect(reason.problem.closeCode).toBe(code)
    await expect(op.result).rejects.toBe(reason)
    await expect(late.ready).rejects.toBe(reason)
    await expect(undone).rejects.toBe(reason)
    await expect(written).rejects.toBe(reason)
    await db.settled()
    expect(settled).toHaveBeenCalled()
    db.close()
  })

  test('and refuses what is written then', async () => {
    const { db, store, sim, sockets } = await setup()
    store.name = 'second'
    await sim.run(100)
    sockets.at(-1).cut(code)
    await sim.until(() => db.status === 'closed')
    const reason = /** @type {any} */ (db.connection.state).reason
    expect(() => {
      store.name = 'third'
    }).toThrow(reason)
    expect([store.name, db.pending.length]).toEqual(['second', 0])
    await expect(db.undo()).rejects.toBe(reason)
    db.close()
  })
})
