import { describe, expect, test } from 'vitest'
import { addObject, id, world } from './world.js'

const STORE = id(1)

/** @param {any[]} [tags] */
async function setup(tags = ['a', 'b']) {
  const w = world()
  w.seed([addObject(STORE, 'DataStore', { name: 'Book', tags })])
  const db = await w.connect()
  const view = db.subscribe({ root: STORE })
  await w.sim.wait(view.ready)
  return { ...w, db, store: /** @type {any} */ (view.root) }
}

describe('create', () => {
  test('that throws makes nothing', async () => {
    const { db } = await setup()
    expect(() => db.create('Record', { n: 1, dataStore: 5 })).toThrow(TypeError)
    expect(() => db.create('DataStore', { editors: 5 })).toThrow('assign an array')
    expect(db.writing?.transactions.open).toBe(null)
    db.close()
  })

  test('keeps a member of any name', async () => {
    const { db, sim, server } = await setup()
    const made = db.create('Record', JSON.parse('{"__proto__":{"a":1},"n":1}'))
    await sim.run(100)
    expect(JSON.stringify(server.entity(`objects/${made.$id}`).body)).toBe('{"__proto__":{"a":1},"n":1}')
    db.close()
  })
})

describe('an array', () => {
  test.each([-1, 1.5])('has no length of %d', async (length) => {
    const { db, store } = await setup()
    expect(() => {
      store.tags.length = length
    }).toThrow(RangeError)
    expect([...store.tags]).toEqual(['a', 'b'])
    db.close()
  })

  test('of which very much changes is set anew', async () => {
    const big = Array.from({ length: 2_500 }, (_, i) => ({ id: i, t: 't'.repeat(150) }))
    const { db, store } = await setup(big)
    store.tags.splice(0, 1_200)
    expect(db.writing?.transactions.open?.ops.length).toBe(1)
    expect([store.tags.length, store.tags[0].id]).toEqual([1_300, 1_200])
    db.close()
  })
})
