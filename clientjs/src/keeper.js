/**
 * What this client has made and no view of the app holds. It does not vanish
 * when it is confirmed: a copy stays, and a view of the keeper's own takes over,
 * so that it is live, for as long as the app holds the object.
 */

import { applySteps } from './mutation.js'

/** @typedef {import('./mutation.js').Mutation} Mutation */

/** How long a view of the app may take to bring it. */
const PATIENCE = 250
/** The newest are kept. */
const MOST = 100

export class Keeper {
  /**
   * @param {import('./client.js').Client} client
   * @param {import('./layers.js').Layers} layers
   */
  constructor(client, layers) {
    this.client = client
    this.layers = layers
    /** Holds the copies. @type {import('./store.js').Holder} */
    this.copies = { members: new Map() }
    /** Ids of objects, oldest first, with the labels of the edges made from them. @type {Map<string, Set<string>>} */
    this.kept = new Map()
    /** @type {import('./projection.js').View | null} */
    this.view = null
    /** @type {any} */
    this.timer = undefined
  }

  /** A transaction is confirmed, and about to be no longer shown by itself. @param {Mutation} m @param {number} version */
  committed(m, version) {
    const { store } = this.layers
    const { members } = this.copies
    const lone = [...m.creates].filter((ref) => !store.confirmed.has(ref) && store.shown.has(ref))
    if (!lone.length && ![...m.refs].some((ref) => members.has(ref))) return
    let made
    try {
      made = applySteps(m.steps, (ref) => store.confirmed.get(ref))
    } catch {
      return // others have changed it since: the view will say
    }
    for (const [ref, entity] of made) {
      if (!lone.includes(ref) && !members.has(ref)) continue
      if (!entity) store.release(this.copies, ref)
      else {
        const { label, from } = entity
        if (label === undefined) this.kept.set(ref.slice(8), this.kept.get(ref.slice(8)) ?? new Set())
        else if (from !== undefined) this.kept.get(from)?.add(label)
        store.release(this.copies, ref)
        store.hold(this.copies, ref, { ...entity, meta: Object.freeze({ version }), guess: true })
      }
    }
    this.timer ??= this.client.connection.clock.setTimeout(() => this.#look(), PATIENCE)
  }

  /** Forgets what others hold by now, or nobody wants; subscribes to the rest. */
  #look() {
    this.timer = undefined
    const { client, view } = this
    if (client.connection.state.name === 'closed') return
    const { store, objects } = client
    const ours = (/** @type {string} */ ref) =>
      [...store.holders].every((h) => h === this.copies || h === view || !h.members.has(ref))
    for (const id of [...this.kept.keys()]) {
      const ref = `objects/${id}`
      if (!objects.known.get(ref)?.deref() || !ours(ref)) this.kept.delete(id)
    }
    for (const id of [...this.kept.keys()].slice(0, -MOST)) this.kept.delete(id)
    /** @type {Record<string, {}>} */
    const out = {}
    for (const labels of this.kept.values()) for (const label of labels) out[label] = {}
    const copies = [...this.copies.members.keys()]
    const done = () => {
      store.batch(() => {
        for (const ref of copies) store.release(this.copies, ref)
      })
      view?.close()
    }
    this.view = null
    if (this.kept.size === 0) {
      done()
      return
    }
    this.view = client.subscribe({ root: [...this.kept.keys()], out })
    this.view.ready.then(done, done)
  }

  close() {
    this.client.connection.clock.clearTimeout(this.timer)
    this.layers.store.drop(this.copies)
  }
}
