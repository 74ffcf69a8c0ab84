/**
 * Writing: what is done to objects, as the smallest patch operations that say
 * the same.
 */

import { edits, moves } from './arrays.js'
import { clone } from './clone.js'
import { define, equal, escapeToken, hasOwn, parsePointer } from './patch.js'
import { idOf } from './proxy.js'
import { uuidv7 } from './uuid.js'

/** @typedef {import('./patch.js').PatchOp} PatchOp */
/** @typedef {import('./places.js').Place} Place */
/** @typedef {import('./schema.js').EdgeName} EdgeName */
/** @typedef {import('./proxy.js').Editor} Editor */

const INDEX = /^(0|[1-9][0-9]*)$/
/** More elements than this in one step (a transaction has a limit) are set anew together, where that is less to send. */
const MANY = 500
/** More operations than this (and a test) the server takes in no transaction. */
const LIMIT = 999

/** @implements {Editor} */
export class Edits {
  /**
   * @param {import('./store.js').Store} store
   * @param {() => import('./schema.js').Schema} schema
   * @param {import('./transact.js').Transactions} transactions
   */
  constructor(store, schema, transactions) {
    this.store = store
    this.schema = schema
    this.transactions = transactions
  }

  // Bodies ----------------------------------------------------------------------

  /**
   * A property of an object: an edge, what its class takes assignments to, or a
   * member of its body.
   * @param {Place} body @param {any} proto of its class @param {string} key @param {any} value @param {any} live
   */
  property(body, proto, key, value, live) {
    const type = this.store.shown.get(body.ref)?.type
    const edge = this.schema().edge(type, key)
    if (edge) this.assign(body.ref.slice(8), edge, value)
    else if (body.peek(key) === undefined && !declares(this.schema(), type, key) && takes(proto, key))
      return Reflect.set(proto, key, value, live)
    else this.set(body, key, value)
    return true
  }

  /** @param {Place} place @param {string} key @param {any} value */
  set(place, key, value) {
    if (value === undefined) {
      this.delete(place, key)
      return
    }
    const fresh = clone(value)
    const had = place.peek(key)
    if (had !== undefined && equal(had, fresh)) return
    this.#write(place, key, [{ op: had === undefined ? 'add' : 'replace', path: place.path(key), value: fresh }])
  }

  /** @param {Place} place @param {string} key */
  delete(place, key) {
    if (place.peek(key) !== undefined) this.#write(place, key, [{ op: 'remove', path: place.path(key) }])
  }

  /** @param {Place} place an array @param {string} key @param {any} value */
  setItem(place, key, value) {
    const { length } = place.value ?? []
    if (key === 'length') {
      if (value < 0 || value % 1) throw new RangeError('Invalid array length')
      if (!(value <= length)) throw new TypeError('an array in JSON has no holes: push instead of lengthening it')
      this.#splice(place, value, length - value, [])
      return
    }
    if (!INDEX.test(key) || Number(key) > length) throw new TypeError(`${key} is no index of this array`)
    this.#splice(place, Number(key), Number(key) < length ? 1 : 0, [value])
  }

  /** The methods that change an array. @param {Place} place @param {any} live @returns {Record<string, Function>} */
  array(place, live) {
    const now = () => /** @type {readonly any[]} */ (Array.isArray(place.value) ? place.value : [])
    const take = (/** @type {number} */ at) => {
      const gone = now()[at]
      if (at >= 0 && at < now().length) this.#splice(place, at, 1, [])
      return gone
    }
    /** Methods that set out the array anew. @param {(copy: any[]) => void} change */
    const rewrite = (change) => {
      const copy = [...now()]
      change(copy)
      this.#rewrite(place, now(), clone(copy))
      return live
    }
    return {
      push: (/** @type {any[]} */ ...items) => {
        this.#splice(place, now().length, 0, items)
        return now().length
      },
      pop: () => take(now().length - 1),
      shift: () => take(0),
      unshift: (/** @type {any[]} */ ...items) => {
        this.#splice(place, 0, 0, items)
        return now().length
      },
      splice: (/** @type {any[]} */ ...args) => {
        const copy = [...now()]
        const gone = copy.splice(.../** @type {[number, number, ...any[]]} */ (args))
        const from = Math.trunc(Number(args[0])) || 0
        const start = from < 0 ? Math.max(0, now().length + from) : Math.min(from, now().length)
        this.#splice(place, start, gone.length, args.slice(2))
        return gone
      },
      sort: (/** @type {any} */ by) => rewrite((copy) => void copy.sort(by)),
      reverse: () => rewrite((copy) => void copy.reverse()),
      fill: (/** @type {any[]} */ ...args) => rewrite((copy) => void copy.fill(args[0], args[1], args[2])),
      copyWithin: (/** @type {number} */ a, /** @type {number} */ b, /** @type {number} */ c) =>
        rewrite((copy) => void copy.copyWithin(a, b, c)),
    }
  }

  /** @param {Place} place @param {number} start @param {number} drop @param {readonly any[]} items */
  #splice(place, start, drop, items) {
    const old = /** @type {readonly any[]} */ (place.value ?? [])
    const fresh = items.map((v) => clone(v === undefined ? null : v))
    if (drop + fresh.length > MANY) {
      this.#rewrite(place, old, clone(old.toSpliced(start, drop, ...fresh)))
      return
    }
    const behind = start + drop < old.length
    const ops = edits(old.slice(start, start + drop), fresh)
    this.#write(
      place,
      '',
      patchOf(
        place,
        ops.map((o) => ({ ...o, at: o.at + start, last: o.last && !behind })),
      ),
    )
  }

  /** Of the elements that changed, or the whole array: whichever is less. @param {Place} place @param {readonly any[]} old @param {readonly any[]} fresh */
  #rewrite(place, old, fresh) {
    const items = edits(old, fresh)
    if (items.length === 0) return
    const whole = /** @type {PatchOp[]} */ ([{ op: 'replace', path: place.path('').slice(0, -1), value: fresh }])
    const moved = moves(old, fresh)
    const ways = [items, ...(moved ? [moved] : [])].filter((w) => w.length <= LIMIT).map((w) => patchOf(place, w))
    ways.push(whole)
    const sizes = ways.map((ops) => JSON.stringify(ops).length)
    this.#write(place, '', ways[sizes.indexOf(Math.min(...sizes))])
  }

  /**
   * Records operations on a body.
   * @param {Place} place
   * @param {string} key the member written, where the place is the body itself
   * @param {PatchOp[]} ops
   */
  #write({ ref, tokens }, key, ops) {
    if (ops.length) this.transactions.write([...this.#guards(ref, tokens[1] ?? key), ...ops])
  }

  /**
   * Where the schema says that what others have changed must not be overwritten:
   * the test that sees to it.
   * @param {string} ref @param {string} name of a property
   * @returns {PatchOp[]}
   */
  #guards(ref, name) {
    const entity = this.store.shown.get(ref)
    if (!entity || policy(this.schema(), entity, name) !== 'unchanged') return []
    const body = entity.body ?? {}
    const path = `/${ref}/body/${escapeToken(name)}`
    const mine = this.transactions.open
    if (mine?.creates.has(ref) || mine?.ops.some((o) => o.path === path || o.path.startsWith(`${path}/`))) return []
    if (hasOwn(body, name)) return [{ op: 'test', path, value: body[name] }]
    // There is no test for what is absent: that nothing at all has changed must do. (What an own
    // transaction on its way will have changed, nobody knows.)
    if (this.transactions.layers.of.get(ref)?.some((m) => m !== mine)) return []
    return [{ op: 'test', path: `/${ref}/meta/version`, value: entity.meta.version }]
  }

  // Edges -----------------------------------------------------------------------

  /**
   * Assigning an edge: one object, none, or (where there may be many) all of them.
   * @param {string} id
   * @param {EdgeName} edge
   * @param {any} value
   */
  assign(id, edge, value) {
    const wanted = this.targets(edge, value)
    const { store } = this
    const ops = []
    for (const e of store.edgesOf(id, edge.dir, edge.label)) {
      if (!wanted.includes(otherEnd(store.shown.get(`edges/${e}`), edge.dir))) ops.push(removeEdge(e))
    }
    for (const other of new Set(wanted)) ops.push(...this.#link(id, { ...edge, many: true }, other))
    this.transactions.write(ops)
  }

  /** The ids of what is assigned to an edge. @param {EdgeName} edge @param {any} value @returns {string[]} */
  targets(edge, value) {
    const none = value === null || value === undefined
    if (edge.many && !none && !Array.isArray(value)) {
      throw new TypeError(`${edge.label} may lead to many objects: assign an array, or use push and remove`)
    }
    return none ? [] : edge.many ? Array.from(value, idOf) : [idOf(value)]
  }

  /** @param {string} id @param {EdgeName} edge @param {any[]} others objects, or their ids @param {any} [value] the edge's body */
  link(id, edge, others, value) {
    this.transactions.write([...new Set(others.map(idOf))].flatMap((o) => this.#link(id, edge, o, value)))
  }

  /** @param {string} id @param {EdgeName} edge @param {any[]} others */
  unlink(id, { dir, label }, others) {
    const { store } = this
    this.transactions.write(
      others.map(idOf).flatMap((other) => {
        const edge = store.edgeBetween(id, dir, label, other)
        return edge ? [removeEdge(edge)] : []
      }),
    )
  }

  /**
   * @param {string} id
   * @param {EdgeName} edge
   * @param {string} other
   * @param {any} [value]
   * @returns {PatchOp[]}
   */
  #link(id, { label, dir, many }, other, value) {
    const { store } = this
    if (store.edgeBetween(id, dir, label, other)) return []
    /** @type {PatchOp[]} */
    const ops = []
    if (!many) for (const e of store.edgesOf(id, dir, label)) ops.push(removeEdge(e))
    const [from, to] = dir === '>' ? [id, other] : [other, id]
    const body = value === undefined ? {} : { body: clone(value) }
    ops.push({ op: 'add', path: `/edges/${uuidv7()}`, value: Object.freeze({ label, from, to, ...body }) })
    return ops
  }

  // Whole entities --------------------------------------------------------------

  /** @param {string} ref */
  remove(ref) {
    this.transactions.write([{ op: 'remove', path: `/${ref}` }])
  }

  /** A method of the schema: its patch with the parameters filled in. @param {string} ref @param {PatchOp[]} template @param {any} params */
  call(ref, template, params) {
    const names = new Set(
      template
        .filter(({ op }) => op !== 'test')
        .flatMap(({ op, path, from = '' }) => (op === 'move' ? [path, from] : [path]))
        .map(parsePointer)
        .flatMap(([part, name]) => (part === 'body' && name !== undefined ? [name] : [])),
    )
    this.transactions.write([
      ...[...names].flatMap((name) => this.#guards(ref, name)),
      ...template.map((op) => ({
        ...fill(op, params),
        path: `/${ref}${op.path}`,
        ...(op.from === undefined ? {} : { from: `/${ref}${op.from}` }),
      })),
    ])
  }
}

/** @param {Place} place an array @param {import('./arrays.js').ItemOp[]} ops @returns {PatchOp[]} */
const patchOf = (place, ops) =>
  ops.map(({ op, at, from, value, last }) => ({
    op,
    path: place.path(last ? '-' : at),
    ...(from === undefined ? {} : { from: place.path(from) }),
    ...(op === 'add' || op === 'replace' ? { value } : {}),
  }))

/** @param {any} edge @param {'>'|'<'} dir @returns {string} */
const otherEnd = (edge, dir) => (dir === '>' ? edge?.to : edge?.from)

/** @param {string} id @returns {PatchOp} */
const removeEdge = (id) => ({ op: 'remove', path: `/edges/${id}` })

/** @param {import('./schema.js').Schema} schema @param {string | undefined} type @param {string} name */
const declares = (schema, type, name) =>
  schema.lineage(type).some((t) => hasOwn(schema.types[t]?.properties ?? {}, name))

/** Whether a class takes assignments to a name by itself. @param {any} proto @param {string} name */
function takes(proto, name) {
  for (let p = proto; p && p !== Object.prototype; p = Object.getPrototypeOf(p)) {
    const own = Object.getOwnPropertyDescriptor(p, name)
    if (own) return !!(own.get || own.set)
  }
  return false
}

/**
 * What is to happen where others have changed a property since: `last-writer`
 * (or nothing said) or `unchanged`.
 * @param {import('./schema.js').Schema} schema
 * @param {import('./protocol.js').Entity} entity
 * @param {string} name
 * @returns {string | undefined}
 */
function policy(schema, { type, label }, name) {
  const declarations =
    label === undefined
      ? schema.lineage(type).map((t) => schema.types[t]?.properties)
      : Object.values(schema.types).map((t) => t.edges?.out?.[label]?.body?.properties)
  return declarations.find((d) => d && hasOwn(d, name))?.[name]?.['x-conflict']
}

/** @param {any} v @param {any} params @returns {any} */
function fill(v, params) {
  if (v === null || typeof v !== 'object') return v
  if (Array.isArray(v)) return v.map((item) => fill(item, params))
  if (hasOwn(v, '$param')) {
    if (!hasOwn(params, v.$param)) throw new TypeError(`the parameter ${v.$param} is missing`)
    return clone(params[v.$param])
  }
  /** @type {Record<string, any>} */
  const out = {}
  for (const k of Object.keys(v)) define(out, k, fill(v[k], params))
  return out
}
