import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Layers } from '../src/layers.js'
import { Outgoing } from '../src/outgoing.js'
import { Pending } from '../src/pending.js'
import { View } from '../src/projection.js'
import { Session } from '../src/session.js'
import { Store } from '../src/store.js'
import { uuidv7 } from '../src/uuid.js'
import { history } from './history.js'

/** So many histories are enough to notice that a client is broken. */
const ENOUGH = 100

/**
 * Does something else in place of a method.
 * @param {any} proto
 * @param {string} name
 * @param {(self: any, was: (...args: any[]) => any, ...args: any[]) => any} fn
 */
function instead(proto, name, fn) {
  const was = proto[name]
  /** @this {any} @param {any[]} args */
  function changed(...args) {
    return fn(this, was.bind(this), ...args)
  }
  vi.spyOn(proto, name).mockImplementation(changed)
}

/**
 * Clients that break a promise, each in its own way: what the simulation is for.
 * @type {Record<string, () => void>}
 */
const broken = {
  'sends with a base that it has not seen': () =>
    instead(Outgoing.prototype, 'submit', (_, submit, m) => {
      m.base = 1e9
      m.indexed.clear()
      submit(m)
    }),
  'shows what is refused': () =>
    instead(Layers.prototype, 'discard', (_, discard, m, problem) => !problem && discard(m)),
  'shows the halves of a transaction one after the other': () =>
    instead(Store.prototype, 'batch', (store, _, fn) => {
      const value = fn()
      for (const ref of [...store.dirty]) {
        store.dirty = new Set([ref])
        store.replay()
        store.onChange(store.changed)
      }
      return value
    }),
  'keeps what has left a view': () => instead(Store.prototype, 'release', () => {}),
  'takes only the last frame of a delta': () =>
    instead(View.prototype, 'delta', (_, delta, frames) => delta(frames.slice(-1))),
  'does not know its own work in what comes back': () => instead(Outgoing.prototype, 'covered', () => {}),
  'keeps what was half received over a cut': () =>
    instead(Session.prototype, 'disconnected', (session) => {
      session.live = false
      session.outgoing?.disconnected()
    }),
  'sends again what is not answered, under another name': () =>
    instead(Pending.prototype, 'welcome', (pending, welcome) => {
      for (const m of pending.unsure.values()) m.id = uuidv7()
      welcome({})
    }),
  'does not follow the elements that others have moved': () =>
    instead(Layers.prototype, 'over', (layers, over, refs) => {
      for (const m of layers.list)
        for (const ref of m.indexed.keys()) m.indexed.set(ref, layers.store.confirmed.get(ref))
      return over(refs)
    }),
}

beforeEach(() => {
  vi.spyOn(console, 'warn').mockImplementation(() => {})
})
afterEach(() => {
  vi.restoreAllMocks()
})

test.each(Object.keys(broken))('the histories notice a client that %s', async (name) => {
  broken[name]()
  let caught
  for (let seed = 1; seed <= ENOUGH && !caught; seed++)
    caught = await history(seed).then(
      () => undefined,
      (err) => `seed ${seed}: ${err.message}`,
    )
  expect(caught).toBeDefined()
})
