/**
 * JSON Patch (RFC 6902) over immutable documents.
 *
 * `apply` gives a new document that shares with the old one whatever did not
 * change, so `===` tells which parts did. It is strict: either every operation
 * applies, or it throws a PatchError and nothing has happened. Keys such as
 * `__proto__` are ordinary keys: members are only ever read when they are own
 * properties, and only ever defined, never assigned.
 */

/** @typedef {'add'|'remove'|'replace'|'move'|'copy'|'test'} OpName */
/** @typedef {{op: OpName, path: string, from?: string, value?: any}} PatchOp */
/** @typedef {{op: OpName, path: string[], from: string[], value: any}} Step an operation with decoded pointers */
/** @typedef {'invalid-patch'|'path-missing'|'test-failed'} PatchFault */

export class PatchError extends Error {
  /**
   * @param {PatchFault} code
   * @param {string} message
   * @param {string} path the JSON Pointer at fault
   */
  constructor(code, message, path) {
    super(`${message} at ${JSON.stringify(path)}`)
    this.name = 'PatchError'
    this.code = code
    this.path = path
    /** Index of the operation at fault, -1 where there is none. */
    this.op = -1
  }
}

const OPS = new Set(['add', 'remove', 'replace', 'move', 'copy', 'test'])

/**
 * @param {any} o
 * @param {string} k
 */
export const hasOwn = (o, k) => Object.hasOwn(o, k)

/** @param {any} v @returns {v is Record<string, any>} */
export const isRecord = (v) => typeof v === 'object' && v !== null && !Array.isArray(v)

/**
 * Decodes a JSON Pointer.
 * @param {unknown} text
 * @returns {string[]}
 */
export function parsePointer(text) {
  if (typeof text !== 'string') throw new PatchError('invalid-patch', 'a pointer must be a string', '')
  if (text === '') return []
  if (text[0] !== '/') throw new PatchError('invalid-patch', 'a pointer must begin with /', text)
  if (/~(?![01])/.test(text)) throw new PatchError('invalid-patch', '~ must be followed by 0 or 1', text)
  return text
    .slice(1)
    .split('/')
    .map((t) => t.replace(/~1/g, '/').replace(/~0/g, '~'))
}

/** @param {string} token */
export const escapeToken = (token) => token.replace(/~/g, '~0').replace(/\//g, '~1')

/** @param {readonly string[]} tokens */
export const formatPointer = (tokens) => tokens.map((t) => `/${escapeToken(t)}`).join('')

/**
 * Checks the form of one operation and decodes its pointers. Unknown members
 * are ignored, as RFC 6902 asks.
 * @param {any} op
 * @returns {Step}
 */
export function compileOp(op) {
  if (!isRecord(op)) throw new PatchError('invalid-patch', 'an operation must be an object', '')
  if (!hasOwn(op, 'op') || !OPS.has(op.op)) throw new PatchError('invalid-patch', 'unknown op', '')
  if (!hasOwn(op, 'path')) throw new PatchError('invalid-patch', 'path is missing', '')
  const path = parsePointer(op.path)
  const moves = op.op === 'move' || op.op === 'copy'
  if (moves && !hasOwn(op, 'from')) throw new PatchError('invalid-patch', 'from is missing', op.path)
  const from = moves ? parsePointer(op.from) : []
  const needsValue = op.op === 'add' || op.op === 'replace' || op.op === 'test'
  if (needsValue && (!hasOwn(op, 'value') || op.value === undefined)) {
    throw new PatchError('invalid-patch', 'value is missing', op.path)
  }
  return { op: /** @type {OpName} */ (op.op), path, from, value: op.value }
}

/**
 * Applies a whole patch.
 * @param {any} doc
 * @param {unknown} ops
 * @returns {any} the new document
 */
export function apply(doc, ops) {
  if (!Array.isArray(ops)) throw new PatchError('invalid-patch', 'a patch must be an array', '')
  ops.forEach((op, i) => {
    try {
      doc = applyStep(doc, compileOp(op))
    } catch (err) {
      if (err instanceof PatchError) err.op = i
      throw err
    }
  })
  return doc
}

/**
 * Applies one operation. Undefined stands for an absent document.
 * @param {any} doc
 * @param {Step} step
 * @returns {any}
 */
export function applyStep(doc, step) {
  const { op, path } = step
  switch (op) {
    case 'add':
      return edit(doc, path, 0, 'add', step.value)
    case 'replace':
      return edit(doc, path, 0, 'replace', step.value)
    case 'remove':
      if (path.length === 0) throw new PatchError('invalid-patch', 'a whole document cannot be removed', '')
      return edit(doc, path, 0, 'remove', undefined)
    case 'copy':
      return edit(doc, path, 0, 'add', get(doc, step.from))
    case 'move': {
      const value = get(doc, step.from)
      if (path.length > step.from.length && step.from.every((t, i) => path[i] === t)) {
        throw new PatchError('invalid-patch', 'a value cannot move into itself', formatPointer(path))
      }
      if (path.length === step.from.length && path.every((t, i) => step.from[i] === t)) return doc
      return edit(edit(doc, step.from, 0, 'remove', undefined), path, 0, 'add', value)
    }
    case 'test':
      if (!equal(get(doc, path), step.value)) {
        throw new PatchError('test-failed', 'the value differs', formatPointer(path))
      }
      return doc
  }
}

/**
 * The value at a pointer; throws path-missing where there is none.
 * @param {any} doc
 * @param {readonly string[]} path
 */
export function get(doc, path) {
  const value = peek(doc, path)
  if (value === undefined) throw missing(path, path.length)
  return value
}

/**
 * The value at a pointer, undefined where there is none.
 * @param {any} doc
 * @param {readonly string[]} path
 */
export function peek(doc, path) {
  for (let i = 0; i < path.length; i++) {
    if (Array.isArray(doc)) {
      const token = path[i]
      doc = token === '-' ? undefined : doc[index(token, path, i)]
    } else if (isRecord(doc) && hasOwn(doc, path[i])) doc = doc[path[i]]
    else return undefined
  }
  return doc
}

/**
 * @param {any} node
 * @param {readonly string[]} path
 * @param {number} depth how many tokens of path lead to node
 * @param {'add'|'replace'|'remove'} how
 * @param {any} value
 * @returns {any}
 */
function edit(node, path, depth, how, value) {
  if (depth === path.length) {
    if (how !== 'add' && node === undefined) throw missing(path, depth)
    return value
  }
  const token = path[depth]
  const last = depth === path.length - 1
  if (Array.isArray(node)) {
    const at = token === '-' ? node.length : index(token, path, depth)
    const copy = node.slice()
    if (last && how === 'add') {
      if (at > node.length) throw missing(path, depth + 1)
      copy.splice(at, 0, value)
      return copy
    }
    if (at >= node.length) throw missing(path, depth + 1)
    if (last && how === 'remove') copy.splice(at, 1)
    else copy[at] = edit(node[at], path, depth + 1, how, value)
    return copy
  }
  if (!isRecord(node)) throw missing(path, depth + 1)
  const present = hasOwn(node, token)
  if (!present && !(last && how === 'add')) throw missing(path, depth + 1)
  const copy = { ...node }
  if (last && how === 'remove') delete copy[token]
  else define(copy, token, edit(present ? node[token] : undefined, path, depth + 1, how, value))
  return copy
}

/**
 * Sets an own member, whatever its name.
 * @param {Record<string, any>} target
 * @param {string} key
 * @param {any} value
 */
export function define(target, key, value) {
  if (key === '__proto__') {
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true })
  } else target[key] = value
}

/**
 * @param {string} token
 * @param {readonly string[]} path
 * @param {number} depth
 */
function index(token, path, depth) {
  if (!/^(0|[1-9][0-9]*)$/.test(token)) {
    throw new PatchError(
      'invalid-patch',
      `${JSON.stringify(token)} is no array index`,
      formatPointer(path.slice(0, depth + 1)),
    )
  }
  return Number(token)
}

/**
 * @param {readonly string[]} path
 * @param {number} depth
 */
const missing = (path, depth) =>
  new PatchError('path-missing', 'there is no value', formatPointer(path.slice(0, depth)))

/**
 * Equality as in RFC 6902, section 4.6.
 * @param {any} a
 * @param {any} b
 * @returns {boolean}
 */
export function equal(a, b) {
  if (a === b) return true
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((v, i) => equal(v, b[i]))
  }
  if (!isRecord(a) || !isRecord(b)) return false
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((k) => hasOwn(b, k) && equal(a[k], b[k]))
}

/**
 * A deep, frozen copy of a JSON value. Live objects are read through; members
 * that are undefined are left out, as JSON.stringify does; what JSON cannot
 * hold (functions, NaN, cycles) is a TypeError.
 * @param {any} value
 * @param {number} [depth]
 * @returns {any}
 */
export function clone(value, depth = 0) {
  if (depth > 512) throw new TypeError('the value is nested too deeply, or in a circle')
  if (value !== null && typeof value === 'object') {
    if (typeof value.toJSON === 'function') return clone(value.toJSON(), depth + 1)
    if (Array.isArray(value))
      return Object.freeze(Array.from(value, (v) => clone(v === undefined ? null : v, depth + 1)))
    /** @type {Record<string, any>} */
    const out = {}
    for (const key of Object.keys(value)) {
      if (value[key] !== undefined) define(out, key, clone(value[key], depth + 1))
    }
    return Object.freeze(out)
  }
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw new TypeError(`${typeof value === 'number' ? value : typeof value} cannot be written as JSON`)
}
