/**
 * Transactions: what belongs together. All writes of one synchronous turn make
 * one transaction, sealed when the turn ends; `transact` draws the line itself.
 */

import { Mutation } from './mutation.js'
import { uuidv7 } from './uuid.js'

/** @typedef {import('./patch.js').PatchOp} PatchOp */
/** @typedef {import('./protocol.js').Problem} Problem */

export class Transactions {
  /**
   * @param {import('./layers.js').Layers} layers
   * @param {(mutation: Mutation) => void} submit takes a sealed transaction
   * @param {() => number} version the version that is shown now
   */
  constructor(layers, submit, version) {
    this.layers = layers
    this.submit = submit
    this.version = version
    this.seq = 0
    /** @type {Mutation | null} */
    this.open = null
    /** Why nothing can be written any more. @type {Problem | null} */
    this.closed = null
    /** Within the callback of `transact`. */
    this.inside = false
  }

  /**
   * Records operations in the open transaction and shows them. Throws, and
   * records nothing, if they do not apply, or once the client is closed.
   * @param {PatchOp[]} ops
   */
  write(ops) {
    if (ops.length === 0) return
    if (this.closed) throw this.closed
    const open = this.open ?? new Mutation(uuidv7(), ++this.seq)
    this.layers.write(open, ops)
    if (this.open) return
    this.open = open
    queueMicrotask(() => {
      if (this.open === open && !this.inside) this.seal()
    })
  }

  /** Ends the open transaction and hands it over. */
  seal() {
    const { open } = this
    this.open = null
    if (!open || open.ops.length === 0) return
    open.base = this.version()
    this.submit(open)
  }

  /**
   * Makes one transaction of all that fn writes. fn is synchronous; if it
   * throws, nothing has happened. A transact within another belongs to it, and
   * throws what fails it.
   * @param {() => unknown} fn
   * @param {{group?: string, note?: string, undoable?: boolean}} [options]
   * @returns {Promise<number>} the version of the commit; rejects with the problem, or with what fn threw
   */
  transact(fn, options) {
    if (this.inside) {
      const outer = /** @type {Mutation} */ (this.open)
      refusePromise(fn())
      return outer.settled.promise
    }
    try {
      return this.#make(fn, options)
    } catch (err) {
      return Promise.reject(err)
    }
  }

  /** @param {() => unknown} fn @param {{group?: string, note?: string, undoable?: boolean}} [options] */
  #make(fn, options) {
    if (this.closed) throw this.closed
    this.seal() // what was written before in this turn goes first, by itself
    const mutation = new Mutation(uuidv7(), ++this.seq, options)
    this.open = mutation
    this.inside = true
    try {
      this.layers.store.batch(() => {
        try {
          refusePromise(fn())
        } catch (err) {
          this.layers.discard(mutation)
          this.open = null
          throw err
        }
      })
    } finally {
      this.inside = false
    }
    if (mutation.ops.length === 0) {
      this.open = null
      mutation.settled.resolve(this.version())
    } else this.seal()
    return mutation.settled.promise
  }
}

/** @param {any} result */
function refusePromise(result) {
  if (typeof result?.then === 'function') {
    throw new TypeError('a transaction is one synchronous step: await before it, not within it')
  }
}
