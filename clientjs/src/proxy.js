/**
 * Objects of the graph as ordinary JavaScript objects.
 *
 * Reading goes to what is shown at that moment; writing records the smallest
 * patch operations that say the same, and shows them at once (`edits.js`).
 * Names that begin with `$` are ours; a property that is an edge leads to
 * another object; the rest is the body.
 */

import { makeLive } from './live.js'
import { hasOwn } from './patch.js'
import { Place } from './places.js'

/** @typedef {import('./schema.js').EdgeName} EdgeName */

/**
 * What writing needs (`edits.js` implements it).
 * @typedef {object} Editor
 * @property {(body: Place, proto: any, key: string, value: any, live: any) => boolean} property
 * @property {(place: Place, key: string, value: any) => void} set
 * @property {(place: Place, key: string) => void} delete
 * @property {(place: Place, key: string, value: any) => void} setItem
 * @property {(place: Place, live: any) => Record<string, Function>} array
 * @property {(id: string, edge: EdgeName, value: any) => void} assign
 * @property {(id: string, edge: EdgeName, others: any[], body?: any) => void} link
 * @property {(id: string, edge: EdgeName, others: any[]) => void} unlink
 * @property {(ref: string) => void} remove
 * @property {(ref: string, template: any[], params: any) => void} call
 */

/**
 * What objects need of their surroundings.
 * @typedef {object} ObjectContext
 * @property {import('./store.js').Store} store
 * @property {() => import('./schema.js').Schema} schema
 * @property {() => Editor} edit throws where nothing can be written
 * @property {() => typeof import('./members.js') | undefined} more what else objects can do
 * @property {Record<string, Function>} classes
 * @property {(id: string, edge: EdgeName) => boolean} loaded whether all of these edges are here
 * @property {(ref: string) => Promise<any>} history
 * @property {(id: string) => Set<string> | undefined} rights those known by now; asks for them otherwise
 * @property {(id: string) => readonly any[]} presence
 */

export const TARGET = Symbol('graphtide')

/** The reference of a live object or edge, undefined for anything else. @param {any} value @returns {string | undefined} */
export const refOfLive = (value) => (value !== null && typeof value === 'object' ? value[TARGET] : undefined)

/** The id of an object, or the id itself. @param {any} value @returns {string} */
export function idOf(value) {
  if (typeof value === 'string') return value
  const ref = refOfLive(value)
  if (ref?.startsWith('objects/')) return ref.slice(8)
  throw new TypeError('an object of the graph, or its id, is expected')
}

/** @param {PropertyKey} key */
export function refuse(key) {
  throw new TypeError(`${String(key)} cannot be assigned: names that begin with $ are the client's`)
}

/** What is known of every object and edge. @type {Record<string, (store: import('./store.js').Store, ref: string) => any>} */
export const FACTS = {
  $id: (_, ref) => ref.slice(ref.indexOf('/') + 1),
  $type: (store, ref) => store.shown.get(ref)?.type,
  // Whether it is loaded (or made here) and not deleted.
  $exists: (store, ref) => store.shown.has(ref),
  $meta: (store, ref) => store.shown.get(ref)?.meta,
  $pending: (store, ref) => !!store.overlay?.isPending(ref),
  $error: (store, ref) => store.overlay?.errors.get(ref),
}

export class Objects {
  /** @param {ObjectContext} context */
  constructor(context) {
    this.context = context
    /** One live object per entity, as long as somebody holds it. @type {Map<string, WeakRef<any>>} */
    this.known = new Map()
    /** The live arrays of neighbours, by the object that holds them. @type {WeakMap<object, Map<string, any>>} */
    this.lists = new WeakMap()
    this.registry = new FinalizationRegistry((/** @type {string} */ ref) => {
      if (!this.known.get(ref)?.deref()) this.known.delete(ref)
    })
  }

  /** The live object of an id. @param {string} id @returns {any} */
  object(id) {
    return this.#live(`objects/${id}`, (ref) => this.#make(id, ref))
  }

  /** The live edge of an id. @param {string} id @returns {any} */
  edge(id) {
    return this.#live(`edges/${id}`, (ref) => this.context.more()?.liveEdge(this, ref))
  }

  /** @param {string} ref @param {(ref: string) => any} make */
  #live(ref, make) {
    const known = this.known.get(ref)?.deref()
    if (known) return known
    const made = make(ref)
    this.known.set(ref, new WeakRef(made))
    this.registry.register(made, ref)
    return made
  }

  /** @param {string} id @param {string} ref */
  #make(id, ref) {
    const { context } = this
    const body = new Place(context, ref, ['body'])
    const type = () => context.store.shown.get(ref)?.type
    const classOf = () => {
      for (const name of context.schema().lineage(type())) {
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
        if (hasOwn(FACTS, key)) return this.fact(ref, key)
        const more = context.more()?.members
        if (more && hasOwn(more, key)) return more[key](this, ref)
        const edge = this.edgeName(ref, key)
        if (edge) return edge.many ? this.list(id, edge) : this.#one(id, edge)
        const value = body.get(key)
        if (value !== undefined) return value
        const method = context.schema().method(type(), key)
        if (method) return (/** @type {any} */ params) => context.edit().call(ref, method.patch, params ?? {})
        if (key === 'toJSON') return () => ({ $id: id, $type: type(), ...body.entries() })
        return Reflect.get(classOf(), key, live)
      },
      set: (_, key, value) => {
        if (typeof key === 'symbol' || key[0] === '$') refuse(key)
        return context.edit().property(body, classOf(), String(key), value, live)
      },
      deleteProperty: (_, key) => {
        const edge = typeof key === 'string' && this.edgeName(ref, key)
        if (edge) context.edit().assign(id, edge, null)
        else body.delete(key)
        return true
      },
      has: (_, key) =>
        key === TARGET ||
        (typeof key === 'string' &&
          (hasOwn(FACTS, key) ||
            key in (context.more()?.members ?? {}) ||
            !!this.edgeName(ref, key) ||
            body.has(key))) ||
        key in classOf(),
      ownKeys: () => body.keys(),
      getOwnPropertyDescriptor: (_, key) => body.descriptor(key),
      getPrototypeOf: classOf,
      defineProperty: (_, key, { value }) => Reflect.set(live, key, value),
    })
    return live
  }

  /**
   * Reads a fact about an entity, and lets the readers know.
   * @template T
   * @param {string} ref @param {string} key @param {() => T} read @returns {T}
   */
  tracked(ref, key, read) {
    this.context.store.cells.track(ref, key, read)
    return read()
  }

  /** What is known of every object and edge. @param {string} ref @param {string} key a name in FACTS */
  fact(ref, key) {
    const read = () => FACTS[key](this.context.store, ref)
    return key === '$id' ? read() : this.tracked(ref, key, read) // an id never changes
  }

  // Edges ---------------------------------------------------------------------

  /** The edge that a property's name stands for. @param {string} ref @param {string} key @returns {EdgeName | undefined} */
  edgeName(ref, key) {
    return this.context.schema().edge(this.fact(ref, '$type'), key)
  }

  /** @param {string} id @param {EdgeName} edge @returns {readonly string[]} */
  #ids(id, { dir, label }) {
    return this.tracked(`objects/${id}`, dir + label, () => this.context.store.neighbours(id, dir, label))
  }

  /** The object; null if there is none, undefined if it is not loaded. @param {string} id @param {EdgeName} edge */
  #one(id, edge) {
    const other = this.#ids(id, edge)[0]
    if (other !== undefined) return this.object(other)
    return this.loaded(id, edge) && !this.context.store.edgesOf(id, edge.dir, edge.label).length ? null : undefined
  }

  /** Whether all edges of a label are here. @param {string} id @param {EdgeName} edge */
  loaded(id, edge) {
    return this.tracked(`objects/${id}`, `$loaded${edge.dir}${edge.label}`, () => this.context.loaded(id, edge))
  }

  /** The neighbours along a label: a live array. @param {string} id @param {EdgeName} edge */
  list(id, edge) {
    const object = this.object(id)
    const key = edge.dir + edge.label
    let lists = this.lists.get(object)
    if (!lists) this.lists.set(object, (lists = new Map()))
    let list = lists.get(key)
    if (!list) {
      const many = { ...edge, many: true }
      list = makeLive({
        read: () => this.context.store.neighbours(id, edge.dir, edge.label),
        track: () => void this.#ids(id, edge),
        item: (other) => this.object(other),
        add: (objects) => this.context.edit().link(id, many, objects),
        remove: (object) => this.context.edit().unlink(id, many, [object]),
      })
      lists.set(key, list)
    }
    return list
  }
}
