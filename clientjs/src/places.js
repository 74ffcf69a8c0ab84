/**
 * Values inside a body, as they are read: a *place* is a path into an entity,
 * and means whatever stands there at the moment of use.
 */

import { define, escapeToken, hasOwn, peek } from './patch.js'

/** @typedef {import('./proxy.js').ObjectContext} ObjectContext */

/** What changes an array in place. */
export const MUTATORS = new Set(['push', 'pop', 'shift', 'unshift', 'splice', 'sort', 'reverse', 'fill', 'copyWithin'])

export class Place {
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
    /** The methods that change it, if it is an array. @type {Record<string, Function> | null} */
    this.methods = null
  }

  /** What stands here now, as plain immutable JSON. */
  get value() {
    try {
      return peek(this.context.store.shown.get(this.ref), this.tokens)
    } catch {
      return undefined // a word where an array has an index
    }
  }

  /** A member, without any reader hearing of it. @param {string} key */
  peek(key) {
    const here = this.value
    return here !== null && typeof here === 'object' && hasOwn(here, key) ? here[key] : undefined
  }

  /** @param {string} key @param {() => any} stamp */
  track(key, stamp) {
    this.context.store.cells.track(this.ref, this.pointer + key, stamp)
  }

  /** @param {string} key @returns {any} */
  get(key) {
    this.track(`/${escapeToken(key)}`, () => kindOf(this.peek(key)))
    const value = this.peek(key)
    if (value === null || typeof value !== 'object') return value
    const slot = (Array.isArray(value) ? '[' : '{') + key
    let child = this.children.get(slot)
    if (!child) {
      const place = new Place(this.context, this.ref, [...this.tokens, key])
      this.children.set(slot, (child = Array.isArray(value) ? liveArray(place) : liveRecord(place)))
    }
    return child
  }

  /** @param {string} key */
  has(key) {
    const read = () => this.peek(key) !== undefined
    this.track(`/${escapeToken(key)} in`, read)
    return read()
  }

  keys() {
    const read = () => (this.value !== null && typeof this.value === 'object' ? Object.keys(this.value) : [])
    this.track(' keys', () => read().join('\0'))
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
    if (typeof key === 'symbol' || this.peek(key) === undefined) return undefined
    return { value: this.get(key), writable: true, enumerable: true, configurable: true }
  }

  /** @param {string | symbol} key @param {any} value */
  set(key, value) {
    if (typeof key === 'symbol') throw new TypeError('a property of the graph is named by a string')
    this.context.edit().set(this, key, value)
    return true
  }

  /** @param {string | symbol} key */
  delete(key) {
    if (typeof key !== 'symbol') this.context.edit().delete(this, key)
    return true
  }

  /** The pointer of a member, from the graph. @param {string | number} key */
  path(key) {
    return `/${this.ref}${this.pointer}/${escapeToken(String(key))}`
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
        // What is not there is undefined, or the language's own (toString, …); a
        // key of the graph is never taken for one of those.
        return place.get(key) ?? (place.peek(key) === null ? null : Reflect.get(target, key))
      },
      set: (_, key, value) => place.set(key, value),
      deleteProperty: (_, key) => place.delete(key),
      has: (target, key) => (typeof key === 'string' && place.has(key)) || Reflect.has(target, key),
      ownKeys: () => place.keys(),
      getOwnPropertyDescriptor: (_, key) => place.descriptor(key),
      defineProperty: (_, key, { value }) => place.set(key, value),
    },
  )
}

const INDEX = /^(0|[1-9][0-9]*)$/

/** @param {Place} place */
function liveArray(place) {
  const length = () => {
    const read = () => (Array.isArray(place.value) ? place.value.length : 0)
    place.track(' length', read)
    return read()
  }
  const set = (/** @type {string | symbol} */ key, /** @type {any} */ value) => {
    place.context.edit().setItem(place, String(key), value)
    return true
  }
  /** @type {any} */
  const live = new Proxy(/** @type {any[]} */ ([]), {
    get: (target, key) => {
      if (key === 'length') return length()
      if (typeof key === 'string') {
        if (key.startsWith('__v_')) return key === '__v_skip'
        if (INDEX.test(key)) return place.get(key)
        if (MUTATORS.has(key)) {
          place.methods ??= place.context.edit().array(place, live)
          return place.methods[key]
        }
      }
      return Reflect.get(target, key, live)
    },
    set: (_, key, value) => set(key, value),
    deleteProperty: (_, key) => {
      throw new TypeError(`splice instead of deleting ${String(key)}`)
    },
    has: (target, key) =>
      typeof key === 'string' && INDEX.test(key) ? Number(key) < length() : Reflect.has(target, key),
    ownKeys: () => [...Array(length()).keys()].map(String).concat('length'),
    getOwnPropertyDescriptor: (target, key) => {
      if (key !== 'length') return place.descriptor(key)
      target.length = length() // the one property that the invariants of Proxy watch
      return Reflect.getOwnPropertyDescriptor(target, key)
    },
    defineProperty: (_, key, { value }) => set(key, value),
  })
  return live
}
