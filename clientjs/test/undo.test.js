import { beforeEach, describe, expect, test, vi } from 'vitest'
import { inverse } from '../src/inverse.js'
import { applySteps, compileGraphOp } from '../src/mutation.js'
import { equal } from '../src/patch.js'
import { seeded } from './sim.js'
import { addEdge, addObject, id, world } from './world.js'

const [STORE, REC] = [id(1), id(3)]

beforeEach(() => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
  return () => warn.mockRestore()
})

/** @param {any} [options] */
async function setup(options) {
  const w = world({ delay: () => 5, ...options })
  w.seed([
    addObject(STORE, 'DataStore', { name: 'Book', tags: ['a', 'b'] }),
    addObject(REC, 'Record', { n: 0 }),
    addEdge(id(11), 'dataStore', REC, STORE),
  ])
  w.server.options.reverting = () => new Promise((resolve) => w.sim.after(20, () => resolve(undefined)))
  const db = await w.connect()
  const view = db.subscribe({ root: STORE, in: { dataStore: {} } })
  await w.sim.wait(view.ready)
  const bob = (/** @type {any[]} */ patch) => w.server.commit(patch, 'bob', crypto.randomUUID())
  return { ...w, db, view, store: view.root, rec: db.get(REC), bob }
}

/** Lets the promises of one turn run, and no time pass. */
const turn = async () => {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

describe('undo', () => {
  test('is on screen at once, before the server has heard of it, and so is redo', async () => {
    const { db, store, sim, server } = await setup()
    store.name = 'second'
    store.tags.push('c')
    await sim.run(100)
    const { head } = server
    const undone = db.undo()
    await turn()
    expect([store.name, [...store.tags], store.$pending, server.head]).toEqual(['Book', ['a', 'b'], true, head])
    expect(await sim.wait(undone)).toBe(head + 1)
    await sim.run(100)
    expect([store.name, [...store.tags], store.$pending]).toEqual(['Book', ['a', 'b'], false])
    const redone = db.redo()
    await turn()
    expect([store.name, [...store.tags]]).toEqual(['second', ['a', 'b', 'c']])
    await sim.wait(redone)
    await sim.run(100)
    expect([store.name, db.writing?.layers.list.length, db.writing?.pending.foreseen.size]).toEqual(['second', 0, 0])
  })

  test('never flickers: nothing but the old and the new is ever shown', async () => {
    const { db, store, sim } = await setup()
    store.name = 'second'
    await sim.run(100)
    /** @type {string[]} */
    const seen = []
    db.on('change', () => seen.push(store.name))
    await sim.wait(db.undo())
    await sim.run(100)
    expect(new Set(seen)).toEqual(new Set(['Book']))
  })

  test('of several steps in a row shows all of them at once', async () => {
    const { db, store, sim, server } = await setup()
    for (const name of ['one', 'two', 'three']) {
      store.name = name
      await sim.run(50)
    }
    const { head } = server
    const all = [db.undo(), db.undo(), db.undo()]
    await turn()
    expect(store.name).toBe('Book')
    await sim.wait(Promise.all(all))
    await sim.run(100)
    expect([store.name, server.head]).toEqual(['Book', head + 3])
    const back = [db.redo(), db.redo()]
    await turn()
    expect(store.name).toBe('two')
    await sim.wait(Promise.all(back))
    await sim.run(100)
    expect(store.name).toBe('two')
  })

  test('brings back what was deleted, with its edges, and takes away what was made', async () => {
    const { db, store, rec, sim, server } = await setup()
    rec.$delete()
    await sim.run(100)
    expect(store.records.length).toBe(0)
    const undone = db.undo()
    await turn()
    expect(store.records.map((/** @type {any} */ r) => r.n)).toEqual([0])
    await sim.wait(undone)
    await sim.run(100)
    expect(store.records.map((/** @type {any} */ r) => r.$id)).toEqual([REC])
    db.create('Record', { n: 2, dataStore: store })
    await sim.run(100)
    const gone = db.undo()
    await turn()
    expect(store.records.length).toBe(1)
    await sim.wait(gone)
    await sim.run(100)
    expect([store.records.length, [...server.state.objects.values()].length]).toEqual([1, 2])
  })

  test('of what is still on its way is shown at once, and done once that is answered', async () => {
    const { db, store, sim, server } = await setup()
    store.name = 'before'
    await sim.run(100)
    store.name = 'second'
    await sim.settle() // sent, not answered
    const undone = db.undo()
    await turn()
    expect(store.name).toBe('before')
    await sim.wait(undone)
    await sim.run(100)
    expect([store.name, server.entity(`objects/${STORE}`).body.name, server.head]).toEqual(['before', 'before', 4])
  })

  test('of what is refused in the meantime undoes nothing else', async () => {
    const { db, store, sim, server } = await setup()
    store.name = 'kept'
    await sim.run(100)
    server.options.refuse = (/** @type {any[]} */ patch) =>
      patch[0].value === 'bad' ? { code: 'schema', title: 'No' } : undefined
    store.name = 'bad'
    await sim.settle()
    const undone = db.undo()
    await sim.wait(undone)
    await sim.run(100)
    expect([store.name, server.head]).toEqual(['kept', 2])
    await sim.wait(db.undo())
    await sim.run(100)
    expect(store.name).toBe('Book')
  })

  test('where somebody has changed the same shows what is there now, and says what conflicts', async () => {
    const { db, store, sim, bob } = await setup()
    store.name = 'mine'
    await sim.run(100)
    bob([{ op: 'replace', path: `/objects/${STORE}/body/name`, value: 'bob’s' }])
    const early = db.undo() // bob's change is not here yet
    await turn()
    expect(store.name).toBe('Book')
    await expect(sim.wait(early)).rejects.toMatchObject({
      code: 'undo-conflict',
      conflicts: [{ path: `/objects/${STORE}/body/name`, object: store }],
    })
    expect(store.name).toBe('bob’s')
    const late = db.undo() // it can be tried again, and now this client knows better than to show it
    await turn()
    expect(store.name).toBe('bob’s')
    await expect(sim.wait(late)).rejects.toMatchObject({ code: 'undo-conflict' })
  })

  test('keeps trying over a line that is down, and is done once', async () => {
    const { db, store, sim, server } = await setup()
    store.name = 'second'
    await sim.run(100)
    let down = true
    server.options.reverting = async () => {
      if (down) throw new Error('the network is down')
    }
    const undone = db.undo()
    await sim.run(120_000)
    expect(store.name).toBe('Book')
    down = false
    await sim.wait(undone)
    await sim.run(100)
    expect([store.name, server.head]).toEqual(['Book', 3])
  })

  test('and redo after each other wait for each other', async () => {
    const { db, store, sim, server } = await setup()
    store.name = 'second'
    await sim.run(100)
    const both = [db.undo(), db.redo()]
    await sim.wait(Promise.all(both))
    await sim.run(100)
    expect([store.name, server.head]).toEqual(['second', 4])
  })

  test('comes before what is written on it', async () => {
    const { db, store, rec, sim, server } = await setup()
    const refused = vi.fn()
    db.on('reject', refused)
    rec.$delete()
    await sim.run(100)
    const undone = db.undo()
    await turn()
    rec.n = 5
    await sim.wait(undone)
    await sim.run(100)
    expect([rec.n, server.entity(`objects/${REC}`).body.n]).toEqual([5, 5])

    store.name = 'second'
    await sim.run(100)
    const first = db.undo()
    await turn()
    store.name = 'third'
    await sim.wait(first)
    await sim.run(100)
    expect([store.name, server.entity(`objects/${STORE}`).body.name]).toEqual(['third', 'third'])

    rec.$delete()
    await sim.run(100)
    const again = db.undo()
    await turn()
    const about = db.create('OperationRequest', { target: rec }) // an edge to what is coming back
    await sim.wait(again)
    await sim.run(100)
    const ends = [...server.state.edges.values()].map((/** @type {any} */ e) => [e.from, e.to])
    expect(ends).toContainEqual([about.$id, REC])
    expect(refused).not.toHaveBeenCalled()
  })

  test('that is refused lets what was written on it go its way', async () => {
    const { db, store, sim, server, bob } = await setup()
    store.name = 'second'
    await sim.run(100)
    bob([{ op: 'replace', path: `/objects/${STORE}/body/name`, value: 'by Bob' }])
    const undone = db.undo()
    undone.catch(() => {})
    await turn()
    store.name = 'third'
    await sim.wait(undone.catch((/** @type {any} */ e) => expect(e.code).toBe('undo-conflict')))
    await sim.run(100)
    expect([store.name, server.entity(`objects/${STORE}`).body.name]).toEqual(['third', 'third'])
  })

  test('joins the steps of a group', async () => {
    const { db, store, rec, sim } = await setup()
    const group = id(77)
    db.transact(() => (store.name = 'one'), { group })
    await sim.run(100)
    db.transact(() => (rec.n = 1), { group }) // this one is on its way
    await sim.settle()
    const undone = db.undo()
    await turn()
    expect([store.name, rec.n]).toEqual(['Book', 0])
    await sim.wait(undone)
    await sim.run(100)
    expect([store.name, rec.n]).toEqual(['Book', 0])
    await sim.wait(db.redo())
    await sim.run(100)
    expect([store.name, rec.n]).toEqual(['one', 1])
  })

  test.each(['early', 'late'])(
    'that an earlier page began and that conflicts is told to who listens, %s',
    async (when) => {
      const { db, store, sim, server, connect, bob } = await setup()
      store.name = 'second'
      await sim.run(100)
      server.options.reverting = async () => {
        throw new Error('down')
      }
      db.undo().catch(() => {})
      await turn()
      const doing = JSON.parse(JSON.stringify(db.writing?.undos?.doing))
      db.close()
      bob([{ op: 'replace', path: `/objects/${STORE}/body/name`, value: 'by Bob' }])
      server.options.reverting = undefined
      const two = await connect()
      const told = vi.fn()
      if (when === 'early') two.on('problem', told)
      const { writing } = /** @type {any} */ (two)
      writing.kept = { done: [], undone: [], doing }
      await writing.history()
      await sim.run(5_000)
      if (when === 'late') two.on('problem', told)
      await turn()
      expect(told.mock.calls).toMatchObject([
        [{ code: 'undo-conflict', conflicts: [{ path: `/objects/${STORE}/body/name` }] }],
      ])
      two.close()
    },
  )

  test('of two steps that are refused leaves them in order', async () => {
    const { db, store, sim, bob } = await setup()
    for (const name of ['one', 'two']) {
      store.name = name
      await sim.run(100)
    }
    bob([{ op: 'replace', path: `/objects/${STORE}/body/name`, value: 'by Bob' }])
    await sim.wait(Promise.allSettled([db.undo(), db.undo()]))
    expect(db.writing?.undos?.done.map((s) => s.versions)).toEqual([[2], [3]])
  })

  test('takes a group back whole, also where a part of it is not sent', async () => {
    const { db, store, sim, server, sockets } = await setup()
    const group = id(77)
    db.transact(() => (store.name = 'one'), { group })
    await sim.run(100)
    sockets.at(-1).cut(1006)
    db.transact(() => store.tags.push('two'), { group })
    const undone = db.undo()
    await turn()
    expect([store.name, [...store.tags]]).toEqual(['Book', ['a', 'b']])
    await sim.wait(undone)
    await sim.run(1_000)
    expect(server.entity(`objects/${STORE}`).body).toEqual({ name: 'Book', tags: ['a', 'b'] })
    await sim.wait(db.redo())
    await sim.run(1_000)
    expect([store.name, [...store.tags]]).toEqual(['one', ['a', 'b', 'two']])
  })

  test('of what was not sent takes it back by itself, and redo writes it again', async () => {
    const { db, store, rec, sim, server, sockets } = await setup()
    const { head } = server
    sockets.at(-1).cut(1006)
    store.tags.push('one')
    await turn()
    db.transact(() => (rec.n = 2), { note: 'two', group: id(77) }).catch(() => {})
    expect([await db.undo(), await db.undo(), await db.undo()]).toEqual([head, head, undefined])
    expect([[...store.tags], rec.n, db.pending.length]).toEqual([['a', 'b'], 0, 0])
    const first = db.redo()
    await turn()
    expect([[...store.tags], rec.n]).toEqual([['a', 'b', 'one'], 0])
    const second = db.redo() // though the first is still on its way
    await turn()
    expect([rec.n, db.pending.map((p) => [p.note, p.group])]).toEqual([
      2,
      [
        [undefined, undefined],
        ['two', id(77)],
      ],
    ])
    expect(await sim.wait(Promise.all([first, second]))).toEqual([head + 1, head + 2])
    expect([await db.redo(), server.entity(`objects/${REC}`).body.n]).toEqual([undefined, 2])
    await sim.wait(db.undo()) // now as a commit
    await sim.run(100)
    expect([rec.n, server.head]).toEqual([0, head + 3])
  })

  test('of what was not sent can go to and fro', async () => {
    const { db, store, sim, server, sockets } = await setup()
    sockets.at(-1).cut(1006)
    store.tags.push('one')
    for (let i = 0; i < 3; i++) {
      await db.undo()
      expect([...store.tags]).toEqual(['a', 'b'])
      db.redo().catch(() => {})
      await turn()
      expect([...store.tags]).toEqual(['a', 'b', 'one'])
    }
    expect(await db.redo()).toBe(undefined)
    await sim.until(() => db.pending.length === 0)
    expect([server.head, server.entity(`objects/${STORE}`).body.tags]).toEqual([2, ['a', 'b', 'one']])
  })

  test('of what was not sent is not brought back on top of something new', async () => {
    const { db, store, sim, sockets } = await setup()
    sockets.at(-1).cut(1006)
    store.name = 'one'
    await db.undo()
    store.name = 'two'
    expect(await db.redo()).toBe(undefined)
    await sim.wait(db.settled())
    expect([store.name, await db.redo()]).toEqual(['two', undefined])
  })

  test('of what was not sent does not bring back what others have made impossible, and says so', async () => {
    const { db, store, rec, sim, bob, sockets } = await setup()
    sockets.at(-1).cut(1006)
    rec.n = 1
    await db.undo()
    bob([{ op: 'remove', path: `/objects/${REC}` }])
    await sim.until(() => store.records.length === 0)
    await expect(db.redo()).rejects.toMatchObject({ code: 'path-missing', op: 0 })
    await expect(db.redo()).rejects.toMatchObject({ code: 'path-missing' })
    expect(await db.redo({ skip: true })).toBe(undefined)
  })

  test('that conflicts can be passed over, for the one before it', async () => {
    const { db, store, rec, sim, bob } = await setup()
    rec.n = 1
    await sim.run(100)
    store.name = 'mine'
    await sim.run(100)
    bob([{ op: 'replace', path: `/objects/${STORE}/body/name`, value: 'by Bob' }])
    await sim.run(100)
    for (let i = 0; i < 2; i++) await expect(sim.wait(db.undo())).rejects.toMatchObject({ code: 'undo-conflict' })
    expect(rec.n).toBe(1)
    await sim.wait(db.undo({ skip: true }))
    await sim.run(100)
    expect([rec.n, store.name]).toEqual([0, 'by Bob'])
    expect(await db.undo()).toBe(undefined) // what was passed over is forgotten
    await sim.wait(db.redo())
    await sim.run(100)
    expect(rec.n).toBe(1)
  })

  test('passes over nothing that was not refused', async () => {
    const { db, store, sim } = await setup()
    store.name = 'mine'
    await sim.run(100)
    await sim.wait(db.undo({ skip: true }))
    await sim.run(100)
    expect(store.name).toBe('Book')
  })

  test('is not brought back once something is written after it, also while it is under way', async () => {
    const { db, store, rec, sim } = await setup()
    store.name = 'second'
    await sim.run(100)
    const undone = db.undo()
    await turn()
    rec.n = 5
    await sim.wait(undone)
    await sim.run(100)
    expect([await db.redo(), store.name, rec.n]).toEqual([undefined, 'Book', 5])
  })

  test('is forgotten about when the client is closed, and leaves no timer', async () => {
    const { db, store, sim, server } = await setup()
    store.name = 'second'
    await sim.run(100)
    server.options.reverting = async () => {
      throw new Error('down')
    }
    const undone = db.undo()
    await sim.run(1_000)
    db.close()
    await expect(undone).rejects.toMatchObject({ code: expect.stringMatching(/closed|unavailable/) })
    await sim.run(0)
    expect(sim.events.size).toBe(0)
  })
})

test('the inverse of random steps leads back to where they began', () => {
  const random = seeded(11)
  const int = (/** @type {number} */ n) => Math.floor(random() * n)
  const ref = `/objects/${STORE}/body`
  const value = () => [1, 'x', null, [1, 2], { a: 1 }, { b: [] }][int(6)]
  let applied = 0
  for (let n = 0; n < 4_000; n++) {
    const before = { type: 'T', body: { a: [1, [2], { c: 3 }], b: { c: null, d: 'x' }, e: 0 }, meta: { version: 1 } }
    const paths = ['/a', '/a/0', '/a/1', '/a/-', '/a/2/c', '/a/1/0', '/b', '/b/c', '/b/new', '/e', '/f']
    const path = () => ref + paths[int(paths.length)]
    const ops = Array.from({ length: 1 + int(4) }, () => {
      const op = /** @type {any} */ (['add', 'remove', 'replace', 'move', 'copy'][int(5)])
      return { op, path: path(), ...(op === 'move' || op === 'copy' ? { from: path() } : { value: value() }) }
    })
    const read = () => before
    let steps
    let after
    try {
      steps = ops.map(compileGraphOp)
      after = applySteps(steps, read).get(`objects/${STORE}`)
    } catch {
      continue // it does not apply
    }
    applied++
    const back = inverse(steps, read) ?? []
    const again = applySteps(back.map(compileGraphOp), () => after).get(`objects/${STORE}`) ?? after
    expect(equal(again?.body, before.body), `case ${n}: ${JSON.stringify({ ops, back })}`).toBe(true)
  }
  expect(applied).toBeGreaterThan(800)
})
