/**
 * Indexes into arrays that others have changed meanwhile: what the author meant
 * is the element, not the number.
 *
 * Two trees stand for the entity as the author saw it and as it is now. What is
 * the same in both has the same mark: members by their name, elements of arrays
 * by alignment. The author's steps are walked through the first tree, and each
 * index is read off at the mark's place in the second.
 */

import { equal, hasOwn, isRecord } from './patch.js'

/** @typedef {import('./mutation.js').RefStep} RefStep */
/** @typedef {{mark: object, value: any, items: Node[] | null, members: Map<string, Node> | null}} Node */

/** Beyond so many pairs the middle of an array is aligned by what is unique in it. */
const TABLE = 250_000

/**
 * @param {readonly RefStep[]} steps all on one entity
 * @param {any} seen the entity before the first of them, as their author saw it
 * @param {any} now the entity that they meet
 * @returns {RefStep[] | null} the same steps with the indexes of now; null where an element that they name is gone
 */
export function rebase(steps, seen, now) {
  const a = tree(seen)
  const b = tree(now)
  pair(a, b)
  const out = []
  for (const s of steps) {
    if (s.whole || s.step.path[0] === 'access') {
      out.push(s)
      continue
    }
    const { op } = s.step
    const from = op === 'move' || op === 'copy' ? translate(s.step.from, a, b, false) : s.step.from
    if (!from) return null
    // What `move` takes away is gone before its place is looked for.
    const value =
      op === 'move' ? [take(a, s.step.from), take(b, from)] : op === 'copy' ? twins(at(a, s.step.from)) : null
    const path = translate(s.step.path, a, b, op === 'add' || !!value)
    if (!path) return null
    const fresh = value ?? (op === 'add' || op === 'replace' ? twins(tree(s.step.value)) : null)
    if (op === 'remove') {
      take(a, s.step.path)
      take(b, path)
    } else if (fresh) {
      put(a, s.step.path, fresh[0], op !== 'replace')
      put(b, path, fresh[1], op !== 'replace')
    }
    out.push({ ...s, step: { ...s.step, path, from } })
  }
  return out
}

/** @param {any} value @returns {Node} */
function tree(value) {
  return {
    mark: {},
    value,
    items: Array.isArray(value) ? value.map(tree) : null,
    members: isRecord(value) ? new Map(Object.keys(value).map((k) => [k, tree(value[k])])) : null,
  }
}

/** Two trees of one new value. @param {Node} node @returns {Node[]} */
function twins(node) {
  const pairOf = [tree(node.value), tree(node.value)]
  pair(pairOf[0], pairOf[1])
  return pairOf
}

/** Gives what is the same in both the same mark. @param {Node} a @param {Node} b */
function pair(a, b) {
  b.mark = a.mark
  if (a.members && b.members) {
    for (const [key, node] of a.members) {
      const other = b.members.get(key)
      if (other) pair(node, other)
    }
  } else if (a.items && b.items) {
    for (const [i, j] of align(a.items, b.items)) pair(a.items[i], b.items[j])
  }
}

/**
 * Which elements of one array are which of the other.
 * @param {readonly Node[]} a
 * @param {readonly Node[]} b
 * @returns {Map<number, number>}
 */
function align(a, b) {
  /** @type {Map<number, number>} */
  const map = new Map()
  const same = (/** @type {number} */ i, /** @type {number} */ j) => equal(a[i].value, b[j].value)
  let start = 0
  while (start < a.length && start < b.length && same(start, start)) map.set(start, start++)
  let [i, j] = [a.length, b.length]
  while (i > start && j > start && same(i - 1, j - 1)) map.set(--i, --j)
  const taken = new Set(map.values())
  for (const [x, y] of common(a, b, start, i, j)) {
    map.set(x, y)
    taken.add(y)
  }
  const free = () => range(start, j).filter((y) => !taken.has(y))
  const link = (/** @type {number} */ x, /** @type {number} */ y) => {
    map.set(x, y)
    taken.add(y)
  }
  // What was moved elsewhere, or changed within: the same value, or the same
  // name, and only one that it can be.
  for (const by of [(/** @type {any} */ v) => v, named]) {
    for (let x = start; x < i; x++) {
      const name = by(a[x].value)
      if (map.has(x) || name === undefined) continue
      const fits = free().filter((y) => equal(by(b[y].value), name))
      if (fits.length === 1) link(x, fits[0])
    }
  }
  // A stretch of as many as there were is the same ones, changed.
  for (let x = start, y = start; x < i; ) {
    if (map.has(x)) {
      y = /** @type {number} */ (map.get(x++)) + 1
      continue
    }
    let n = 0
    while (x + n < i && !map.has(x + n)) n++
    let m = 0
    while (y + m < j && !taken.has(y + m)) m++
    if (n === m) for (let k = 0; k < n; k++) link(x + k, y + k)
    x += n
  }
  return map
}

/** What names an element that is a record. @param {any} v */
const named = (v) => (isRecord(v) ? (v.id ?? v.key ?? undefined) : undefined)

/**
 * The longest common run of elements, in order, between the two stretches.
 * @param {readonly Node[]} a @param {readonly Node[]} b
 * @param {number} start @param {number} endA @param {number} endB
 * @returns {[number, number][]}
 */
function common(a, b, start, endA, endB) {
  const [n, m] = [endA - start, endB - start]
  if (n * m > TABLE || n * m === 0) return []
  const same = (/** @type {number} */ x, /** @type {number} */ y) => equal(a[start + x].value, b[start + y].value)
  const best = Array.from({ length: n + 1 }, () => new Uint32Array(m + 1))
  for (let x = n - 1; x >= 0; x--)
    for (let y = m - 1; y >= 0; y--)
      best[x][y] = same(x, y) ? best[x + 1][y + 1] + 1 : Math.max(best[x + 1][y], best[x][y + 1])
  /** @type {[number, number][]} */
  const run = []
  for (let x = 0, y = 0; x < n && y < m; ) {
    if (same(x, y)) run.push([start + x++, start + y++])
    else if (best[x + 1][y] >= best[x][y + 1]) x++
    else y++
  }
  return run
}

/** @param {number} from @param {number} to */
const range = (from, to) => Array.from({ length: Math.max(0, to - from) }, (_, k) => from + k)

/** @param {Node | undefined} node @param {string} token @returns {Node | undefined} */
const child = (node, token) => node?.items?.[Number(token)] ?? node?.members?.get(token)

/** @param {Node} root @param {readonly string[]} path @returns {Node} */
function at(root, path) {
  /** @type {Node | undefined} */
  let node = root
  for (const token of path) node = child(node, token)
  return node ?? tree(undefined)
}

/**
 * A path of the first tree as one of the second.
 * @param {readonly string[]} path
 * @param {Node} a
 * @param {Node} b
 * @param {boolean} between the last index stands between two elements
 * @returns {string[] | null}
 */
function translate(path, a, b, between) {
  /** @type {string[]} */
  const out = []
  let x = /** @type {Node | undefined} */ (a)
  let y = /** @type {Node | undefined} */ (b)
  for (const [depth, token] of path.entries()) {
    const last = between && depth === path.length - 1
    if (x?.items && y?.items && token !== '-') {
      const to = last ? gap(x.items, y.items, Number(token)) : place(y.items, x.items[Number(token)])
      if (to < 0) return null
      out.push(String(to))
      x = x.items[Number(token)]
      y = y.items[to]
    } else {
      out.push(token)
      x = child(x, token)
      y = child(y, token)
      if (!last && x && !y && depth < path.length - 1) return null
    }
  }
  return out
}

/** @param {readonly Node[]} items @param {Node | undefined} node */
const place = (items, node) => (node ? items.findIndex((n) => n.mark === node.mark) : -1)

/** Where an insertion belongs: behind the nearest element before it that is still there. @param {readonly Node[]} a @param {readonly Node[]} b @param {number} index */
function gap(a, b, index) {
  if (index > a.length) return -1
  const next = place(b, a[index])
  const before = place(b, a[index - 1])
  if (index > 0 && before >= 0) return before + 1
  if (next >= 0) return next
  for (let i = index - 2; i >= 0; i--) {
    const found = place(b, a[i])
    if (found >= 0) return found + 1
  }
  return index === 0 ? 0 : Math.min(index, b.length)
}

/** @param {Node} root @param {readonly string[]} path @returns {Node} */
function take(root, path) {
  const holder = at(root, path.slice(0, -1))
  const token = path[path.length - 1]
  const node = child(holder, token) ?? tree(undefined)
  if (holder.items) holder.items.splice(Number(token), 1)
  else holder.members?.delete(token)
  return node
}

/** @param {Node} root @param {readonly string[]} path @param {Node} node @param {boolean} insert */
function put(root, path, node, insert) {
  const holder = at(root, path.slice(0, -1))
  const token = path[path.length - 1]
  if (holder.items) {
    const index = token === '-' ? holder.items.length : Number(token)
    if (!insert && holder.items[index]) node.mark = holder.items[index].mark
    holder.items.splice(index, insert ? 0 : 1, node)
  } else holder.members?.set(token, node)
}

/**
 * Whether any array on the way of a step is another than it was.
 * @param {readonly RefStep[]} steps
 * @param {any} seen
 * @param {any} now
 */
export function moved(steps, seen, now) {
  return steps.some(({ step }) =>
    [step.path, step.from].some((path) => {
      let [x, y] = [seen, now]
      for (const token of path) {
        if (x === y) return false
        if (Array.isArray(x) !== Array.isArray(y)) return true
        if (Array.isArray(x) && !equal(x, y)) return true
        x = x !== null && typeof x === 'object' && hasOwn(x, token) ? x[token] : undefined
        y = y !== null && typeof y === 'object' && hasOwn(y, token) ? y[token] : undefined
      }
      return false
    }),
  )
}
