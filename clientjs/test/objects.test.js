import { describe, expect, test, vi } from 'vitest'
import { observe } from '../src/cells.js'
import { addEdge, addObject, id, schema, world } from './world.js'

const [STORE, USER, REC1, REC2] = [id(1), id(2), id(3), id(4)]

/** @param {any} [options] */
async function setup(options) {
  const w = world(options)
  w.seed([
    addObject(STORE, 'DataStore', { name: 'Book', tags: ['a', 'b', 'c'], columns: [{ key: 'x', title: 'X' }] }),
    addObject(USER, 'User', { givenName: 'Ann' }),
    addObject(REC1, 'Record', { rank: 2, values: { x: 1 } }),
    addObject(REC2, 'Record', { rank: 1, values: {} }),
    addEdge(id(10), 'creator', STORE, USER),
    addEdge(id(11), 'dataStore', REC1, STORE),
    addEdge(id(12), 'dataStore', REC2, STORE),
  ])
  const db = await w.connect()
  const view = db.subscribe({
    root: STORE,
    out: { creator: {}, editors: {} },
    in: { dataStore: { order: ['/body/rank'] }, schemaOf: {} },
  })
  await w.sim.wait(view.ready)
  /** What the last turn sent. @returns {Promise<any[]>} */
  const sent = async () => {
    const before = w.server.heard.length
    await w.sim.run(50)
    return w.server.heard
      .slice(before)
      .filter((/** @type {any} */ m) => m.t === 'mutate')
      .map((/** @type {any} */ m) => m.patch)
  }
  return { ...w, db, view, store: view.root, sent }
}

/** @param {string} rest */
const at = (rest) => `/objects/${STORE}/body${rest}`

describe('properties', () => {
  test('are shown at once and travel as the smallest patch', async () => {
    const { store, sent, server } = await setup()
    store.name = 'Q3'
    expect(store.name).toBe('Q3')
    expect(store.$pending).toBe(true)
    expect(await sent()).toEqual([[{ op: 'replace', path: at('/name'), value: 'Q3' }]])
    expect(server.entity(`objects/${STORE}`).body.name).toBe('Q3')
    expect(store.$pending).toBe(false)
    expect(store.$meta.version).toBe(2)
  })

  test.each([
    [
      'a new property is added',
      (/** @type {any} */ s) => (s.note = 'n'),
      [{ op: 'add', path: at('/note'), value: 'n' }],
    ],
    ['delete removes', (/** @type {any} */ s) => delete s.name, [{ op: 'remove', path: at('/name') }]],
    ['undefined removes', (/** @type {any} */ s) => (s.name = undefined), [{ op: 'remove', path: at('/name') }]],
    ['null is a value', (/** @type {any} */ s) => (s.name = null), [{ op: 'replace', path: at('/name'), value: null }]],
    ['the same value is no change', (/** @type {any} */ s) => (s.tags = ['a', 'b', 'c']), undefined],
    [
      'a nested value is reached by its path',
      (/** @type {any} */ s) => (s.columns[0].title = 'Y'),
      [{ op: 'replace', path: at('/columns/0/title'), value: 'Y' }],
    ],
    ['odd keys are escaped', (/** @type {any} */ s) => (s['a/b~'] = 1), [{ op: 'add', path: at('/a~1b~0'), value: 1 }]],
    [
      'push appends',
      (/** @type {any} */ s) => s.tags.push('d', 'e'),
      [
        { op: 'add', path: at('/tags/-'), value: 'd' },
        { op: 'add', path: at('/tags/-'), value: 'e' },
      ],
    ],
    [
      'unshift inserts',
      (/** @type {any} */ s) => s.tags.unshift('0', '1'),
      [
        { op: 'add', path: at('/tags/0'), value: '0' },
        { op: 'add', path: at('/tags/1'), value: '1' },
      ],
    ],
    ['pop', (/** @type {any} */ s) => s.tags.pop(), [{ op: 'remove', path: at('/tags/2') }]],
    ['shift', (/** @type {any} */ s) => s.tags.shift(), [{ op: 'remove', path: at('/tags/0') }]],
    [
      'splice',
      (/** @type {any} */ s) => s.tags.splice(1, 1, 'B', 'B2'),
      [
        { op: 'replace', path: at('/tags/1'), value: 'B' },
        { op: 'add', path: at('/tags/2'), value: 'B2' },
      ],
    ],
    [
      'splice to the end',
      (/** @type {any} */ s) => s.tags.splice(-2),
      [
        { op: 'remove', path: at('/tags/2') },
        { op: 'remove', path: at('/tags/1') },
      ],
    ],
    ['an index', (/** @type {any} */ s) => (s.tags[1] = 'B'), [{ op: 'replace', path: at('/tags/1'), value: 'B' }]],
    [
      'the index after the last appends',
      (/** @type {any} */ s) => (s.tags[3] = 'd'),
      [{ op: 'add', path: at('/tags/-'), value: 'd' }],
    ],
    [
      'a shorter length',
      (/** @type {any} */ s) => (s.tags.length = 1),
      [
        { op: 'remove', path: at('/tags/2') },
        { op: 'remove', path: at('/tags/1') },
      ],
    ],
    [
      'reverse sets the array anew',
      (/** @type {any} */ s) => s.tags.reverse(),
      [{ op: 'replace', path: at('/tags'), value: ['c', 'b', 'a'] }],
    ],
    ['sorting what is sorted is no change', (/** @type {any} */ s) => s.tags.sort(), undefined],
  ])('%s', async (_, change, want) => {
    const { store, sent } = await setup()
    change(store)
    expect((await sent())[0]).toEqual(want)
  })

  test('an array does as an array does', async () => {
    const { store } = await setup()
    const { tags } = store
    expect(Array.isArray(tags)).toBe(true)
    expect(tags.length).toBe(3)
    expect([...tags]).toEqual(['a', 'b', 'c'])
    expect(tags.map((/** @type {string} */ t) => t + t)).toEqual(['aa', 'bb', 'cc'])
    expect(JSON.stringify(tags)).toBe('["a","b","c"]')
    expect(tags.splice(0, 2)).toEqual(['a', 'b'])
    expect(tags.pop()).toBe('c')
    expect(tags.pop()).toBeUndefined()
    expect(tags.push('z')).toBe(1)
    expect(tags.includes('z') && 0 in tags && !(1 in tags)).toBe(true)
    expect(() => (tags[5] = 'x')).toThrow(TypeError)
    expect(() => (tags.length = 9)).toThrow(TypeError)
    expect(() => delete tags[0]).toThrow(TypeError)
  })

  test('random array work gives what an ordinary array gives', async () => {
    const { store, sim, sent, server } = await setup({ seed: 7 })
    const model = ['a', 'b', 'c']
    for (let i = 0; i < 300; i++) {
      const v = `v${i}`
      const n = sim.int(5)
      const acts = [
        (/** @type {any} */ x) => x.push(v),
        (/** @type {any} */ x) => x.unshift(v, v),
        (/** @type {any} */ x) => x.pop(),
        (/** @type {any} */ x) => x.shift(),
        (/** @type {any} */ x) => x.splice(n - 2, n, v, v),
        (/** @type {any} */ x) => x.splice(n),
        (/** @type {any} */ x) => x.reverse(),
        (/** @type {any} */ x) => x.sort(),
        (/** @type {any} */ x) => x.fill(v, 1, 3),
      ]
      const act = sim.pick(acts)
      const [a, b] = [act(model), act(store.tags)]
      if (!Array.isArray(a) || a !== /** @type {any} */ (model)) expect(b).toEqual(a)
      expect([...store.tags]).toEqual(model)
    }
    await sent()
    expect(server.entity(`objects/${STORE}`).body.tags).toEqual(model)
  })

  test('look like those of an ordinary object', async () => {
    const { store } = await setup()
    expect(Object.keys(store)).toEqual(['name', 'tags', 'columns'])
    expect('name' in store && !('gone' in store)).toBe(true)
    expect({ ...store }.name).toBe('Book')
    expect(JSON.parse(JSON.stringify(store))).toMatchObject({ $id: STORE, $type: 'DataStore', name: 'Book' })
    expect(store.gone).toBeUndefined()
    expect(String(store.columns[0])).toBe('[object Object]')
  })

  test('that JSON cannot hold are refused, and nothing changes', async () => {
    const { store, sent } = await setup()
    expect(() => (store.name = () => {})).toThrow(TypeError)
    expect(() => (store.name = Number.NaN)).toThrow(TypeError)
    expect(() => (store.$id = 'x')).toThrow(TypeError)
    expect(store.name).toBe('Book')
    expect(await sent()).toEqual([])
  })

  test('named like the language’s own do no harm', async () => {
    const { store } = await setup()
    store.columns[0] = JSON.parse('{"__proto__":{"polluted":true}}')
    expect(/** @type {any} */ ({}).polluted).toBeUndefined()
    expect(store.columns[0].polluted).toBeUndefined()
  })
})

describe('edges', () => {
  test('outbound: a property; a target that is not loaded is undefined', async () => {
    const { db, store, sim } = await setup()
    expect(store.creator.givenName).toBe('Ann')
    expect(store.creator).toBe(db.get(USER))
    const bare = db.subscribe({ root: STORE })
    await sim.wait(bare.ready)
    expect(db.get(REC1).dataStore).toBe(store)
    expect(store.schema).toBe(null) // the view would have it
    expect([...store.editors]).toEqual([])
  })

  test('assigning links, and replaces where one is allowed', async () => {
    const { db, store, sent, server } = await setup()
    const bob = db.create('User', { givenName: 'Bob' })
    store.creator = bob
    expect(store.creator).toBe(bob)
    const [patch] = await sent()
    expect(patch.map((/** @type {any} */ p) => `${p.op} ${p.path.split('/')[1]}`)).toEqual([
      'add objects',
      'remove edges',
      'add edges',
    ])
    expect(patch[2].value).toEqual({ label: 'creator', from: STORE, to: bob.$id })
    expect([...server.state.edges.values()].filter((e) => e.label === 'creator').length).toBe(1)
    store.creator = bob
    expect(await sent()).toEqual([])
    store.creator = null
    expect(store.creator).toBe(null)
    expect((await sent())[0]).toHaveLength(1)
  })

  test('many: a live array, with push, remove and assignment', async () => {
    const { db, store, sent } = await setup()
    const [a, b] = [db.create('User', { givenName: 'A' }), db.create('User', { givenName: 'B' })]
    const { editors } = store
    editors.push(a, b)
    expect(editors.map((/** @type {any} */ u) => u.givenName)).toEqual(['A', 'B'])
    editors.remove(a)
    expect([...editors]).toEqual([b])
    store.editors = [a]
    expect([...editors]).toEqual([a])
    expect(editors).toBe(store.editors)
    expect(() => editors.splice(0, 1)).toThrow(/unlink/)
    expect(() => (store.editors = a)).toThrow(TypeError)
    expect(await sent()).toHaveLength(1)
  })

  test('inbound by the `as` name; linking from the other side', async () => {
    const { db, store, sent } = await setup()
    expect(store.records.map((/** @type {any} */ r) => r.$id)).toEqual([REC1, REC2])
    const rec = db.create('Record', { values: {} })
    rec.dataStore = store
    expect(store.records.length).toBe(3)
    const schema = db.create('Schema', { name: 's', schemaOf: store })
    expect(store.schema).toBe(schema)
    expect(await sent()).toHaveLength(1)
    expect(store.schema.name).toBe('s')
  })

  test('a body of its own', async () => {
    const { store, db, sent, server } = await setup()
    store.$link('editors', db.get(USER), { since: 1 })
    const edge = store.$edge('editors', db.get(USER))
    expect(edge.since).toBe(1)
    edge.since = 2
    edge.$delete()
    expect(store.$edge('editors', db.get(USER))).toBeUndefined()
    store.$link('editors', db.get(USER), { since: 3 })
    await sent()
    expect([...server.state.edges.values()].find((e) => e.label === 'editors').body).toEqual({ since: 3 })
    expect(store.$edge('editors').$to).toBe(db.get(USER))
    expect(store.$edge('dataStore', db.get(REC1)).$from).toBe(db.get(REC1))
  })

  test('an object that is deleted leaves its neighbours’ lists at once', async () => {
    const { db, store, sent } = await setup()
    const rec = db.get(REC1)
    rec.$delete()
    expect(store.records.map((/** @type {any} */ r) => r.$id)).toEqual([REC2])
    expect(rec.$exists).toBe(false)
    expect(rec.values).toBeUndefined()
    await sent()
    expect(db.get(REC1)).toBeUndefined()
  })
})

describe('an object that no view holds', () => {
  test('stays when it is confirmed, is live, and goes when it is deleted', async () => {
    const { db, sim, server } = await setup()
    const lone = db.create('User', { givenName: 'Lone' })
    const owned = db.create('DataStore', { name: 'Owned', creator: lone })
    await sim.run(20)
    expect([lone.givenName, lone.$pending, owned.creator]).toEqual(['Lone', false, lone])
    lone.givenName = 'Changed'
    await sim.run(20)
    expect(lone.givenName).toBe('Changed')
    await sim.run(1_000) // by now a view of the client's own holds it
    expect([lone.givenName, owned.creator, lone.$meta.version > 0]).toEqual(['Changed', lone, true])
    const path = `/objects/${lone.$id}`
    server.commit([{ op: 'replace', path: `${path}/body/givenName`, value: 'By bob' }], 'bob', crypto.randomUUID())
    await sim.run(100)
    expect(lone.givenName).toBe('By bob')
    server.commit([{ op: 'remove', path }], 'bob', crypto.randomUUID())
    await sim.run(100)
    expect(lone.$exists).toBe(false)
    db.close()
  })
})

describe('not loaded is told apart from absent', () => {
  test('undefined where nobody has looked, null where there is none', async () => {
    const { db, store, sim } = await setup()
    expect([store.$loaded('creator'), store.$loaded('records'), store.schema]).toEqual([true, true, null])
    expect([db.get(USER).$loaded('operations'), db.get(REC1).$loaded('dataStore')]).toEqual([false, false])
    const lone = db.create('DataStore', { name: 'New' })
    expect([lone.creator, lone.$loaded('creator')]).toEqual([null, true])
    await sim.run(10)
    const other = db.subscribe({ root: { type: 'Record' } })
    await sim.wait(other.ready)
    db.get(REC1).dataStore = null
    expect(db.get(REC1).dataStore).toBeUndefined()
  })
})

describe('a property that the schema calls `x-conflict: unchanged`', () => {
  const strict = structuredClone(schema)
  strict.types.DataStore.properties = {
    tags: {},
    columns: {},
    state: { 'x-conflict': 'unchanged' },
    since: { 'x-conflict': 'unchanged' },
  }

  test('is written with a test of what its author saw, once a transaction', async () => {
    const { db, store, sent } = await setup({ server: { schema: strict } })
    store.name = 'at the same time'
    store.since = 1
    expect(await sent()).toEqual([
      [
        { op: 'replace', path: at('/name'), value: 'at the same time' },
        { op: 'test', path: `/objects/${STORE}/meta/version`, value: 1 },
        { op: 'add', path: at('/since'), value: 1 },
      ],
    ])
    store.since = 2
    store.since = 3
    store.name = 'free'
    expect(await sent()).toEqual([
      [
        { op: 'test', path: at('/since'), value: 1 },
        { op: 'replace', path: at('/since'), value: 2 },
        { op: 'replace', path: at('/since'), value: 3 },
        { op: 'replace', path: at('/name'), value: 'free' },
      ],
    ])
    db.create('DataStore', { state: 'new' }).state = 'newer'
    expect((await sent())[0].map((/** @type {any} */ p) => p.op)).toEqual(['add', 'replace'])
  })

  test('that somebody else has changed goes back to the app, not over it', async () => {
    const { db, store, sim, server } = await setup({ server: { schema: strict }, delay: () => 5 })
    store.state = 'open'
    await sim.run(100)
    const refused = vi.fn()
    db.on('reject', refused)
    store.state = 'mine'
    server.commit([{ op: 'replace', path: at('/state'), value: 'theirs' }], 'bob', crypto.randomUUID())
    await sim.run(100)
    expect(store.state).toBe('theirs')
    expect(refused.mock.calls[0][0].problem).toMatchObject({ code: 'test-failed' })
  })

  test('is guarded where a method of the schema writes it, too', async () => {
    const methods = structuredClone(strict)
    methods.types.DataStore.methods.close = {
      patch: [
        { op: 'test', path: '/body/name', value: 'Book' },
        { op: 'add', path: '/body/state', value: { $param: 'state' } },
        { op: 'add', path: '/body/columns', value: [] },
        { op: 'move', path: '/body/note', from: '/body/since' },
      ],
    }
    const { store, sim, server, sent } = await setup({ server: { schema: methods }, delay: () => 5 })
    store.state = 'open'
    store.since = 1
    await sim.run(100)
    await sent()
    server.commit([{ op: 'replace', path: at('/state'), value: 'theirs' }], 'bob', crypto.randomUUID())
    store.close({ state: 'closed' })
    expect([store.state, store.note]).toEqual(['closed', 1])
    expect((await sent())[0].slice(0, 4)).toEqual([
      { op: 'test', path: at('/state'), value: 'open' },
      { op: 'test', path: at('/since'), value: 1 },
      { op: 'test', path: at('/name'), value: 'Book' },
      { op: 'add', path: at('/state'), value: 'closed' },
    ])
    await sim.run(100)
    expect([store.state, store.since, store.note]).toEqual(['theirs', 1, undefined])
  })

  test('can be written on what was made here and no view has brought yet', async () => {
    const { db, sim, server } = await setup({ server: { schema: strict } })
    const lone = db.create('DataStore', { name: 'Lone' })
    await sim.wait(db.settled())
    expect(lone.$meta.version).toBe(server.head)
    lone.since = 1
    await sim.wait(db.settled())
    expect([lone.since, lone.$error, server.entity(`objects/${lone.$id}`).body.since]).toEqual([1, undefined, 1])
  })
})

describe('lists of a view', () => {
  test('have the order of the projection, and follow it', async () => {
    const { db, view, store, sent } = await setup()
    const list = view.list(store, 'records')
    expect(list.map((r) => r.$id)).toEqual([REC2, REC1])
    db.get(REC2).rank = 3
    expect(list.map((r) => r.$id)).toEqual([REC1, REC2])
    const rec = db.create('Record', { rank: 2.5, dataStore: store })
    expect(list.map((r) => r.$id)).toEqual([REC1, rec.$id, REC2])
    await sent()
    expect(list.map((r) => r.$id)).toEqual([REC1, rec.$id, REC2])
    expect(view.list(store, 'records')).toBe(list)
  })

  test('have the window of the projection', async () => {
    const { db, store, sim, sent } = await setup()
    const narrow = db.subscribe({ root: STORE, in: { dataStore: { order: ['/body/rank'], limit: 1 } } })
    await sim.wait(narrow.ready)
    const list = narrow.list(store, 'dataStore')
    expect(list.map((r) => r.$id)).toEqual([REC2])
    db.get(REC2).rank = 9
    await sent()
    expect(list.map((r) => r.$id)).toEqual([REC1])
    expect(store.records.length).toBe(2)
  })

  test('roots of a type are live, and show what was just created', async () => {
    const { db, sim, sent } = await setup()
    const all = db.subscribe({
      root: { type: 'DataStore', where: { hidden: { exists: false } }, order: ['/body/name'] },
    })
    await sim.wait(all.ready)
    const { roots } = all
    const made = db.create('DataStore', { name: 'Another' })
    db.create('DataStore', { name: 'Hidden', hidden: true })
    expect(roots.map((r) => r.name)).toEqual(['Book', 'Another'])
    await sent()
    expect(roots.map((r) => r.name)).toEqual(['Another', 'Book'])
    expect(roots[0]).toBe(made)
  })
})

describe('methods', () => {
  class DataStore {
    get title() {
      return `* ${/** @type {any} */ (this).name}`
    }
    /** @param {string} name */
    call(name) {
      /** @type {any} */
      this.name = name
      return this
    }
  }

  test('of a class appear on the objects of its type', async () => {
    const { store } = await setup({ classes: { DataStore } })
    expect(store.title).toBe('* Book')
    expect(store.call('New')).toBe(store)
    expect(store.title).toBe('* New')
    expect(store).toBeInstanceOf(DataStore)
  })

  test('of the schema are patches with parameters', async () => {
    const { store, sent } = await setup()
    store.rename({ name: 'By method' })
    expect(store.name).toBe('By method')
    expect(await sent()).toEqual([[{ op: 'replace', path: at('/name'), value: 'By method' }]])
  })
})

describe('readers', () => {
  test('hear of what they read, and of nothing else, once a tick', async () => {
    const { store, sim } = await setup()
    let told = 0
    const watch = () => {
      const seen = observe(
        () => [store.name, store.columns[0].title, store.records.length],
        () => told++,
      )
      return seen.stop
    }
    let stop = watch()
    store.tags.push('unread')
    store.columns[0].key = 'unread'
    await sim.run(50)
    expect(told).toBe(0)
    store.name = 'x'
    store.columns[0].title = 'y'
    expect(told).toBe(0)
    await sim.settle()
    expect(told).toBe(1)
    stop()
    stop = watch()
    store.name = 'z'
    stop()
    await sim.run(50)
    expect(told).toBe(1)
  })

  test('hear of properties that come and go', async () => {
    const { store, sim } = await setup()
    /** @type {any[]} */
    const heard = []
    observe(
      () => store.extra,
      () => heard.push('value'),
    )
    observe(
      () => Object.keys(store),
      () => heard.push('keys'),
    )
    store.extra = 1
    await sim.settle()
    expect(heard.sort()).toEqual(['keys', 'value'])
  })

  test('see everything of one websocket message as one step', async () => {
    const { store, db, sim, server } = await setup()
    /** @type {any[]} */
    const seen = []
    db.on('change', () => seen.push([store.name, store.note]))
    server.hold = true
    server.commit([{ op: 'replace', path: at('/name'), value: 'one' }], 'bob', crypto.randomUUID())
    server.commit([{ op: 'add', path: at('/note'), value: 'two' }], 'bob', crypto.randomUUID())
    server.hold = false
    for (const s of server.sessions) s.wake()
    await sim.run(10)
    expect(seen).toEqual([['one', 'two']])
  })
})
