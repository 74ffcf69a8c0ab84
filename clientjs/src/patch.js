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

/** @param {string} message @param {string} path */
const malformed = (message, path) => new PatchError('invalid-patch', message, path)

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
  if (text === '') return []
  if (typeof text !== 'string' || text[0] !== '/' || /~(?![01])/.test(text))
    throw malformed('no JSON Pointer', String(text))
  const tokens = text.slice(1).split('/')
  return text.includes('~') ? tokens.map((t) => t.replace(/~1/g, '/').replace(/~0/g, '~')) : tokens
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
  if (!isRecord(op) || !OPS.has(op.op)) throw malformed('unknown op', '')
  const path = parsePointer(op.path)
  const moves = op.op === 'move' || op.op === 'copy'
  const from = moves ? parsePointer(op.from) : []
  if (!moves && op.op !== 'remove' && op.value === undefined) throw malformed('value is missing', op.path)
  return { op: /** @type {OpName} */ (op.op), path, from, value: op.value }
}

/**
 * Applies a whole patch.
 * @param {any} doc
 * @param {unknown} ops
 * @returns {any} the new document
 */
export function apply(doc, ops) {
  if (!Array.isArray(ops)) throw malformed('a patch must be an array', '')
  // The form of all operations is judged before the first is applied.
  const each = (/** @type {(op: any) => any} */ fn) => (/** @type {any} */ op, /** @type {number} */ i) => {
    try {
      return fn(op)
    } catch (err) {
      if (err instanceof PatchError) err.op = i
      throw err
    }
  }
  const steps = ops.map(each(compileOp))
  steps.forEach(
    each((step) => {
      doc = applyStep(doc, step)
    }),
  )
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
      if (path.length === 0) throw malformed('a whole document cannot be removed', '')
      return edit(doc, path, 0, 'remove', undefined)
    case 'copy':
      return edit(doc, path, 0, 'add', get(doc, step.from))
    case 'move': {
      const value = get(doc, step.from)
      if (path.length > step.from.length && step.from.every((t, i) => path[i] === t)) {
        throw malformed('a value cannot move into itself', formatPointer(path))
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
    throw malformed('no array index', formatPointer(path.slice(0, depth + 1)))
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
