import { describe, expect, test, vi } from 'vitest'
import * as parts from '../src/parts.js'
import * as presence from '../src/presence.js'
import * as undo from '../src/undo.js'
import { addObject, id, world } from './world.js'

const STORE = id(1)

/** A client whose later parts cannot be fetched for now. */
async function setup() {
  const w = world()
  w.seed([addObject(STORE, 'DataStore', { name: 'Book' })])
  const line = { down: true }
  /** @param {any} part */
  const fetched = (part) => {
    if (line.down) throw new TypeError('Failed to fetch dynamically imported module')
    return part
  }
  const modules = {
    parts,
    get presence() {
      return fetched(presence)
    },
    get undo() {
      return fetched(undo)
    },
  }
  const db = await w.connect({ modules })
  const view = db.subscribe({ root: STORE })
  await w.sim.wait(view.ready)
  const problems = vi.fn()
  db.on('problem', problems)
  return { ...w, db, store: view.root, line, problems }
}

describe('what is fetched when it is needed', () => {
  test('is asked for again where it failed', async () => {
    const { db, store, sim, line } = await setup()
    store.name = 'second'
    await sim.run(100)
    await expect(db.undo()).rejects.toThrow('Failed to fetch')
    await expect(db.can(store, 'write')).rejects.toThrow('Failed to fetch')
    line.down = false
    await sim.wait(db.undo())
    expect(store.name).toBe('Book')
    expect(await sim.wait(db.can(store, 'write'))).toBe(true)
    db.close()
  })

  test('and fails where nobody waits for it, is told', async () => {
    const { db, store, sim, problems, connect } = await setup()
    db.presence(store, { at: 1 })
    await sim.settle()
    expect(problems).toHaveBeenCalledTimes(1)
    store.$can('write')
    await sim.settle()
    expect(problems).toHaveBeenCalledTimes(2)
    const bob = await connect()
    const view = bob.subscribe({ root: STORE })
    await sim.wait(view.ready)
    bob.presence(view.root, { at: 2 })
    await sim.run(100)
    expect(problems).toHaveBeenCalledTimes(3)
    bob.close()
    db.close()
  })
})

test('what undo has not taken up is remembered no further than undo goes', async () => {
  const { db, store, sim } = await setup()
  for (let i = 0; i < 210; i++) {
    store.name = `n${i}`
    await sim.run(10)
  }
  await sim.run(100)
  expect(db.writing?.journal).toHaveLength(200)
  expect(db.writing?.journal.at(-1)?.version).toBe(db.version)
  db.close()
})
