/**
 * What this client knows.
 *
 * Two layers are kept apart. *Confirmed* is what the views hold, exactly as the
 * server sent it. *Layers* are this client's own transactions that are not yet
 * part of it, in the order written. What is *shown* is computed from both:
 *
 *     shown = confirmed, with every pending transaction applied again, in order
 *
 * A transaction that no longer applies is left out whole. Only entities that a
 * change can concern are computed anew. Entities are immutable values; a
 * reference names one: `objects/<id>` or `edges/<id>`.
 */

import { Cells } from './cells.js'
import { report } from './events.js'
import { applySteps, compileGraphOp, indexedArrays } from './mutation.js'
import { compareStrings } from './order.js'
import { equal, peek } from './patch.js'

/** @typedef {import('./protocol.js').Entity} Entity */
/** @typedef {import('./mutation.js').Mutation} Mutation */
/** @typedef {import('./patch.js').PatchOp} PatchOp */
/** @typedef {'>'|'<'} Direction along an edge, or against it */
/** @typedef {{members: Map<string, Entity>, changed?: (refs: Set<string>, lists: Set<string>) => void}} Holder */

const NOTHING = Object.freeze(/** @type {string[]} */ ([]))

/** The name of the list of objects at the other end of an object's edges. @param {string} id @param {Direction} dir @param {string} label */
export const listKey = (id, dir, label) => `${id}${dir}${label}`

export class Store {
  constructor() {
    /** @type {Map<string, Entity>} */
    this.confirmed = new Map()
    /** @type {Map<string, Entity>} */
    this.shown = new Map()
    /** @type {Set<Holder>} */
    this.holders = new Set()
    /** @type {Mutation[]} */
    this.layers = []
    /** @type {Map<string, Mutation[]>} */
    this.layersOf = new Map()
    /** The last refusal of a transaction that touched an entity. @type {Map<string, Error>} */
    this.errors = new Map()
    this.cells = new Cells()
    /** Edge ids by object, direction and label, in the order of ids. @type {Map<string, Map<string, string[]>>} */
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
      this.#replay()
      const { changed, touched } = this
      if (!changed.size && !touched.size && !this.stirred.size) return
      this.changed = new Set()
      this.touched = new Set()
      for (const key of touched) {
        const list = this.lists.get(key)
        if (list) list.stale = true
      }
      for (const holder of this.holders) holder.changed?.(changed, touched)
      const owners = this.stirred
      this.stirred = new Set()
      for (const ref of changed) owners.add(ref)
      for (const key of touched) owners.add(`objects/${key.slice(0, 36)}`)
      for (const owner of owners) this.cells.refresh(owner, owner.includes('/') && !this.shown.has(owner))
      if (changed.size) this.#announce(changed)
    }
    report(new Error('listeners keep changing what they listen to'))
  }

  /** @param {Set<string>} changed */
  #announce(changed) {
    if (!this.tick) {
      this.tick = new Set()
      queueMicrotask(() => {
        const refs = /** @type {Set<string>} */ (this.tick)
        this.tick = null
        this.onChange(refs)
      })
    }
    for (const ref of changed) this.tick.add(ref)
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
    if (had && had.meta.version === entity.meta.version) holder.members.set(ref, had)
    else holder.members.set(ref, entity)
    if (!had || had.meta.version < entity.meta.version) this.#confirm(ref, entity)
    else if (had === mine && had.meta.version > entity.meta.version) this.#elect(ref)
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
      if (copy && (!best || copy.meta.version > best.meta.version)) best = copy
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

  // Own transactions --------------------------------------------------------

  /**
   * Adds operations to the newest layer and shows them. Throws a PatchError,
   * and changes nothing, if one of them does not apply to what is shown.
   * @param {Mutation} mutation
   * @param {readonly PatchOp[]} ops
   */
  write(mutation, ops) {
    this.batch(() => {
      this.#replay() // what came in this batch goes below
      const steps = ops.map(compileGraphOp)
      const draft = applySteps(steps, (ref) => this.shown.get(ref))
      if (this.layers.at(-1) !== mutation) this.layers.push(mutation)
      for (const { ref } of steps) {
        if (mutation.refs.has(ref)) continue
        const layers = this.layersOf.get(ref)
        if (!layers) this.layersOf.set(ref, [mutation])
        else if (layers.at(-1) !== mutation) layers.push(mutation)
        this.errors.delete(ref)
        this.changed.add(ref)
      }
      this.#noteArrays(mutation, steps)
      mutation.push(steps, ops)
      for (const [ref, entity] of draft) this.#show(ref, entity)
    })
  }

  /**
   * Keeps what the author saw of arrays that steps point into; the first sight
   * of each counts, before this transaction changed it.
   * @param {Mutation} mutation
   * @param {readonly import('./mutation.js').RefStep[]} steps
   */
  #noteArrays(mutation, steps) {
    for (const { ref, whole, step } of steps) {
      if (whole) continue
      for (const { path, seen } of indexedArrays(this.shown.get(ref), step)) {
        if (!mutation.arrays.some((a) => a.ref === ref && sameItems(a.path, path)))
          mutation.arrays.push({ ref, path, seen })
      }
    }
  }

  /**
   * Whether the arrays that a transaction points into are confirmed by now as
   * its author saw them.
   * @param {Mutation} mutation
   */
  arraysAsSeen({ arrays }) {
    return arrays.every(({ ref, path, seen }) => equal(peek(this.confirmed.get(ref), path), seen))
  }

  /**
   * Takes a transaction's layer away: it is confirmed, or refused.
   * @param {Mutation} mutation
   * @param {Error} [problem] of a refusal
   */
  discard(mutation, problem) {
    this.batch(() => {
      const at = this.layers.indexOf(mutation)
      if (at < 0) return
      this.layers.splice(at, 1)
      for (const ref of mutation.refs) {
        const layers = /** @type {Mutation[]} */ (this.layersOf.get(ref)).filter((m) => m !== mutation)
        if (layers.length) this.layersOf.set(ref, layers)
        else this.layersOf.delete(ref)
        if (problem) this.errors.set(ref, problem)
        this.dirty.add(ref)
        this.changed.add(ref)
      }
    })
  }

  /** Whether a transaction that touches the entity is unconfirmed. @param {string} ref */
  isPending(ref) {
    return this.layersOf.has(ref)
  }

  // The view of both ----------------------------------------------------------

  /** Shows the dirty entities, and all that share a transaction with them. */
  #replay() {
    if (this.dirty.size === 0) return
    const refs = this.dirty
    this.dirty = new Set()
    /** @type {Set<Mutation>} */
    const concerned = new Set()
    for (const ref of refs) {
      // A transaction applies whole or not at all, so whatever decides over one
      // of its entities decides over all; refs grows while it is walked.
      for (const m of this.layersOf.get(ref) ?? []) {
        if (concerned.has(m)) continue
        concerned.add(m)
        for (const other of m.refs) refs.add(other)
      }
    }
    /** @type {Map<string, Entity | undefined>} */
    const draft = new Map()
    for (const ref of refs) draft.set(ref, this.confirmed.get(ref))
    for (const m of [...concerned].sort((a, b) => a.seq - b.seq)) {
      try {
        const applied = applySteps(m.steps, (ref) => draft.get(ref))
        for (const [ref, entity] of applied) draft.set(ref, entity)
        m.hidden = false
      } catch {
        m.hidden = true
      }
    }
    for (const [ref, entity] of draft) this.#show(ref, entity)
  }

  /**
   * @param {string} ref
   * @param {Entity | undefined} entity
   */
  #show(ref, entity) {
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
      let labels = this.index.get(end)
      if (!labels) this.index.set(end, (labels = new Map()))
      const key = dir + edge.label
      let ids = labels.get(key)
      if (!ids) labels.set(key, (ids = []))
      const at = lowerBound(ids, id)
      if (present) {
        if (ids[at] !== id) ids.splice(at, 0, id)
      } else if (ids[at] === id) ids.splice(at, 1)
      if (ids.length === 0) labels.delete(key)
      if (labels.size === 0) this.index.delete(end)
      this.touched.add(end + key)
    }
  }

  /** An object came or went: it appears in, or leaves, its neighbours' lists. @param {string} id */
  #touchNeighbours(id) {
    for (const [key, ids] of this.index.get(id) ?? []) {
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
    return this.index.get(id)?.get(dir + label) ?? NOTHING
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
    if (!list) this.lists.set(key, (list = { ids: fresh, stale: false }))
    if (!sameItems(list.ids, fresh)) list.ids = fresh
    list.stale = false
    return list.ids
  }

  /** Ids of the objects that only pending transactions have created. */
  unconfirmedObjects() {
    /** @type {string[]} */
    const ids = []
    for (const m of this.layers) {
      for (const id of m.creates) {
        if (this.shown.has(`objects/${id}`) && !this.confirmed.has(`objects/${id}`)) ids.push(id)
      }
    }
    return ids
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
    if (compareStrings(ids[mid], id) < 0) lo = mid + 1
    else hi = mid
  }
  return lo
}

/**
 * @param {readonly any[]} a
 * @param {readonly any[]} b
 */
export const sameItems = (a, b) => a.length === b.length && a.every((v, i) => v === b[i])
