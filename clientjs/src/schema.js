/**
 * What the client needs of the schema: which names of a type are edges, which
 * way they run and whether they lead to one object or to many. Read from
 * `GET /v1/schema?view=client`, whose types have all that they inherit.
 */

import { hasOwn } from './patch.js'

/** @typedef {{label: string, dir: '>'|'<', many: boolean}} EdgeName */
/**
 * @typedef {object} TypeView
 * @property {string} [parent]
 * @property {boolean} [abstract]
 * @property {boolean} [open]
 * @property {Record<string, any>} [properties]
 * @property {{out?: Record<string, any>, in?: Record<string, any>}} [edges]
 * @property {Record<string, {params?: any, patch: any[]}>} [methods]
 */
/** @typedef {{version: number, types: Record<string, TypeView>, projections?: Record<string, any>, operations?: Record<string, any>}} SchemaView */

export class Schema {
  /** @param {Partial<SchemaView>} [view] */
  constructor(view = {}) {
    this.view = view
    this.version = view.version ?? 0
    this.types = view.types ?? {}
    this.operations = view.operations ?? {}
    this.projections = view.projections ?? {}
    /** @type {Map<string, Map<string, EdgeName>>} */
    this.names = new Map()
  }

  /** @param {string | undefined} name @returns {TypeView | undefined} */
  type(name) {
    return name !== undefined && hasOwn(this.types, name) ? this.types[name] : undefined
  }

  /**
   * A type and those that it extends, nearest first.
   * @param {string | undefined} name
   * @returns {string[]}
   */
  lineage(name) {
    /** @type {string[]} */
    const line = []
    for (let n = name; n !== undefined && !line.includes(n); n = this.type(n)?.parent) line.push(n)
    return line
  }

  /**
   * @param {string | undefined} name
   * @param {string} ancestor
   */
  isA(name, ancestor) {
    return this.lineage(name).includes(ancestor)
  }

  /**
   * Which edges a property name of a type stands for: an outbound label, or the
   * `as` name of an inbound one.
   * @param {string | undefined} type
   * @param {string} name
   * @returns {EdgeName | undefined}
   */
  edge(type, name) {
    return type === undefined ? undefined : this.#edges(type).get(name)
  }

  /** @param {string} type */
  #edges(type) {
    let names = this.names.get(type)
    if (names) return names
    names = new Map([['operations', { label: 'target', dir: /** @type {const} */ ('<'), many: true }]])
    for (const t of this.lineage(type).reverse()) {
      const { out = {}, in: inbound = {} } = this.types[t]?.edges ?? {}
      for (const label of Object.keys(out)) names.set(label, { label, dir: '>', many: out[label]?.max !== 1 })
      for (const label of Object.keys(inbound)) {
        const as = inbound[label]?.as
        if (as) names.set(as, { label, dir: '<', many: inbound[label]?.max !== 1 })
      }
    }
    this.names.set(type, names)
    return names
  }

  /**
   * @param {string | undefined} type
   * @param {string} name
   */
  method(type, name) {
    for (const t of this.lineage(type)) {
      const methods = this.types[t]?.methods ?? {}
      if (hasOwn(methods, name)) return methods[name]
    }
    return undefined
  }
}
