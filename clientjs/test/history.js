/**
 * One history: some clients, random edits, delays, cuts, duplicates, refusals
 * and revocations, all from one seed. At the end every client must equal the
 * server, and what was meant must be what happened.
 */

import { digestOf, evaluate } from './fake-server.js'
import { seeded, within } from './sim.js'
import { addEdge, addObject, id, world } from './world.js'

const STORE = id(1)
const PAIR = [id(2), id(3)]

/** @typedef {{clients: number, edits: number, commits: number, refused: number, again: number, faults: number}} Told what there was of each */
/** @typedef {(before: string[], after: string[], stayed: (tag: string) => boolean) => void} Meant */

const projections = [
  { root: STORE, in: { dataStore: { order: ['/body/rank'] } } },
  { root: STORE, in: { dataStore: { where: { open: true }, order: ['-/body/rank'], limit: 3 } } },
  { root: { type: 'Record', where: { open: true } }, out: { dataStore: {} } },
]

/** @param {any} condition @param {string | (() => string)} message */
function must(condition, message) {
  if (!condition) throw new Error(typeof message === 'string' ? message : message())
}

/** Whether two maps of JSON hold the same. @param {Map<string, any>} a @param {Map<string, any>} b */
function sameMaps(a, b) {
  if (a.size !== b.size) return false
  for (const [key, value] of a) if (!same(value, b.get(key))) return false
  return true
}

/** @param {Map<string, any>} map */
const text = (map) => JSON.stringify(Object.fromEntries(map))

/** Equal as JSON, whatever the order of keys; `===` is quick and common. @param {any} a @param {any} b @returns {boolean} */
function same(a, b) {
  if (a === b) return true
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return false
  const keys = Object.keys(a)
  return (
    Array.isArray(a) === Array.isArray(b) &&
    keys.length === Object.keys(b).length &&
    keys.every((k) => Object.hasOwn(b, k) && same(a[k], b[k]))
  )
}

/** Whether one element has become another. @param {string[]} was @param {string[]} is @param {string} tag */
const one = (was, is, tag) =>
  was.length === is.length &&
  was.filter((t, i) => t !== is[i]).length === 1 &&
  is[was.findIndex((t, i) => t !== is[i])] === tag

/**
 * Something that a user does. What an index means is written down, to be held
 * against what the server made of it.
 * @param {any} db @param {any} store @param {any} sim @param {Map<string, Meant>} meant
 * @param {boolean} turns whether lists are turned as well: moved, and as long as before
 */
function edit(db, store, sim, meant, turns) {
  const records = [...store.records]
  const some = records.length ? sim.pick(records) : undefined
  const fresh = () => `t${sim.int(1e9)}`
  const tags = store.tags
  /** @param {() => void} write @param {Meant} check */
  const exact = (write, check) => {
    const done = db.transact(write)
    done.catch(() => {})
    const mutation = db.pending.at(-1)?.mutation
    if (mutation) meant.set(mutation, check)
  }
  switch (sim.int(14)) {
    case 0:
      store.name = `name ${sim.int(1000)}`
      break
    case 1:
      if (turns && tags.length > 1 && sim.chance(0.7)) {
        tags.push(tags[0])
        tags.shift()
      } else tags.push(fresh())
      break
    case 2: {
      const at = sim.int(tags.length + 1)
      // At the end it is an append, wherever the end is by then.
      const [tag, before] = [fresh(), at > 0 && at < tags.length ? tags[at - 1] : undefined]
      exact(
        () => tags.splice(at, 0, tag),
        (was, is, stayed) => {
          must(is.length === was.length + 1 && is.includes(tag), `${tag} was not inserted`)
          if (before !== undefined && stayed(before))
            must(is[is.indexOf(tag) - 1] === before, `${tag} does not stand behind ${before}`)
        },
      )
      break
    }
    case 3:
    case 4: {
      if (!tags.length) break
      const at = sim.int(tags.length)
      const [old, tag] = [tags[at], fresh()]
      exact(
        () => {
          tags[at] = tag
        },
        // Who was overwritten meanwhile, by somebody else, is still that element: the last writer wins.
        (was, is, stayed) =>
          must(
            one(was, is, tag) && (!stayed(old) || !is.includes(old)),
            `${tag} did not replace ${old}: ${was} became ${is}`,
          ),
      )
      break
    }
    case 5: {
      if (tags.length < 2) break
      const at = sim.int(tags.length)
      const old = tags[at]
      exact(
        () => tags.splice(at, 1),
        (was, is, stayed) =>
          must(
            is.length === was.length - 1 && is.every((t) => was.includes(t)) && !(stayed(old) && is.includes(old)),
            `something else than ${old} was removed: ${was} became ${is}`,
          ),
      )
      break
    }
    case 6: {
      const rec = db.create('Record', { rank: sim.int(100), n: 0, open: sim.chance(0.5) })
      rec.dataStore = store
      break
    }
    case 7:
      some?.$delete()
      break
    case 8:
      if (some) some.open = !some.open
      break
    case 9:
      if (some) some.rank = sim.int(100)
      break
    case 10:
      if (some) some.dataStore = sim.chance(0.5) ? null : store
      break
    case 11:
      if (some) delete some.open
      break
    case 12:
      ;(sim.chance(0.6) ? db.undo() : db.redo()).catch(() => {}) // others may have changed the same
      break
    default: {
      // The invariant that observers watch: two objects change together or not at all.
      const [a, b] = PAIR.map((p) => db.get(p))
      const k = sim.int(1000)
      if (a && b)
        db.transact(() => {
          a.n = k
          b.n = -k
        }).catch(() => {})
    }
  }
}

/** What a view holds must be the server's, byte for byte. @param {any} db @param {any} view @param {any} server @param {string} user */
function equalToServer(db, view, server, user) {
  const want = evaluate(view.request.projection, server.state, user)
  if (view.state === 'failed') {
    // Subscribed again after a cut, while its root could not be read.
    must(view.error.code === 'not-found' && view.members.size === 0, `a view failed: ${view.error}`)
    return
  }
  const all = new Map()
  for (const kind of /** @type {const} */ (['objects', 'edges']))
    for (const [entityId, e] of want[kind]) all.set(`${kind}/${entityId}`, e)
  must(sameMaps(view.members, all), () => `a view differs: ${text(view.members)} for ${text(all)}`)
  must(view.rootIds.join() === want.roots.join(), 'roots differ')
  must(view.digest === digestOf(want), 'the digest differs')
  // And what the app reads is just that.
  for (const [objectId, o] of want.objects) {
    const live = db.get(objectId)
    must(
      same(JSON.parse(JSON.stringify(live)), { $id: objectId, $type: o.type, ...o.body }),
      'an object reads otherwise',
    )
  }
}

/**
 * Plays the history of a seed; throws where a promise is broken. Time and chance
 * of the whole process are the seed's while it plays.
 * @param {number} seed
 * @returns {Promise<Told>}
 */
export async function history(seed) {
  const { now } = Date
  const { getRandomValues } = crypto
  const chance = seeded(seed)
  try {
    let time = 1.7e12 + seed * 1e7
    Date.now = () => time++
    crypto.getRandomValues = (/** @type {any} */ bytes) => fill(bytes, chance)
    return await play(seed)
  } finally {
    Date.now = now
    crypto.getRandomValues = getRandomValues
  }
}

/** @param {Uint8Array} bytes @param {() => number} chance @returns {any} */
function fill(bytes, chance) {
  for (let i = 0; i < bytes.length; i++) bytes[i] = Math.floor(chance() * 256)
  return bytes
}

/** @param {number} seed */
async function play(seed) {
  let quiet = true // nothing goes wrong
  /** @type {Map<string, Meant>} */
  const meant = new Map()
  /** @type {Set<string>} */
  const bad = new Set()
  /** @type {string[]} */
  const broken = []
  /** @type {any[]} */
  const clients = []
  let [edits, faults] = [0, 0]
  /** @param {number} p */
  const fault = (p) => {
    const happens = !quiet && w.sim.chance(p)
    if (happens) faults++
    return happens
  }
  const w = world({
    seed,
    turn: within,
    delay: () => w.sim.int(slow),
    refuse: () => fault(0.2),
    twice: () => fault(0.05),
    server: {
      flushDelay: () => w.sim.int(40),
      reverting: () => new Promise((resolve) => w.sim.after(w.sim.int(60), () => resolve(undefined))),
      split: 0.2,
      apart: seed % 4 === 1,
      part: 0.05,
      again: 0.1,
      refuse: (/** @type {any[]} */ _, /** @type {string} */ mutation) => {
        afterUndo(mutation)
        if (quiet) return undefined
        if (fault(0.06)) return { code: 'rate-limited', title: 'Too many', retryAfterMs: 20 }
        // What breaks the schema does so however often it comes.
        if (fault(0.06) && !server.applied.has(mutation)) bad.add(mutation)
        return bad.has(mutation) ? { code: 'schema', title: 'No' } : undefined
      },
    },
  })
  const { sim, server } = w
  /** What is written on an own undo must not come before it. @param {string} mutation */
  const afterUndo = (mutation) => {
    for (const { pending } of clients.map((db) => db.writing)) {
      const m = pending.inFlight.get(mutation)
      for (const [undo, { mutation: e, version }] of m ? pending.foreseen : [])
        if (version === undefined && e.seq < m.seq && [...m.refs].some((ref) => e.refs.has(ref)))
          if (!server.applied.has(undo)) broken.push(`${mutation} is here before the undo that it is written on`)
    }
  }
  const slow = 1 + sim.int(60)
  w.seed([
    addObject(STORE, 'DataStore', { name: 'Book', tags: ['x', 'y', 'z'] }),
    ...PAIR.map((p, i) => addObject(p, 'Record', { rank: i, n: 0, open: i === 0 })),
    ...PAIR.map((p, i) => addEdge(id(10 + i), 'dataStore', p, STORE)),
  ])
  const few = 2 + sim.int(2)
  const users = ['ann', 'bob', 'cleo', 'dan', 'eve', 'fay', 'gus', 'hal'].slice(
    0,
    seed % 20 === 0 ? 4 + ((seed / 20) % 5) : few,
  )
  for (const user of users) clients.push(await w.connect({ token: user }))
  const views = clients.map((db, i) =>
    projections.filter((_, p) => p === 0 || (p + i + seed) % 3 === 0).map((p) => db.subscribe(p)),
  )
  await sim.until(() => views.flat().every((v) => v.state === 'live'))
  quiet = false

  let refused = 0
  clients.forEach((db, i) => {
    db.on('reject', (/** @type {any} */ e) => {
      refused++
      if (server.applied.has(e.mutation))
        broken.push(`client ${i} was told that ${e.mutation} is refused, but it is committed`)
    })
    db.on('commit', (/** @type {any} */ e) => {
      // What had no effect makes no commit.
      if ((server.applied.get(e.mutation) ?? e.version) !== e.version)
        broken.push(`client ${i} took ${e.mutation} for committed at ${e.version}`)
    })
    db.on('change', () => {
      const [a, b] = PAIR.map((p) => db.get(p))
      if (a && b && a.n + b.n !== 0) broken.push(`client ${i} saw half of a transaction at ${db.version}`)
      const tags = db.get(STORE)?.tags ?? [] // none is written twice
      if (new Set(tags).size < tags.length) broken.push(`client ${i} saw a transaction twice: ${tags}`)
    })
  })

  const steps = 3 + sim.int(10)
  for (let step = 0; step < steps; step++) {
    const i = sim.int(clients.length)
    const store = clients[i].get(STORE)
    for (let n = sim.int(3); n >= 0 && store?.$exists; n--, edits++) edit(clients[i], store, sim, meant, seed % 4 === 0)
    if (fault(0.08)) sim.pick(w.sockets).cut(1006)
    if (fault(0.06)) {
      const records = [...server.state.objects.keys()].filter((o) => o !== STORE && !PAIR.includes(o))
      const target = sim.chance(0.1) || !records.length ? STORE : sim.pick(records)
      const user = sim.pick(users)
      server.deny(user, target, !server.state.denied.has(`${user} ${target}`))
    }
    await sim.run(sim.int(60))
  }

  quiet = true
  const atRest = (/** @type {any} */ db) =>
    db.status === 'live' && db.pending.length === 0 && !db.writing.undos?.doing.length
  await sim.until(() => clients.every(atRest), 120_000)
  await sim.run(200) // what is on its way arrives
  const equal = () => {
    for (const [i, db] of clients.entries()) for (const view of views[i]) equalToServer(db, view, server, users[i])
  }
  equal()
  for (const db of clients) db.reconnect() // a ping brings the digests
  await sim.run(1_000)
  equal()
  must(broken.length === 0, broken.join('\n'))
  for (const { mutation, version } of server.log) {
    const check = meant.get(mutation)
    const tags = (/** @type {number} */ v) => server.states[v].objects.get(STORE).body.tags
    if (!check) continue
    // An element that was gone for a while and came back (an undo) may be taken for another one.
    const held = Array.from({ length: version - 1 }, (_, v) => tags(v + 1))
    const stayed = (/** @type {string} */ tag) => {
      const since = held.findIndex((t) => t.includes(tag))
      return since >= 0 && held.slice(since).every((t) => t.includes(tag))
    }
    check(tags(version - 1), tags(version), stayed)
  }
  must(new Set(server.log.map((c) => c.mutation)).size === server.log.length, 'a transaction was committed twice')
  for (const db of clients) {
    must(db.writing.layers.list.length === 0, 'a layer is left')
    must(sameMaps(db.store.shown, db.store.confirmed), 'what is shown is not what is confirmed')
    db.close()
    must(db.store.confirmed.size === 0 && db.store.shown.size === 0, 'something is left after close')
  }
  const sent = server.heard.filter((m) => m.t === 'mutate')
  const again = sent.length - new Set(sent.map((m) => m.mutation)).size
  return { clients: clients.length, edits, commits: server.head, refused, again, faults }
}
