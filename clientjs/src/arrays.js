/**
 * How one array becomes another, with the fewest operations on its elements:
 * what is the same in both is not named, so that what others do to it at the
 * same time is not touched.
 */

import { equal } from './patch.js'

/**
 * An operation on the elements; indexes are those at its turn.
 * @typedef {object} ItemOp
 * @property {'add'|'replace'|'remove'|'move'} op
 * @property {number} at
 * @property {number} [from] of a move
 * @property {any} [value]
 * @property {boolean} [last] it is added behind all others
 */

/** Beyond so many pairs of elements they are compared place by place. */
const TABLE = 250_000

/**
 * Additions, removals and replacements: as many as the edit distance.
 * @param {readonly any[]} old
 * @param {readonly any[]} fresh
 * @returns {ItemOp[]}
 */
export function edits(old, fresh) {
  let start = 0
  while (start < old.length && start < fresh.length && equal(old[start], fresh[start])) start++
  let [n, m] = [old.length, fresh.length]
  while (n > start && m > start && equal(old[n - 1], fresh[m - 1])) {
    n--
    m--
  }
  const left = distances(old.slice(start, n), fresh.slice(start, m))
  /** @type {ItemOp[]} */
  const ops = []
  // What is left of the place has become what it is to be: it ends at `to`.
  for (let [from, to] = [start, start]; from < n || to < m; ) {
    const at = (/** @type {number} */ i, /** @type {number} */ j) => left(i - start, j - start)
    const both = from < n && to < m
    if (both && equal(old[from], fresh[to])) {
      from++
      to++
    } else if (both && at(from, to) === 1 + at(from + 1, to + 1)) {
      ops.push({ op: 'replace', at: to, value: fresh[to++] })
      from++
    } else if (from < n && at(from, to) === 1 + at(from + 1, to)) {
      let last = from
      while (last + 1 < n && at(last + 1, to) === 1 + at(last + 2, to)) last++
      for (let i = last; i >= from; i--) ops.push({ op: 'remove', at: to + i - from })
      from = last + 1
    } else ops.push({ op: 'add', at: to, value: fresh[to++], last: from === old.length })
  }
  return ops
}

/**
 * The edit distance of what is left of two arrays, from any place on.
 * @param {readonly any[]} a @param {readonly any[]} b
 * @returns {(i: number, j: number) => number}
 */
function distances(a, b) {
  const [n, m] = [a.length, b.length]
  // Too many to compare all with all, or nothing to compare.
  if (n * m > TABLE || n * m === 0) return (i, j) => Math.max(n - i, m - j)
  const rows = Array.from({ length: n + 1 }, () => new Uint32Array(m + 1))
  for (let i = n; i >= 0; i--)
    for (let j = m; j >= 0; j--) {
      if (i === n || j === m) rows[i][j] = n - i + m - j
      else if (equal(a[i], b[j])) rows[i][j] = rows[i + 1][j + 1]
      else rows[i][j] = 1 + Math.min(rows[i + 1][j + 1], rows[i + 1][j], rows[i][j + 1])
    }
  return (i, j) => rows[i][j]
}

/**
 * Moves alone, as few as there can be: what keeps its order stays where it is.
 * @param {readonly any[]} old
 * @param {readonly any[]} fresh
 * @returns {ItemOp[] | undefined} undefined where that is not enough, or not worth it
 */
export function moves(old, fresh) {
  const order = places(old, fresh)
  if (!order) return undefined
  const stays = increasing(order)
  if (order.length - stays.size > order.length / 2) return undefined
  const now = [...old.keys()]
  /** @type {ItemOp[]} */
  const ops = []
  for (const [i, element] of order.entries()) {
    if (stays.has(element)) continue
    const from = now.indexOf(element)
    now.splice(from, 1)
    const at = i === 0 ? 0 : now.indexOf(order[i - 1]) + 1
    now.splice(at, 0, element)
    ops.push({ op: 'move', from, at })
  }
  return ops
}

/** Where each element of one array stands in the other. @param {readonly any[]} old @param {readonly any[]} fresh @returns {number[] | undefined} */
function places(old, fresh) {
  if (old.length !== fresh.length) return undefined
  /** @type {Map<string, number[]>} */
  const free = new Map()
  for (const [i, value] of old.entries()) {
    const text = JSON.stringify(value)
    const same = free.get(text)
    if (same) same.push(i)
    else free.set(text, [i])
  }
  const order = fresh.map((value) => free.get(JSON.stringify(value))?.shift() ?? -1)
  return order.includes(-1) ? undefined : order
}

/** A longest increasing run of numbers, with gaps. @param {readonly number[]} list @returns {Set<number>} */
function increasing(list) {
  /** The least last number of a run of each length. @type {number[]} */
  const ends = []
  /** @type {Map<number, number | undefined>} */
  const before = new Map()
  for (const n of list) {
    let [lo, hi] = [0, ends.length]
    while (lo < hi) {
      const mid = (lo + hi) >> 1
      if (ends[mid] < n) lo = mid + 1
      else hi = mid
    }
    before.set(n, ends[lo - 1])
    ends[lo] = n
  }
  /** @type {Set<number>} */
  const run = new Set()
  for (let n = ends.at(-1); n !== undefined; n = before.get(n)) run.add(n)
  return run
}
