/**
 * The order and the conditions of projections, as the server judges them, so
 * that a list can show what this client has just changed at once.
 */

import { hasOwn, isRecord, parsePointer, peek } from './patch.js'

/** @typedef {{tokens: string[], edge: boolean, desc: boolean}} OrderKey */

const RANK = { undefined: 0, null: 1, false: 2, true: 3, number: 4, string: 5, other: 6 }

/** @param {any} v */
function rank(v) {
  if (v === undefined) return RANK.undefined
  if (v === null) return RANK.null
  if (v === false) return RANK.false
  if (v === true) return RANK.true
  if (typeof v === 'number') return RANK.number
  return typeof v === 'string' ? RANK.string : RANK.other
}

/**
 * missing, null, false, true, numbers by value, strings by code point, then
 * anything else.
 * @param {any} a
 * @param {any} b
 * @returns {number}
 */
export function compareValues(a, b) {
  const ra = rank(a)
  const rb = rank(b)
  if (ra !== rb) return ra - rb
  if (ra === RANK.number) return a - b
  return ra === RANK.string ? compareStrings(a, b) : 0
}

/**
 * By code point. Plain `<` compares UTF-16 units and puts U+1F600 before U+FFFD.
 * @param {string} a
 * @param {string} b
 */
export function compareStrings(a, b) {
  if (a === b) return 0
  const n = Math.min(a.length, b.length)
  for (let i = 0; i < n; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return fix(x) - fix(y)
  }
  return a.length - b.length
}

/** Surrogates stand for code points above every other unit. @param {number} unit */
const fix = (unit) => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit)

/**
 * @param {readonly string[] | undefined} order
 * @returns {OrderKey[]}
 */
export function parseOrder(order) {
  return (order ?? []).map((text) => {
    const desc = text.startsWith('-')
    const rest = desc ? text.slice(1) : text
    const edge = rest.startsWith('edge:')
    return { desc, edge, tokens: parsePointer(edge ? rest.slice(5) : rest) }
  })
}

/**
 * @param {readonly OrderKey[]} order
 * @param {any} entity
 * @param {any} edge
 * @returns {any[]} the values to sort by
 */
export const sortValues = (order, entity, edge) => order.map((k) => safePeek(k.edge ? edge : entity, k.tokens))

/**
 * @param {readonly OrderKey[]} order
 * @param {readonly any[]} a
 * @param {readonly any[]} b
 */
export function compareBy(order, a, b) {
  for (let i = 0; i < order.length; i++) {
    const c = compareValues(a[i], b[i])
    if (c) return order[i].desc ? -c : c
  }
  return 0
}

/**
 * @param {any} doc
 * @param {readonly string[]} tokens
 */
function safePeek(doc, tokens) {
  try {
    return peek(doc, tokens)
  } catch {
    return undefined // a word where an array has an index
  }
}

/**
 * Whether an entity meets a projection's `where`.
 * @param {any} where
 * @param {any} entity
 * @returns {boolean}
 */
export function matches(where, entity) {
  if (!isRecord(where)) return true
  return Object.keys(where).every((key) => {
    const cond = where[key]
    if (key === 'and') return cond.every((/** @type {any} */ c) => matches(c, entity))
    if (key === 'or') return cond.some((/** @type {any} */ c) => matches(c, entity))
    if (key === 'not') return !matches(cond, entity)
    const value = safePeek(entity, key.startsWith('/') ? parsePointer(key) : ['body', key])
    if (!isRecord(cond)) return compareEqual(value, cond)
    return Object.keys(cond).every((op) => test(op, value, cond[op]))
  })
}

/**
 * @param {any} a
 * @param {any} b
 */
const compareEqual = (a, b) => rank(a) === rank(b) && rank(a) !== RANK.other && compareValues(a, b) === 0

/**
 * @param {string} op
 * @param {any} value
 * @param {any} want
 * @returns {boolean}
 */
function test(op, value, want) {
  const comparable = rank(value) === rank(want) && rank(value) >= RANK.number && rank(value) !== RANK.other
  const tests = {
    eq: () => compareEqual(value, want),
    ne: () => !compareEqual(value, want),
    lt: () => comparable && compareValues(value, want) < 0,
    lte: () => comparable && compareValues(value, want) <= 0,
    gt: () => comparable && compareValues(value, want) > 0,
    gte: () => comparable && compareValues(value, want) >= 0,
    in: () => want.some((/** @type {any} */ w) => compareEqual(value, w)),
    prefix: () => typeof value === 'string' && value.startsWith(want),
    exists: () => (value !== undefined) === want,
  }
  return hasOwn(tests, op) ? tests[/** @type {keyof typeof tests} */ (op)]() : false
}
