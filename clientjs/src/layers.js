/**
 * This client's own transactions that are not yet part of the confirmed state,
 * in the order written, and what they make of it:
 *
 *     shown = confirmed, with every pending transaction applied again, in order
 *
 * A transaction that no longer applies is left out whole. Only entities that a
 * change can concern are computed anew.
 */

import { applySteps, compileGraphOp, formatGraphOp } from './mutation.js'
import { PatchError, peek } from './patch.js'
import { moved, rebase } from './rebase.js'

/** @typedef {import('./protocol.js').Entity} Entity */
/** @typedef {import('./mutation.js').Mutation} Mutation */
/** @typedef {import('./patch.js').PatchOp} PatchOp */
/** @typedef {import('./store.js').Overlay} Overlay */

/** @implements {Overlay} */
export class Layers {
  /** @param {import('./store.js').Store} store */
  constructor(store) {
    this.store = store
    /** @type {Mutation[]} */
    this.list = []
    /** @type {Map<string, Mutation[]>} */
    this.of = new Map()
    /** @type {Map<string, Error>} */
    this.errors = new Map()
    store.overlay = this
  }

  /**
   * Adds operations to the newest layer and shows them. Throws a PatchError,
   * and changes nothing, if one of them does not apply to what is shown.
   * @param {Mutation} mutation
   * @param {readonly PatchOp[]} ops
   */
  write(mutation, ops) {
    const { store } = this
    store.batch(() => {
      store.replay() // what came in this batch goes below
      const read = (/** @type {string} */ ref) => store.shown.get(ref)
      /** @type {import('./mutation.js').RefStep[]} */
      const steps = []
      let draft
      try {
        for (const op of ops) steps.push(compileGraphOp(op))
        draft = applySteps(steps, read)
      } catch (err) {
        throw explained(err, steps, read)
      }
      const fresh = steps.map((s) => s.ref).filter((ref) => !mutation.refs.has(ref))
      for (const s of steps) if (s.whole && s.step.op === 'remove') this.#sweep(mutation, s.ref)
      mutation.push(steps, ops, read)
      this.add(mutation, fresh)
      for (const [ref, entity] of draft) store.show(ref, entity)
    })
  }

  /** Notes the edges that go with an object. @param {Mutation} mutation @param {string} ref */
  #sweep(mutation, ref) {
    const { index, shown } = this.store
    for (const ids of Object.values(index.get(ref.slice(8)) ?? {}))
      for (const id of ids) {
        const entity = shown.get(`edges/${id}`)
        if (entity) mutation.swept.set(`edges/${id}`, entity)
      }
  }

  /**
   * Puts a transaction on top.
   * @param {Mutation} mutation
   * @param {Iterable<string>} refs of it that are new
   */
  add(mutation, refs) {
    if (this.list.at(-1) !== mutation) this.list.push(mutation)
    for (const ref of refs) {
      const layers = this.of.get(ref)
      if (!layers) this.of.set(ref, [mutation])
      else if (!layers.includes(mutation)) layers.push(mutation)
      this.errors.delete(ref)
      this.store.changed.add(ref)
    }
  }

  /**
   * Takes a transaction's layer away: it is confirmed, or refused.
   * @param {Mutation} mutation
   * @param {Error} [problem] of a refusal
   */
  discard(mutation, problem) {
    const { store } = this
    store.batch(() => {
      const at = this.list.indexOf(mutation)
      if (at < 0) return
      this.list.splice(at, 1)
      for (const ref of mutation.refs) {
        const layers = /** @type {Mutation[]} */ (this.of.get(ref)).filter((m) => m !== mutation)
        if (layers.length) this.of.set(ref, layers)
        else this.of.delete(ref)
        if (problem) this.errors.set(ref, problem)
        store.dirty.add(ref)
        store.changed.add(ref)
      }
    })
  }

  /** Whether a transaction that touches the entity is unconfirmed. @param {string} ref */
  isPending(ref) {
    return this.of.has(ref)
  }

  /** Ids of the objects that only pending transactions have created. */
  unconfirmed() {
    const { shown, confirmed } = this.store
    return this.list.flatMap((m) =>
      [...m.creates]
        .filter((ref) => ref.startsWith('objects/') && shown.has(ref) && !confirmed.has(ref))
        .map((ref) => ref.slice(8)),
    )
  }

  /**
   * What is to be shown of these, and of all that share a transaction with them;
   * null where there is none, and the confirmed state is shown.
   * @param {Set<string>} refs grows
   */
  over(refs) {
    if (this.of.size === 0) return null
    /** @type {Set<Mutation>} */
    const concerned = new Set()
    for (const ref of refs) {
      // A transaction applies whole or not at all, so whatever decides over one
      // of its entities decides over all; refs grows while it is walked.
      for (const m of this.of.get(ref) ?? []) {
        if (concerned.has(m)) continue
        concerned.add(m)
        for (const other of m.refs) refs.add(other)
      }
    }
    /** @type {Map<string, Entity | undefined>} */
    const draft = new Map()
    for (const ref of refs) draft.set(ref, this.store.confirmed.get(ref))
    const read = (/** @type {string} */ ref) => draft.get(ref)
    /** @type {Mutation[]} */
    const hidden = []
    for (const m of [...concerned].sort((a, b) => a.seq - b.seq)) {
      // Where one is left out that made or moved elements, the index of a later one has nothing to
      // follow: its element may be back once the server has answered.
      m.under = hidden.find((e) => [...m.indexed.keys()].some((ref) => e.reshapes(ref, true)))
      try {
        if (m.under) throw new PatchError('path-missing', 'the elements that it points into are not shown', '')
        for (const [ref, seen] of m.indexed) follow(m, ref, seen, draft.get(ref))
        const applied = applySteps(m.steps, read)
        for (const ref of m.refs) m.before.set(ref, draft.get(ref))
        for (const [ref, entity] of applied) draft.set(ref, entity)
        m.hidden = false
      } catch (err) {
        if (!(err instanceof PatchError)) throw err
        m.hidden = true
        hidden.push(m)
      }
    }
    return draft
  }
}

/**
 * Why operations do not apply, in the words of the graph: with the whole path, and
 * where a test does not hold with what is there in its place.
 * @param {any} err @param {import('./mutation.js').RefStep[]} steps @param {(ref: string) => Entity | undefined} read
 */
function explained(err, steps, read) {
  if (!(err instanceof PatchError)) return err
  if (err.op < 0) return Object.assign(err, { op: steps.length }) // its form is wrong
  const { ref, step } = steps[err.op]
  const path = err.path.startsWith(`/${ref}`) ? err.path : `/${ref}${err.path}`
  const text = err.message.slice(0, -JSON.stringify(err.path).length - 4)
  const told = Object.assign(new PatchError(err.code, text, path), { op: err.op })
  if (err.code !== 'test-failed') return told
  const before = applySteps(steps.slice(0, err.op), read)
  const entity = before.has(ref) ? before.get(ref) : read(ref)
  return Object.assign(told, { actual: peek(entity, step.path), version: entity?.meta.version })
}

/**
 * Has a transaction's indexes follow the elements that its author meant.
 * @param {Mutation} m
 * @param {string} ref
 * @param {Entity} seen
 * @param {Entity | undefined} now
 */
function follow(m, ref, seen, now) {
  if (!now || now === seen) return
  const mine = m.steps.filter((s) => s.ref === ref)
  if (!moved(mine, seen, now)) return
  const rebased = rebase(mine, seen, now)
  if (!rebased) throw new PatchError('path-missing', 'the element that was meant is gone', `/${ref}`)
  m.indexed.set(ref, now)
  let k = 0
  m.steps = m.steps.map((s) => (s.ref === ref ? rebased[k++] : s))
  m.ops = m.steps.map(formatGraphOp)
}
