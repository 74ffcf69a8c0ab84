/**
 * What takes a transaction back, as far as this client can see it: the steps
 * that lead from what it left to what was there before, each behind a test that
 * nobody has changed the place since. The server has the last word (`undo.js`);
 * this is what is shown until it has spoken.
 */

import { applySteps, formatGraphOp } from './mutation.js'
import { applyStep, peek } from './patch.js'

/** @typedef {import('./mutation.js').RefStep} RefStep */
/** @typedef {import('./mutation.js').Mutation} Mutation */
/** @typedef {import('./patch.js').PatchOp} PatchOp */
/** @typedef {import('./patch.js').Step} Step */
/** @typedef {import('./protocol.js').Entity} Entity */

/** What is longer than this as JSON is not kept: its undoing shows when the server has done it. */
const LONGEST = 8_192

/**
 * The inverse of a transaction on what lay below it.
 * @param {Mutation} m
 * @returns {PatchOp[] | undefined} undefined where it is not known
 */
export function inverseOf(m) {
  // What comes back whole comes back as it was when it went, which others may have changed unseen.
  const blind = !m.exact && m.steps.some((s) => s.whole && s.step.op === 'remove' && s.ref.startsWith('objects/'))
  const back = m.hidden || blind ? undefined : inverse(m.steps, (ref) => m.before.get(ref))
  if (!back) return undefined
  // Edges that went with an object come back with it.
  for (const [ref, entity] of m.swept) back.push(formatGraphOp(whole(ref, entity)))
  return JSON.stringify(back).length > LONGEST ? undefined : back
}

/**
 * @param {readonly RefStep[]} steps
 * @param {(ref: string) => Entity | undefined} read how things were before them
 * @returns {PatchOp[] | undefined} undefined where they do not apply to that
 */
export function inverse(steps, read) {
  /** @type {Map<string, Entity | undefined>} */
  const draft = new Map()
  const now = (/** @type {string} */ ref) => (draft.has(ref) ? draft.get(ref) : read(ref))
  /** @type {RefStep[]} */
  const out = []
  try {
    for (const s of steps) {
      const before = now(s.ref)
      const after = applySteps([s], now).get(s.ref)
      if (!s.whole) out.unshift(...back(s.step, before, after).map((step) => ({ ref: s.ref, whole: false, step })))
      else if (after && !before) out.unshift({ ref: s.ref, whole: true, step: step('remove', []) })
      else if (before && !after) out.unshift(whole(s.ref, before))
      draft.set(s.ref, after)
    }
  } catch {
    return undefined
  }
  return out.map(formatGraphOp)
}

/** An entity made again. @param {string} ref @param {Entity} entity @returns {RefStep} */
function whole(ref, { meta: _, ...value }) {
  return { ref, whole: true, step: step('add', [], value) }
}

/** @param {import('./patch.js').OpName} op @param {string[]} path @param {any} [value] @returns {Step} */
const step = (op, path, value) => ({ op, path, from: [], value })

/**
 * Takes one step within an entity back.
 * @param {Step} s @param {any} before @param {any} after
 * @returns {Step[]}
 */
function back({ op, path, from, value }, before, after) {
  if (op === 'test' || path[0] === 'access' || before === after) return []
  if (op === 'remove') return [step('add', path, peek(before, path))]
  if (op === 'move') {
    const between = applyStep(before, step('remove', from))
    return [
      ...back(step('add', path, peek(before, from)), between, after),
      ...back(step('remove', from), before, between),
    ]
  }
  const holder = peek(before, path.slice(0, -1))
  const inserts = op !== 'replace' && Array.isArray(holder)
  const place = inserts && path.at(-1) === '-' ? [...path.slice(0, -1), String(holder.length)] : path
  const had = inserts ? undefined : peek(before, place)
  const made = step('test', place, op === 'copy' ? peek(after, place) : value)
  return [made, had === undefined ? step('remove', place) : step('replace', place, had)]
}
