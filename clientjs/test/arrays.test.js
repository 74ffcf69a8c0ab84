import { describe, expect, test } from 'vitest'
import { edits, moves } from '../src/arrays.js'
import { seeded } from './sim.js'
import { addObject, id, world } from './world.js'

const STORE = id(1)

/** The edit distance, the plain way. @param {readonly any[]} a @param {readonly any[]} b @returns {number} */
function distance(a, b) {
  if (a.length === 0 || b.length === 0) return a.length + b.length
  const [x, ...restA] = a
  const [y, ...restB] = b
  if (JSON.stringify(x) === JSON.stringify(y)) return distance(restA, restB)
  return 1 + Math.min(distance(restA, restB), distance(restA, b), distance(a, restB))
}

/** The fewest moves that make one order of another, by trying all. @param {string} from @param {string} to */
function fewestMoves(from, to) {
  let seen = new Set([from])
  for (let n = 0; ; n++) {
    if (seen.has(to)) return n
    const next = new Set(seen)
    for (const s of seen)
      for (let i = 0; i < s.length; i++)
        for (let j = 0; j < s.length; j++) {
          const rest = s.slice(0, i) + s.slice(i + 1)
          next.add(rest.slice(0, j) + s[i] + rest.slice(j))
        }
    seen = next
  }
}

/** @param {any[]} list @param {import('../src/arrays.js').ItemOp[]} ops */
function play(list, ops) {
  const out = [...list]
  for (const o of ops) {
    if (o.op === 'add') out.splice(o.last ? out.length : o.at, 0, o.value)
    else if (o.op === 'replace') out[o.at] = o.value
    else if (o.op === 'remove') out.splice(o.at, 1)
    else out.splice(o.at, 0, ...out.splice(/** @type {number} */ (o.from), 1))
  }
  return out
}

test('edits are as few as there can be, and make the one array of the other', () => {
  const random = seeded(5)
  const int = (/** @type {number} */ n) => Math.floor(random() * n)
  const list = () => Array.from({ length: int(7) }, () => [1, 2, 'x', null, [1], { a: 1 }][int(6)])
  for (let n = 0; n < 3_000; n++) {
    const [a, b] = [list(), list()]
    const ops = edits(a, b)
    const what = JSON.stringify({ a, b, ops })
    expect(play(a, ops), what).toEqual(b)
    expect(ops.length, what).toBe(distance(a, b))
  }
})

test('edits of very many elements name those alone that differ at their place', () => {
  const long = Array.from({ length: 600 }, (_, n) => /** @type {any} */ (n))
  const two = long.with(5, 'a').with(590, 'b')
  expect(edits(long, two)).toEqual([
    { op: 'replace', at: 5, value: 'a' },
    { op: 'replace', at: 590, value: 'b' },
  ])
  for (const fresh of [
    [...two.slice(0, 597), 'c'],
    [...two, 1, 2],
    ['x', ...long.slice(0, 580), 'y'],
    ['x', ...long, 'y'],
  ])
    for (const [a, b] of [
      [long, fresh],
      [fresh, long],
    ])
      expect(play(a, edits(a, b))).toEqual(b)
})

test('moves are as few as there can be', () => {
  const random = seeded(6)
  let found = 0
  for (let n = 0; n < 150; n++) {
    const from = 'abcdef'.slice(0, 2 + Math.floor(random() * 5))
    const to = [...from].sort(() => random() - 0.5).join('')
    const ops = moves([...from], [...to])
    const fewest = fewestMoves(from, to)
    if (!ops) {
      expect(fewest).toBeGreaterThan(from.length / 2) // so many are not worth it
      continue
    }
    found++
    expect(play([...from], ops).join('')).toBe(to)
    expect(ops.length).toBe(fewest)
  }
  expect(found).toBeGreaterThan(40)
  expect(moves([1, 2], [1, 3])).toBeUndefined()
})

describe('methods of an array', () => {
  /** What can be done to an array, by name. @type {Record<string, (list: any, v: () => any, int: (n: number) => number) => any>} */
  const acts = {
    push: (l, v, int) => l.push(...Array.from({ length: int(3) }, v)),
    pop: (l) => l.pop(),
    shift: (l) => l.shift(),
    unshift: (l, v, int) => l.unshift(...Array.from({ length: int(3) }, v)),
    splice: (l, v, int) => l.splice(int(9) - 4, int(4), ...Array.from({ length: int(4) }, v)),
    'splice without a count': (l, _, int) => l.splice(int(9) - 4),
    'splice of nothing': (l) => l.splice(),
    sort: (l) => l.sort(),
    'sort by': (l) => l.sort((/** @type {any} */ a, /** @type {any} */ b) => (String(a) < String(b) ? 1 : -1)),
    reverse: (l) => l.reverse(),
    fill: (l, v, int) => l.fill(v(), int(9) - 4, int(9) - 4),
    copyWithin: (l, _, int) => l.copyWithin(int(9) - 4, int(9) - 4, int(9) - 4),
    'length =': (l, _, int) => {
      l.length = Math.min(l.length, int(9))
    },
    '[i] =': (l, v, int) => {
      l[int(l.length + 1)] = v()
    },
  }

  test.each(Object.keys(acts))('%s does what it does to an ordinary one, with the smallest patch', async (name) => {
    const w = world()
    const start = ['b', 'a', 'c']
    w.seed([addObject(STORE, 'DataStore', { tags: start })])
    const db = await w.connect()
    const view = db.subscribe({ root: STORE })
    await w.sim.wait(view.ready)
    const store = view.root
    const at = `/objects/${STORE}/body/tags`
    const own = Object.keys(acts).length * 7 + Object.keys(acts).indexOf(name)
    for (let n = 0; n < 60; n++) {
      const before = JSON.parse(JSON.stringify(store.tags))
      const model = structuredClone(before)
      /** The same choices for both. */
      const play = (/** @type {any} */ list) => {
        const random = seeded(own * 1_000 + n)
        const int = (/** @type {number} */ k) => Math.floor(random() * k)
        return acts[name](list, () => ['a', 'b', 'c', 'd', { e: 1 }][int(5)], int)
      }
      const [want, have] = [play(model), play(store.tags)]
      const same = want === model ? have === store.tags : JSON.stringify(have) === JSON.stringify(want)
      expect(same, `${name} ${n} gives another value`).toBe(true)
      expect(JSON.parse(JSON.stringify(store.tags))).toEqual(model)
      const patch = db.writing?.transactions.open?.ops ?? []
      const bytes = JSON.stringify(patch).length
      const whole = JSON.stringify([{ op: 'replace', path: at, value: model }]).length
      const what = JSON.stringify({ before, model, patch })
      const fewest = distance(before, model)
      if (fewest === 0) expect(patch, what).toEqual([])
      else if (patch[0].path === at) {
        // Set anew as a whole: that is less than naming every element that changed.
        const each = patch[0].value.filter((/** @type {any} */ v, /** @type {number} */ i) => v !== before[i]).length
        expect(['sort', 'sort by', 'reverse', 'fill', 'copyWithin'], what).toContain(name)
        expect(bytes, what).toBe(whole)
        expect(each * at.length, what).toBeGreaterThan(0)
      } else {
        expect(patch.length, what).toBeLessThanOrEqual(fewest)
        for (const op of patch) expect(op.path.startsWith(`${at}/`), what).toBe(true)
      }
      await w.sim.run(5)
      if (store.tags.length > 6 || store.tags.length === 0) store.tags = start
      await w.sim.run(20)
      expect(w.server.entity(`objects/${STORE}`).body.tags).toEqual(JSON.parse(JSON.stringify(store.tags)))
    }
    db.close()
  })

  test('one row that moves is one operation, however long the list', async () => {
    const w = world()
    w.seed([addObject(STORE, 'DataStore', { tags: Array.from({ length: 600 }, (_, i) => ({ key: i, rank: i })) })])
    const db = await w.connect()
    const view = db.subscribe({ root: STORE })
    await w.sim.wait(view.ready)
    const { tags } = view.root
    tags[400].rank = -1
    await w.sim.run(20)
    tags.sort((/** @type {any} */ a, /** @type {any} */ b) => a.rank - b.rank)
    const at = `/objects/${STORE}/body/tags`
    expect(db.writing?.transactions.open?.ops).toEqual([{ op: 'move', from: `${at}/400`, path: `${at}/0` }])
    await w.sim.run(20)
    tags.length = 0 // more than a transaction may hold, one by one
    expect(db.writing?.transactions.open?.ops).toEqual([{ op: 'replace', path: at, value: [] }])
    await w.sim.run(20)
    expect(w.server.entity(`objects/${STORE}`).body.tags).toEqual([])
    db.close()
  })

  test('that would leave a hole are refused, and nothing changes', async () => {
    const w = world()
    w.seed([addObject(STORE, 'DataStore', { tags: ['a', 'b'] })])
    const db = await w.connect()
    const view = db.subscribe({ root: STORE })
    await w.sim.wait(view.ready)
    const { tags } = view.root
    expect(() => delete tags[0]).toThrow(/splice/)
    expect(() => (tags.length = 9)).toThrow(TypeError)
    expect(() => (tags[5] = 'x')).toThrow(TypeError)
    expect([...tags]).toEqual(['a', 'b'])
    expect(db.pending).toEqual([])
    db.close()
  })
})
