/**
 * A transaction on its way: its patch operations, and what they do to the
 * entities that this client holds.
 */

import { applyStep, compileOp, formatPointer, PatchError } from './patch.js'

/** @typedef {import('./patch.js').PatchOp} PatchOp */
/** @typedef {import('./patch.js').Step} Step */
/** @typedef {import('./protocol.js').Entity} Entity */
/** @typedef {{ref: string, whole: boolean, step: Step}} RefStep an operation on one entity, its pointers relative to it */
/** @typedef {{promise: Promise<number>, resolve: (version: number) => void, reject: (problem: Error) => void}} Settlement */

/** The `meta` of an entity that the server has not seen yet. */
export const UNSEEN = Object.freeze({ version: 0 })

const INDEX = /^[0-9]+$/

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
    /** References of those that it creates. @type {Set<string>} */
    this.creates = new Set()
    /** Those into whose arrays it may point by index, as they were before it. @type {Map<string, Entity>} */
    this.indexed = new Map()
    /** All that it changes, as they were before it. @type {Map<string, Entity | undefined>} */
    this.before = new Map()
    /** It is committed, and `before` is just what the commit met. */
    this.exact = false
    /** Edges that go with the objects it deletes, by reference. @type {Map<string, Entity>} */
    this.swept = new Map()
    /** What was sent and is not refused: whatever happens, this very text may be committed. @type {{patch: PatchOp[], base: number | undefined} | null} */
    this.wire = null
    /** How often it was refused and sent again. */
    this.attempts = 0
    /** It does not apply to what is confirmed by now, and so is not shown. */
    this.hidden = false
    /** The earlier one, not shown either, that made the elements it points to. @type {Mutation | undefined} */
    this.under = undefined
    /** The id of the refused transaction that it was built on. @type {string | undefined} */
    this.dependsOn = undefined
    /** @type {Settlement} */
    this.settled = settlement()
  }

  /**
   * @param {readonly RefStep[]} steps
   * @param {readonly PatchOp[]} ops
   * @param {(ref: string) => Entity | undefined} read how things were before these
   */
  push(steps, ops, read) {
    this.ops.push(...ops)
    for (const s of steps) {
      const { ref, whole, step } = s
      if (!this.refs.has(ref)) this.before.set(ref, read(ref))
      this.refs.add(ref)
      this.steps.push(s)
      if (whole && step.op === 'add') this.creates.add(ref)
      const before = this.before.get(ref)
      if (before && !whole && [...step.path, ...step.from].some((t) => INDEX.test(t))) this.indexed.set(ref, before)
    }
  }

  /**
   * Whether what an index into an array of an entity means may depend on it.
   * @param {string} ref
   * @param {boolean} appends counts: nothing moves, but an index may point to it
   */
  reshapes(ref, appends) {
    return this.steps.some(({ ref: r, whole, step: { op, path, from, value } }) => {
      const last = path.at(-1) ?? ''
      if (r !== ref || whole || op === 'test') return false
      if (op === 'add' && last === '-') return appends
      return typeof value === 'object' || (op !== 'replace' && [last, from.at(-1) ?? ''].some((t) => INDEX.test(t)))
    })
  }
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
 * The operation over the graph document that a step stands for.
 * @param {RefStep} s
 * @returns {PatchOp}
 */
export function formatGraphOp({ ref, step: { op, path, from, value } }) {
  const at = (/** @type {string[]} */ p) => `/${ref}${formatPointer(p)}`
  return {
    op,
    path: at(path),
    ...(op === 'move' || op === 'copy' ? { from: at(from) } : {}),
    ...(value === undefined ? {} : { value }),
  }
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
  for (const [i, s] of steps.entries()) {
    const { ref } = s
    try {
      draft.set(ref, applyOne(s, draft.has(ref) ? draft.get(ref) : read(ref)))
    } catch (err) {
      if (err instanceof PatchError) err.op = i
      throw err
    }
  }
  return draft
}

/** @param {RefStep} s @param {Entity | undefined} before @returns {Entity | undefined} */
function applyOne({ ref, whole, step }, before) {
  if (whole) {
    // An entity that is already there (or gone) is this very transaction's
    // work, confirmed; or another's, and then the server will say so.
    if (step.op === 'add') return before ?? create(ref, step.value)
    if (step.op === 'remove') return undefined
    throw new PatchError('invalid-patch', `${step.op} does not act on a whole entity`, `/${ref}`)
  }
  if (step.path[0] === 'access') return before // no client holds `access`
  if (!before) throw new PatchError('path-missing', 'there is no such entity', `/${ref}${formatPointer(step.path)}`)
  return applyStep(before, step)
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
