/**
 * What this client knows.
 *
 * *Confirmed* is what the views hold, exactly as the server sent it. What is
 * *shown* is that with the overlay on top: this client's own transactions that
 * are not yet part of it (`layers.js`). Entities are immutable values; a
 * reference names one: `objects/<id>` or `edges/<id>`.
 */

import { Cells } from './cells.js'
import { report } from './events.js'

/** @typedef {import('./protocol.js').Entity} Entity */
/** @typedef {'>'|'<'} Direction along an edge, or against it */
/** @typedef {{members: Map<string, Entity>, changed?: (refs: Set<string>, lists: Set<string>) => void}} Holder */
/**
 * What lies above the confirmed state.
 * @typedef {object} Overlay
 * @property {(refs: Set<string>) => Map<string, Entity | undefined> | null} over what is to be shown of these, and of what hangs together with them; null: what is confirmed
 * @property {() => string[]} unconfirmed ids of the objects that are only here
 * @property {(ref: string) => boolean} isPending
 * @property {Map<string, Error>} errors the last refusal of a transaction that touched an entity
 */

const NOTHING = Object.freeze(/** @type {string[]} */ ([]))

/** The name of the list of objects at the other end of an object's edges. @param {string} id @param {Direction} dir @param {string} label */
export const listKey = (id, dir, label) => `${id}${dir}${label}`

/** How new a copy is. @param {Entity} entity */
export const age = ({ guess, meta }) => (guess ? 0 : meta.version)

export class Store {
  constructor() {
    /** @type {Map<string, Entity>} */
    this.confirmed = new Map()
    /** @type {Map<string, Entity>} */
    this.shown = new Map()
    /** @type {Set<Holder>} */
    this.holders = new Set()
    /** @type {Overlay | null} */
    this.overlay = null
    this.cells = new Cells()
    /** Edge ids by object, and by direction and label, in the order of ids. @type {Map<string, Record<string, string[]>>} */
    this.index = new Map()
    /** @type {Map<string, {ids: readonly string[], stale: boolean}>} */
    this.lists = new Map()
    /** Called once a tick with the references that changed. @type {(refs: Set<string>) => void} */
    this.onChange = () => {}

    this.depth = 0
    /** @type {Set<string>} confirmed or layered anew, to be shown at the end of the batch */
    this.dirty = new Set()
    /** @type {Set<string>} shown anew in this batch */
    this.changed = new Set()
    /** @type {Set<string>} lists whose members may have changed */
    this.touched = new Set()
    /** @type {Set<string>} other owners of cells to be asked */
    this.stirred = new Set()
    /** @type {Set<string> | null} */
    this.tick = null
  }

  /**
   * Makes all changes within fn visible as one step.
   * @template T
   * @param {() => T} fn
   * @returns {T}
   */
  batch(fn) {
    this.depth++
    try {
      return fn()
    } finally {
      if (this.depth === 1) this.#finish()
      this.depth--
    }
  }

  /**
   * Ends a batch: show, tell the views, ask the cells. Listeners may write; what
   * they write is shown in another round, and a circle of them is cut.
   */
  #finish() {
    for (let round = 0; round < 100; round++) {
      this.replay()
      const { changed, touched } = this
      if (!changed.size && !touched.size && !this.stirred.size) return
      this.changed = new Set()
      this.touched = new Set()
      for (const key of touched) {
        const list = this.lists.get(key)
        if (list) list.stale = true
        if (list && !this.index.get(key.slice(0, 36))?.[key.slice(36)]) this.lists.delete(key)
      }
      for (const holder of this.holders) holder.changed?.(changed, touched)
      const owners = this.stirred
      this.stirred = new Set()
      for (const ref of changed) owners.add(ref)
      for (const key of touched) owners.add(`objects/${key.slice(0, 36)}`)
      for (const owner of owners) this.cells.refresh(owner, changed.has(owner) && !this.shown.has(owner))
      if (changed.size) this.#announce(changed)
    }
    report(new Error('listeners keep changing what they listen to'))
  }

  /** @param {Set<string>} changed */
  #announce(changed) {
    if (this.tick) {
      for (const ref of changed) this.tick.add(ref)
      return
    }
    this.tick = changed
    queueMicrotask(() => {
      this.tick = null
      this.onChange(changed)
    })
  }

  /** Has an owner's cells asked at the end of the batch. @param {string} owner */
  stir(owner) {
    this.batch(() => void this.stirred.add(owner))
  }

  // Confirmed state ---------------------------------------------------------

  /**
   * A view holds this copy of an entity. Of several views' copies the newest
   * counts; copies of one version are one and the same value.
   * @param {Holder} holder
   * @param {string} ref
   * @param {Entity} entity
   */
  hold(holder, ref, entity) {
    this.holders.add(holder)
    const had = this.confirmed.get(ref)
    const mine = holder.members.get(ref)
    holder.members.set(ref, had && age(had) === age(entity) ? had : entity)
    if (!had || age(had) < age(entity)) this.#confirm(ref, entity)
    else if (had === mine && age(had) > age(entity)) this.#elect(ref)
  }

  /**
   * A view no longer holds an entity.
   * @param {Holder} holder
   * @param {string} ref
   */
  release(holder, ref) {
    const mine = holder.members.get(ref)
    if (!holder.members.delete(ref)) return
    if (mine === this.confirmed.get(ref)) this.#elect(ref)
  }

  /** A view is closed. @param {Holder} holder */
  drop(holder) {
    this.batch(() => {
      for (const ref of [...holder.members.keys()]) this.release(holder, ref)
      this.holders.delete(holder)
    })
  }

  /** @param {string} ref */
  #elect(ref) {
    /** @type {Entity | undefined} */
    let best
    for (const h of this.holders) {
      const copy = h.members.get(ref)
      if (copy && (!best || age(copy) > age(best))) best = copy
    }
    this.#confirm(ref, best)
  }

  /**
   * @param {string} ref
   * @param {Entity | undefined} entity
   */
  #confirm(ref, entity) {
    if (entity) this.confirmed.set(ref, entity)
    else this.confirmed.delete(ref)
    this.dirty.add(ref)
  }

  // Both together -------------------------------------------------------------

  /** Shows what is dirty, and all that hangs together with it. */
  replay() {
    const refs = this.dirty
    this.dirty = new Set()
    const draft = this.overlay?.over(refs)
    if (draft) for (const [ref, entity] of draft) this.show(ref, entity)
    else for (const ref of refs) this.show(ref, this.confirmed.get(ref))
  }

  /**
   * @param {string} ref
   * @param {Entity | undefined} entity
   */
  show(ref, entity) {
    const before = this.shown.get(ref)
    if (before === entity) return
    this.changed.add(ref)
    if (entity) this.shown.set(ref, entity)
    else this.shown.delete(ref)
    const id = ref.slice(ref.indexOf('/') + 1)
    if (ref.startsWith('edges/')) {
      if (before && entity && before.from === entity.from && before.to === entity.to && before.label === entity.label)
        return
      if (before) this.#indexEdge(id, before, false)
      if (entity) this.#indexEdge(id, entity, true)
    } else if (!before !== !entity) this.#touchNeighbours(id)
  }

  /**
   * @param {string} id
   * @param {any} edge
   * @param {boolean} present
   */
  #indexEdge(id, edge, present) {
    for (const [end, dir] of /** @type {[string, Direction][]} */ ([
      [edge.from, '>'],
      [edge.to, '<'],
    ])) {
      const labels = this.index.get(end) ?? {}
      this.index.set(end, labels)
      const key = dir + edge.label
      const ids = (labels[key] ??= present ? [id] : []) // many have this one alone: no room for more
      const at = lowerBound(ids, id)
      if (present) {
        if (ids[at] !== id) ids.splice(at, 0, id)
      } else if (ids[at] === id) ids.splice(at, 1)
      if (!ids.length && delete labels[key] && !Object.keys(labels).length) this.index.delete(end)
      this.touched.add(end + key)
    }
  }

  /** An object came or went: it appears in, or leaves, its neighbours' lists. @param {string} id */
  #touchNeighbours(id) {
    for (const [key, ids] of Object.entries(this.index.get(id) ?? {})) {
      const [end, dir] = key[0] === '>' ? /** @type {const} */ (['to', '<']) : /** @type {const} */ (['from', '>'])
      for (const edge of ids) {
        const other = this.shown.get(`edges/${edge}`)?.[end]
        if (other) this.touched.add(other + dir + key.slice(1))
      }
    }
  }

  // Reading -----------------------------------------------------------------

  /**
   * Ids of an object's edges with a label.
   * @param {string} id
   * @param {Direction} dir
   * @param {string} label
   * @returns {readonly string[]}
   */
  edgesOf(id, dir, label) {
    return this.index.get(id)?.[dir + label] ?? NOTHING
  }

  /** The edge that joins two objects. @param {string} id @param {Direction} dir @param {string} label @param {string} other */
  edgeBetween(id, dir, label, other) {
    const end = dir === '>' ? 'to' : 'from'
    return this.edgesOf(id, dir, label).find((e) => this.shown.get(`edges/${e}`)?.[end] === other)
  }

  /**
   * Ids of the objects at the other end, those that are shown; the same array
   * as long as they are the same.
   * @param {string} id
   * @param {Direction} dir
   * @param {string} label
   * @returns {readonly string[]}
   */
  neighbours(id, dir, label) {
    const key = listKey(id, dir, label)
    let list = this.lists.get(key)
    if (list && !list.stale && !this.touched.has(key)) return list.ids
    const end = dir === '>' ? 'to' : 'from'
    /** @type {Set<string>} */
    const ids = new Set()
    for (const edge of this.edgesOf(id, dir, label)) {
      const other = this.shown.get(`edges/${edge}`)?.[end]
      if (other && this.shown.has(`objects/${other}`)) ids.add(other)
    }
    const fresh = [...ids]
    if (!fresh.length) return NOTHING
    if (!list) this.lists.set(key, (list = { ids: fresh, stale: false }))
    if (!sameItems(list.ids, fresh)) list.ids = fresh
    list.stale = false
    return list.ids
  }
}

/**
 * @param {readonly string[]} ids
 * @param {string} id
 */
function lowerBound(ids, id) {
  let lo = 0
  let hi = ids.length
  while (lo < hi) {
    const mid = (lo + hi) >> 1
    if (ids[mid] < id) lo = mid + 1
    else hi = mid
  }
  return lo
}

/**
 * @param {readonly any[]} a
 * @param {readonly any[]} b
 */
export const sameItems = (a, b) => a.length === b.length && a.every((v, i) => v === b[i])
