/**
 * Objects of the graph as ordinary JavaScript objects.
 *
 * Reading goes to what is shown at that moment; writing records the smallest
 * patch operations that say the same, and shows them at once. Names that begin
 * with `$` are ours; a property that is an edge leads to another object; the
 * rest is the body. A value inside a body (an object, an array) is a *place*:
 * `store.columns[0]` means whatever stands first at the moment of use.
 */

import { makeLive } from './live.js'
import { clone, define, equal, escapeToken, hasOwn, peek } from './patch.js'
import { listKey } from './store.js'
import { uuidv7 } from './uuid.js'

/** @typedef {import('./patch.js').PatchOp} PatchOp */
/** @typedef {import('./protocol.js').Entity} Entity */
/** @typedef {import('./schema.js').EdgeName} EdgeName */

/**
 * What objects need of their surroundings.
 * @typedef {object} ObjectContext
 * @property {import('./store.js').Store} store
 * @property {() => import('./schema.js').Schema} schema
 * @property {(ops: PatchOp[]) => void} write records operations in the open transaction
 * @property {Record<string, Function>} classes
 * @property {(id: string) => Promise<any>} history
 * @property {(id: string) => Set<string> | undefined} rights those known by now; asks for them otherwise
 * @property {(id: string) => any[]} presence
 */

const TARGET = Symbol('graphtide')

/** The reference of a live object or edge, undefined for anything else. @param {any} value @returns {string | undefined} */
export const refOfLive = (value) => (value !== null && typeof value === 'object' ? value[TARGET] : undefined)

/** The id of an object, or the id itself. @param {any} value @returns {string} */
export function idOf(value) {
  if (typeof value === 'string') return value
  const ref = refOfLive(value)
  if (ref?.startsWith('objects/')) return ref.slice(8)
  throw new TypeError('an object of the graph, or its id, is expected')
}

export class Objects {
  /** @param {ObjectContext} context */
  constructor(context) {
    this.context = context
    /** One live object per entity, as long as somebody holds it. @type {Map<string, WeakRef<any>>} */
    this.known = new Map()
    this.registry = new FinalizationRegistry((/** @type {string} */ ref) => {
      if (!this.known.get(ref)?.deref()) this.known.delete(ref)
    })
  }

  /** The live object of an id. @param {string} id @returns {any} */
  object(id) {
    return this.#live(`objects/${id}`, () => this.#makeObject(id))
  }

  /** The live edge of an id. @param {string} id @returns {any} */
  edge(id) {
    return this.#live(`edges/${id}`, () => this.#makeEdge(id))
  }

  /** @param {string} ref @param {() => any} make */
  #live(ref, make) {
    const known = this.known.get(ref)?.deref()
    if (known) return known
    const made = make()
    this.known.set(ref, new WeakRef(made))
    this.registry.register(made, ref)
    return made
  }

  /** @param {string} id */
  #makeObject(id) {
    const { context } = this
    const ref = `objects/${id}`
    const { store } = context
    const body = new Place(context, ref, ['body'])
    const entity = () => store.shown.get(ref)
    const typeOf = () => {
      store.cells.track(ref, '$type', () => entity()?.type)
      return entity()?.type
    }
    const edgeName = (/** @type {string} */ key) => context.schema().edge(typeOf(), key)
    /** @type {Map<string, any>} */
    const lists = new Map()
    const own = {
      ...entityMembers(context, ref),
      $type: typeOf,
      $edge: () => (/** @type {string} */ label, /** @type {any} */ other) => this.#edgeTo(id, label, other),
      $out: () => (/** @type {string} */ label) => this.#list(id, lists, { label, dir: '>', many: true }),
      $in: () => (/** @type {string} */ label) => this.#list(id, lists, { label, dir: '<', many: true }),
      $link: () => (/** @type {string} */ label, /** @type {any} */ other, /** @type {any} */ value) =>
        context.write(this.#link(id, edgeName(label) ?? { label, dir: '>', many: true }, idOf(other), value)),
      $unlink: () => (/** @type {string} */ label, /** @type {any} */ other) =>
        context.write(this.#unlink(id, edgeName(label) ?? { label, dir: '>', many: true }, idOf(other))),
      $history: () => () => context.history(id),
      $can: () => (/** @type {string} */ right) => {
        store.cells.track(ref, '$can', () => context.rights(id))
        return context.rights(id)?.has(right) ?? false
      },
      $presence: () => {
        store.cells.track(ref, '$presence', () => context.presence(id))
        return context.presence(id)
      },
    }
    const classOf = () => {
      for (const name of context.schema().lineage(entity()?.type)) {
        if (hasOwn(context.classes, name)) return context.classes[name].prototype
      }
      return Object.prototype
    }

    /** @type {any} */
    const live = new Proxy(Object.create(null), {
      get: (_, key) => {
        if (key === TARGET) return ref
        if (typeof key === 'symbol') return Reflect.get(classOf(), key, live)
        if (key.startsWith('__v_')) return key === '__v_skip' // Vue asks: this is reactive by itself
        if (hasOwn(own, key)) return own[/** @type {keyof typeof own} */ (key)]()
        const edge = edgeName(key)
        if (edge) return edge.many ? this.#list(id, lists, edge) : this.#one(id, edge)
        const value = body.get(key)
        if (value !== undefined) return value
        const method = context.schema().method(entity()?.type, key)
        if (method) return (/** @type {any} */ params) => context.write(fill(method.patch, params ?? {}, `/${ref}`))
        if (key === 'toJSON') return () => ({ $id: id, $type: typeOf(), ...body.entries() })
        return Reflect.get(classOf(), key, live)
      },
      set: (_, key, value) => {
        if (typeof key === 'symbol') throw new TypeError('a property of the graph is named by a string')
        if (key.startsWith('$'))
          throw new TypeError(`${key} cannot be assigned; names that begin with $ are the client's`)
        const edge = edgeName(key)
        if (edge) this.#assign(id, edge, value)
        else if (!body.has(key) && !context.schema().hasProperty(entity()?.type, key) && key in classOf()) {
          return Reflect.set(classOf(), key, value, live)
        } else body.set(key, value)
        return true
      },
      deleteProperty: (_, key) => {
        if (typeof key === 'symbol') return true
        const edge = edgeName(key)
        if (edge) this.#assign(id, edge, undefined)
        else body.delete(key)
        return true
      },
      has: (_, key) =>
        key === TARGET ||
        (typeof key === 'string' && (hasOwn(own, key) || !!edgeName(key) || body.has(key))) ||
        key in classOf(),
      ownKeys: () => body.keys(),
      getOwnPropertyDescriptor: (_, key) => body.descriptor(key),
      getPrototypeOf: () => classOf(),
      defineProperty: (_, key, { value }) => Reflect.set(live, key, value),
    })
    return live
  }

  /** @param {string} id */
  #makeEdge(id) {
    const { context } = this
    const ref = `edges/${id}`
    const body = new Place(context, ref, ['body'])
    const end = (/** @type {'from'|'to'} */ side) => {
      const other = context.store.shown.get(ref)?.[side]
      return other === undefined ? undefined : this.object(other)
    }
    const own = {
      ...entityMembers(context, ref),
      $label: () => context.store.shown.get(ref)?.label,
      $from: () => end('from'),
      $to: () => end('to'),
    }
    return new Proxy(Object.create(null), {
      get: (_, key) => {
        if (key === TARGET) return ref
        if (typeof key === 'symbol') return undefined
        if (key.startsWith('__v_')) return key === '__v_skip'
        return hasOwn(own, key) ? own[/** @type {keyof typeof own} */ (key)]() : body.get(key)
      },
      set: (_, key, value) => {
        if (typeof key === 'symbol' || key.startsWith('$')) throw new TypeError(`${String(key)} cannot be assigned`)
        body.set(key, value)
        return true
      },
      deleteProperty: (_, key) => {
        body.delete(key)
        return true
      },
      has: (_, key) => typeof key === 'string' && body.has(key),
      ownKeys: () => body.keys(),
      getOwnPropertyDescriptor: (_, key) => body.descriptor(key),
    })
  }

  // Edges ---------------------------------------------------------------------

  /** @param {string} id @param {EdgeName} edge @returns {readonly string[]} */
  #ids(id, { dir, label }) {
    const { store } = this.context
    store.cells.track(`objects/${id}`, dir + label, () => store.neighbours(id, dir, label))
    return store.neighbours(id, dir, label)
  }

  /** @param {string} id @param {EdgeName} edge */
  #one(id, edge) {
    const other = this.#ids(id, edge)[0]
    return other === undefined ? undefined : this.object(other)
  }

  /** @param {string} id @param {Map<string, any>} lists @param {EdgeName} edge */
  #list(id, lists, edge) {
    const key = listKey('', edge.dir, edge.label)
    let list = lists.get(key)
    if (!list) {
      list = makeLive({
        read: () => this.context.store.neighbours(id, edge.dir, edge.label),
        track: () => void this.#ids(id, edge),
        item: (other) => this.object(other),
        add: (objects) => this.context.write(objects.flatMap((o) => this.#link(id, { ...edge, many: true }, idOf(o)))),
        remove: (object) => this.context.write(this.#unlink(id, edge, idOf(object))),
      })
      lists.set(key, list)
    }
    return list
  }

  /**
   * Assigning an edge: one object, none, or (where there may be many) all of them.
   * @param {string} id
   * @param {EdgeName} edge
   * @param {any} value
   */
  #assign(id, edge, value) {
    const wanted =
      value === null || value === undefined ? [] : edge.many && Array.isArray(value) ? value.map(idOf) : [idOf(value)]
    if (edge.many && value !== null && value !== undefined && !Array.isArray(value)) {
      throw new TypeError(`${edge.label} may lead to many objects: assign an array, or use push and remove`)
    }
    const { store } = this.context
    const ops = []
    for (const e of store.edgesOf(id, edge.dir, edge.label)) {
      if (!wanted.includes(otherEnd(store.shown.get(`edges/${e}`), edge.dir))) ops.push(removeEdge(e))
    }
    for (const other of wanted) ops.push(...this.#link(id, { ...edge, many: true }, other))
    if (ops.length) this.context.write(ops)
  }

  /**
   * @param {string} id
   * @param {EdgeName} edge
   * @param {string} other
   * @param {any} [value] the edge's body
   * @returns {PatchOp[]}
   */
  #link(id, { label, dir, many }, other, value) {
    if (this.#edgeId(id, label, dir, other)) return []
    /** @type {PatchOp[]} */
    const ops = []
    if (!many) for (const e of this.context.store.edgesOf(id, dir, label)) ops.push(removeEdge(e))
    const [from, to] = dir === '>' ? [id, other] : [other, id]
    const body = value === undefined ? {} : { body: clone(value) }
    ops.push({ op: 'add', path: `/edges/${uuidv7()}`, value: Object.freeze({ label, from, to, ...body }) })
    return ops
  }

  /** @param {string} id @param {EdgeName} edge @param {string} other @returns {PatchOp[]} */
  #unlink(id, { label, dir }, other) {
    const edge = this.#edgeId(id, label, dir, other)
    return edge ? [removeEdge(edge)] : []
  }

  /** @param {string} id @param {string} name a label or an `as` name @param {any} [other] */
  #edgeTo(id, name, other) {
    const { store } = this.context
    const known = this.context.schema().edge(store.shown.get(`objects/${id}`)?.type, name)
    for (const { label, dir } of known
      ? [known]
      : [
          { label: name, dir: /** @type {const} */ ('>') },
          { label: name, dir: /** @type {const} */ ('<') },
        ]) {
      store.cells.track(`objects/${id}`, `$edge${dir}${label}`, () => store.edgesOf(id, dir, label).join())
      const edge = other === undefined ? store.edgesOf(id, dir, label)[0] : this.#edgeId(id, label, dir, idOf(other))
      if (edge) return this.edge(edge)
    }
    return undefined
  }

  /** @param {string} id @param {string} label @param {'>'|'<'} dir @param {string} other */
  #edgeId(id, label, dir, other) {
    const { store } = this.context
    return store.edgesOf(id, dir, label).find((e) => otherEnd(store.shown.get(`edges/${e}`), dir) === other)
  }
}

/** @param {any} edge @param {'>'|'<'} dir @returns {string} */
const otherEnd = (edge, dir) => (dir === '>' ? edge?.to : edge?.from)

/** @param {string} id @returns {PatchOp} */
const removeEdge = (id) => ({ op: 'remove', path: `/edges/${id}` })

/** What objects and edges have in common. @param {ObjectContext} context @param {string} ref */
function entityMembers({ store, write }, ref) {
  /** @template T @param {string} key @param {() => T} read */
  const tracked = (key, read) => () => {
    store.cells.track(ref, key, read)
    return read()
  }
  return {
    $id: () => ref.slice(ref.indexOf('/') + 1),
    /** Whether it is loaded (or made here) and not deleted. */
    $exists: tracked('$exists', () => store.shown.has(ref)),
    $meta: tracked('$meta', () => store.shown.get(ref)?.meta),
    $pending: tracked('$pending', () => store.isPending(ref)),
    $error: tracked('$error', () => store.errors.get(ref)),
    $delete: () => () => write([{ op: 'remove', path: `/${ref}` }]),
  }
}

/**
 * A schema method's patch with its parameters filled in.
 * @param {any} template
 * @param {any} params
 * @param {string} prefix
 * @returns {PatchOp[]}
 */
function fill(template, params, prefix) {
  /** @param {any} v @returns {any} */
  const value = (v) => {
    if (v === null || typeof v !== 'object') return v
    if (Array.isArray(v)) return v.map(value)
    if (hasOwn(v, '$param')) return clone(params[v.$param])
    /** @type {Record<string, any>} */
    const out = {}
    for (const k of Object.keys(v)) define(out, k, value(v[k]))
    return out
  }
  return template.map((/** @type {PatchOp} */ op) => ({
    ...value(op),
    path: prefix + op.path,
    ...(op.from === undefined ? {} : { from: prefix + op.from }),
  }))
}

// Bodies --------------------------------------------------------------------

/** A place in an entity: reads, and writes as operations. */
class Place {
  /**
   * @param {ObjectContext} context
   * @param {string} ref
   * @param {readonly string[]} tokens from the entity
   */
  constructor(context, ref, tokens) {
    this.context = context
    this.ref = ref
    this.tokens = tokens
    this.pointer = tokens.map((t) => `/${escapeToken(t)}`).join('')
    /** @type {Map<string, any>} */
    this.children = new Map()
  }

  /** What stands here now, as plain immutable JSON. */
  get value() {
    return safePeek(this.context.store.shown.get(this.ref), this.tokens)
  }

  /** @param {string} key */
  #read(key) {
    const here = this.value
    return here !== null && typeof here === 'object' && hasOwn(here, key) ? here[key] : undefined
  }

  /** @param {string} key @returns {any} */
  get(key) {
    const { store } = this.context
    store.cells.track(this.ref, `${this.pointer}/${escapeToken(key)}`, () => kindOf(this.#read(key)))
    const value = this.#read(key)
    if (value === null || typeof value !== 'object') return value
    const slot = Array.isArray(value) ? `[${key}` : `{${key}`
    let child = this.children.get(slot)
    if (!child) {
      const place = new Place(this.context, this.ref, [...this.tokens, key])
      this.children.set(slot, (child = Array.isArray(value) ? liveArray(place) : liveRecord(place)))
    }
    return child
  }

  /** @param {string} key */
  has(key) {
    this.context.store.cells.track(
      this.ref,
      `${this.pointer}/${escapeToken(key)} in`,
      () => this.#read(key) !== undefined,
    )
    return this.#read(key) !== undefined
  }

  keys() {
    const read = () => (this.value !== null && typeof this.value === 'object' ? Object.keys(this.value) : [])
    this.context.store.cells.track(this.ref, `${this.pointer} keys`, () => read().join('\0'))
    return read()
  }

  /** The members as they are read now. */
  entries() {
    /** @type {Record<string, any>} */
    const out = {}
    for (const key of this.keys()) define(out, key, this.get(key))
    return out
  }

  /** @param {string | symbol} key @returns {PropertyDescriptor | undefined} */
  descriptor(key) {
    if (typeof key === 'symbol' || this.#read(key) === undefined) return undefined
    return { value: this.get(key), writable: true, enumerable: true, configurable: true }
  }

  /** @param {string} key @param {any} value */
  set(key, value) {
    if (value === undefined) {
      this.delete(key)
      return
    }
    const fresh = clone(value)
    const had = this.#read(key)
    if (had !== undefined && equal(had, fresh)) return
    this.context.write([{ op: had === undefined ? 'add' : 'replace', path: this.path(key), value: fresh }])
  }

  /** @param {string | symbol} key */
  delete(key) {
    if (typeof key === 'symbol' || this.#read(key) === undefined) return
    this.context.write([{ op: 'remove', path: this.path(key) }])
  }

  /** The pointer of a member, from the graph. @param {string | number} key */
  path(key) {
    return `/${this.ref}${this.pointer}/${escapeToken(String(key))}`
  }
}

/** @param {any} doc @param {readonly string[]} tokens */
function safePeek(doc, tokens) {
  try {
    return peek(doc, tokens)
  } catch {
    return undefined
  }
}

const OBJECT = Symbol('object')
const ARRAY = Symbol('array')

/** What a reader of a value sees of it: of an object or array, that it is one. @param {any} v */
const kindOf = (v) => (v === null || typeof v !== 'object' ? v : Array.isArray(v) ? ARRAY : OBJECT)

/** @param {Place} place */
function liveRecord(place) {
  return new Proxy(
    {},
    {
      get: (target, key) => {
        if (typeof key === 'symbol') return Reflect.get(target, key)
        if (key.startsWith('__v_')) return key === '__v_skip'
        const value = place.get(key)
        return value === undefined ? Reflect.get(target, key) : value
      },
      set: (_, key, value) => {
        if (typeof key === 'symbol') throw new TypeError('a property of the graph is named by a string')
        place.set(key, value)
        return true
      },
      deleteProperty: (_, key) => {
        place.delete(key)
        return true
      },
      has: (target, key) => (typeof key === 'string' && place.has(key)) || Reflect.has(target, key),
      ownKeys: () => place.keys(),
      getOwnPropertyDescriptor: (_, key) => place.descriptor(key),
      defineProperty: (_, key, { value }) => {
        place.set(String(key), value)
        return true
      },
    },
  )
}

const INDEX = /^(0|[1-9][0-9]*)$/

/** @param {Place} place */
function liveArray(place) {
  const { store, write } = place.context
  const now = () => /** @type {readonly any[]} */ (Array.isArray(place.value) ? place.value : [])
  const length = () => {
    store.cells.track(place.ref, `${place.pointer} length`, () => now().length)
    return now().length
  }
  /** @param {number} start @param {number} drop @param {any[]} items */
  const splice = (start, drop, items) => {
    const old = now()
    /** @type {PatchOp[]} */
    const ops = []
    const fresh = items.map((v) => clone(v === undefined ? null : v))
    const both = Math.min(drop, fresh.length)
    for (let i = 0; i < both; i++) {
      if (!equal(old[start + i], fresh[i])) ops.push({ op: 'replace', path: place.path(start + i), value: fresh[i] })
    }
    for (let i = drop - 1; i >= both; i--) ops.push({ op: 'remove', path: place.path(start + i) })
    for (let i = both; i < fresh.length; i++) {
      ops.push({ op: 'add', path: place.path(start + drop >= old.length ? '-' : start + i), value: fresh[i] })
    }
    if (ops.length) write(ops)
  }
  /** Methods that set out the whole array anew. @param {(copy: any[]) => void} change */
  const rewrite = (change) => {
    const copy = [...now()]
    change(copy)
    if (!equal(copy, now())) write([{ op: 'replace', path: `/${place.ref}${place.pointer}`, value: clone(copy) }])
    return live
  }
  /** @type {Record<string, Function>} */
  const methods = {
    push: (/** @type {any[]} */ ...items) => {
      splice(now().length, 0, items)
      return now().length
    },
    pop: () => take(now().length - 1),
    shift: () => take(0),
    unshift: (/** @type {any[]} */ ...items) => {
      splice(0, 0, items)
      return now().length
    },
    splice: (/** @type {any[]} */ ...args) => {
      const n = now().length
      const from = Math.trunc(Number(args[0])) || 0
      const start = from < 0 ? Math.max(0, n + from) : Math.min(from, n)
      const drop =
        args.length === 0
          ? 0
          : args.length === 1
            ? n - start
            : Math.max(0, Math.min(Math.trunc(Number(args[1])) || 0, n - start))
      const gone = now().slice(start, start + drop)
      splice(start, drop, args.slice(2))
      return gone
    },
    sort: (/** @type {any} */ by) => rewrite((copy) => void copy.sort(by)),
    reverse: () => rewrite((copy) => void copy.reverse()),
    fill: (/** @type {any[]} */ ...args) => rewrite((copy) => void copy.fill(args[0], args[1], args[2])),
    copyWithin: (/** @type {number} */ a, /** @type {number} */ b, /** @type {number} */ c) =>
      rewrite((copy) => void copy.copyWithin(a, b, c)),
  }
  const take = (/** @type {number} */ at) => {
    const gone = now()[at]
    if (at >= 0 && at < now().length) splice(at, 1, [])
    return gone
  }
  const set = (/** @type {string} */ key, /** @type {any} */ value) => {
    if (key === 'length') {
      if (!(value <= now().length)) throw new TypeError('an array in JSON has no holes: push instead of lengthening it')
      splice(value, now().length - value, [])
      return
    }
    if (!INDEX.test(key) || Number(key) > now().length) throw new TypeError(`${key} is no index of this array`)
    splice(Number(key), Number(key) < now().length ? 1 : 0, [value])
  }
  /** @type {any} */
  const live = new Proxy(/** @type {any[]} */ ([]), {
    get: (target, key) => {
      if (key === 'length') return length()
      if (typeof key === 'string') {
        if (key.startsWith('__v_')) return key === '__v_skip'
        if (hasOwn(methods, key)) return methods[key]
        if (INDEX.test(key)) return place.get(key)
      }
      return Reflect.get(target, key, live)
    },
    set: (_, key, value) => {
      set(String(key), value)
      return true
    },
    deleteProperty: (_, key) => {
      throw new TypeError(`an array in JSON has no holes: splice instead of deleting ${String(key)}`)
    },
    has: (target, key) =>
      typeof key === 'string' && INDEX.test(key) ? Number(key) < length() : Reflect.has(target, key),
    ownKeys: () => [...Array(length()).keys()].map(String).concat('length'),
    getOwnPropertyDescriptor: (target, key) => {
      if (key === 'length') {
        target.length = length() // the one property that the invariants of Proxy watch
        return Reflect.getOwnPropertyDescriptor(target, key)
      }
      return place.descriptor(key)
    },
    defineProperty: (_, key, { value }) => {
      set(String(key), value)
      return true
    },
  })
  return live
}
