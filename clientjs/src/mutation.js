/**
 * A transaction on its way: its patch operations, and what they do to the
 * entities that this client holds.
 */

import { applyStep, compileOp, formatPointer, hasOwn, PatchError } from './patch.js'

/** @typedef {import('./patch.js').PatchOp} PatchOp */
/** @typedef {import('./patch.js').Step} Step */
/** @typedef {import('./protocol.js').Entity} Entity */
/** @typedef {{ref: string, whole: boolean, step: Step}} RefStep an operation on one entity, its pointers relative to it */
/** @typedef {{promise: Promise<number>, resolve: (version: number) => void, reject: (problem: Error) => void}} Settlement */

/** The `meta` of an entity that the server has not seen yet. */
const UNSEEN = Object.freeze({ version: 0 })

export class Mutation {
  /**
   * @param {string} id
   * @param {number} seq place in the order in which this client wrote
   * @param {{group?: string, note?: string, undoable?: boolean}} [options]
   */
  constructor(id, seq, options = {}) {
    this.id = id
    this.seq = seq
    this.group = options.group
    this.note = options.note
    /** Whether `undo` may take it back. */
    this.undoable = options.undoable ?? true
    /** The version that the author saw. @type {number | undefined} */
    this.base = undefined
    /** @type {PatchOp[]} */
    this.ops = []
    /** @type {RefStep[]} */
    this.steps = []
    /** References of the entities concerned. @type {Set<string>} */
    this.refs = new Set()
    /** Ids of the objects that it creates. @type {Set<string>} */
    this.creates = new Set()
    /**
     * The arrays that it points into by index, as its author saw them: the
     * index means that array and no other.
     * @type {{ref: string, path: string[], seen: readonly any[]}[]}
     */
    this.arrays = []
    /** It has waited for an earlier one that changes the same entity. */
    this.held = false
    /** It does not apply to what is confirmed by now, and so is not shown. */
    this.hidden = false
    /** @type {Settlement} */
    this.settled = settlement()
  }

  /** @param {readonly RefStep[]} steps @param {readonly PatchOp[]} ops */
  push(steps, ops) {
    this.ops.push(...ops)
    for (const s of steps) {
      this.steps.push(s)
      this.refs.add(s.ref)
      if (s.whole && s.step.op === 'add' && s.ref.startsWith('objects/')) this.creates.add(s.ref.slice(8))
    }
  }
}

const INDEX = /^[0-9]+$/

/**
 * The arrays of an entity that a step points into by index.
 * @param {Entity | undefined} entity
 * @param {Step} step
 * @returns {{path: string[], seen: readonly any[]}[]}
 */
export function indexedArrays(entity, step) {
  const found = []
  for (const pointer of [step.path, step.from]) {
    /** @type {any} */
    let here = entity
    for (let i = 0; i < pointer.length && here !== null && typeof here === 'object'; i++) {
      if (Array.isArray(here) && INDEX.test(pointer[i])) found.push({ path: pointer.slice(0, i), seen: here })
      here = hasOwn(here, pointer[i]) ? here[pointer[i]] : undefined
    }
  }
  return found
}

/** @returns {Settlement} */
function settlement() {
  /** @type {any} */
  const s = {}
  s.promise = new Promise((resolve, reject) => Object.assign(s, { resolve, reject }))
  // A refusal always reaches the `reject` event too: whoever does not await the
  // promise need not hear of it as an unhandled rejection as well.
  s.promise.catch(() => {})
  return s
}

/**
 * Reads an operation over the graph document.
 * @param {any} op
 * @returns {RefStep}
 */
export function compileGraphOp(op) {
  const step = compileOp(op)
  const ref = refOf(step.path, op.path)
  if (step.from.length && refOf(step.from, op.from) !== ref) {
    throw new PatchError('invalid-patch', '`from` must lie in the same entity', op.from)
  }
  return { ref, whole: step.path.length === 2, step: { ...step, path: step.path.slice(2), from: step.from.slice(2) } }
}

/**
 * @param {string[]} tokens
 * @param {string} text
 */
function refOf(tokens, text) {
  if (tokens.length < 2 || (tokens[0] !== 'objects' && tokens[0] !== 'edges')) {
    throw new PatchError('invalid-patch', 'a path begins with /objects/<id> or /edges/<id>', text)
  }
  return `${tokens[0]}/${tokens[1]}`
}

/**
 * What steps make of the entities: a map of those that they touch, undefined
 * for one that is gone. Throws a PatchError if any step does not apply.
 * @param {readonly RefStep[]} steps
 * @param {(ref: string) => Entity | undefined} read
 * @returns {Map<string, Entity | undefined>}
 */
export function applySteps(steps, read) {
  /** @type {Map<string, Entity | undefined>} */
  const draft = new Map()
  for (const { ref, whole, step } of steps) {
    const before = draft.has(ref) ? draft.get(ref) : read(ref)
    if (whole) {
      // An entity that is already there (or gone) is this very transaction's
      // work, confirmed; or another's, and then the server will say so.
      if (step.op === 'add') draft.set(ref, before ?? create(ref, step.value))
      else if (step.op === 'remove') draft.set(ref, undefined)
      else throw new PatchError('invalid-patch', `${step.op} does not act on a whole entity`, `/${ref}`)
    } else if (step.path[0] === 'access') {
      draft.set(ref, before) // no client holds `access`
    } else if (!before) {
      throw new PatchError('path-missing', 'there is no such entity', `/${ref}${formatPointer(step.path)}`)
    } else {
      draft.set(ref, applyStep(before, step))
    }
  }
  return draft
}

/**
 * @param {string} ref
 * @param {any} value
 * @returns {Entity}
 */
function create(ref, value) {
  const body = value?.body ?? {}
  if (ref.startsWith('objects/')) return { type: value.type, body, meta: UNSEEN }
  return { label: value.label, from: value.from, to: value.to, body, meta: UNSEEN }
}
