/**
 * A view's own list: the objects joined to one parent, in the window and the
 * order of the projection. The server decides who is in the window; what this
 * client has linked and not yet sent is shown as well.
 */

import { makeLive } from './live.js'
import { compareBy, compareStrings, matches, parseOrder, sortValues } from './order.js'
import { isRecord } from './patch.js'
import { listKey, sameItems } from './store.js'

/** @typedef {import('./projection.js').View} View */
/** @typedef {{id: string, values: any[]}} Row */

/**
 * The live array of a view's own list.
 * @param {View} view @param {string} parent @param {string} name
 */
export function listOf(view, parent, name) {
  const key = `${parent} ${name}`
  let list = view.viewLists.get(key)
  if (!list) view.viewLists.set(key, (list = new ViewList(view, parent, name)))
  return list.live
}

export class ViewList {
  /**
   * @param {View} view
   * @param {string} parent
   * @param {string} name a label or an `as` name
   */
  constructor(view, parent, name) {
    this.view = view
    this.parent = parent
    this.name = name
    /** @type {readonly string[]} */
    this.ids = []
    this.stale = true
    this.storeKey = ''
    /** What each row is sorted by, and the id of the edge it came over. @type {Map<string, {edge: string, values: any[]}>} */
    this.rows = new Map()
    /** @type {import('./order.js').OrderKey[]} */
    this.order = []
    /** @type {any} */
    this.where = undefined
    this.live = makeLive({
      read: () => this.read(),
      track: () => view.context.store.cells.track(view.owner, `list ${parent} ${name}`, () => this.read()),
      item: view.context.object,
    })
  }

  /** Ids of the objects; the same array while they are the same. */
  read() {
    if (!this.stale && !this.view.context.store.touched.has(this.storeKey)) return this.ids
    const { store, schema } = this.view.context
    const type = store.shown.get(`objects/${this.parent}`)?.type
    const edge = schema().edge(type, this.name) ?? this.#guess()
    this.storeKey = listKey(this.parent, edge.dir, edge.label)
    const step = findStep(this.view.template, edge.dir, edge.label)
    this.order = parseOrder(step?.order)
    this.where = step?.where
    const far = edge.dir === '>' ? 'to' : 'from'
    this.rows.clear()
    for (const id of store.edgesOf(this.parent, edge.dir, edge.label)) {
      const ref = `edges/${id}`
      const link = /** @type {any} */ (store.shown.get(ref))
      const object = store.shown.get(`objects/${link[far]}`)
      if (!object) continue
      const mine = this.view.members.has(ref)
      if (!mine && (store.confirmed.has(ref) || !matches(this.where, object))) continue
      this.rows.set(link[far], { edge: id, values: sortValues(this.order, object, link) })
    }
    const sorted = [...this.rows].sort(
      ([a, x], [b, y]) => compareBy(this.order, x.values, y.values) || compareStrings(a, b),
    )
    const ids = sorted.map(([id]) => id)
    if (!sameItems(ids, this.ids)) this.ids = ids
    this.stale = false
    return this.ids
  }

  /** Without a parent at hand its type is unknown: the projection may tell. */
  #guess() {
    const dir = findStep(this.view.template, '>', this.name) ? '>' : '<'
    return { label: this.name, dir: /** @type {'>'|'<'} */ (dir), many: true }
  }

  /** An entity has come into the view, or left it. @param {string} ref */
  membership(ref) {
    if (ref.startsWith('edges/')) this.stale = true
  }

  /** @param {Set<string>} refs @param {Set<string>} lists */
  changed(refs, lists) {
    if (this.stale) return
    if (lists.has(this.storeKey) || refs.has(`objects/${this.parent}`)) {
      this.stale = true
      return
    }
    if (this.order.length === 0) return
    const { store } = this.view.context
    const edgeOrder = this.order.some((k) => k.edge)
    for (const ref of refs) {
      const row = this.rows.get(ref.slice(8))
      if (!row || !ref.startsWith('objects/')) {
        if (edgeOrder && ref.startsWith('edges/')) this.stale = true
        continue
      }
      const values = sortValues(this.order, store.shown.get(ref), store.shown.get(`edges/${row.edge}`))
      if (compareBy(this.order, values, row.values)) this.stale = true
      if (this.stale) return
    }
  }
}

/**
 * The step of a projection that follows a label, nearest to the root first.
 * @param {any} node
 * @param {'>'|'<'} dir
 * @param {string} label
 * @returns {any}
 */
export function findStep(node, dir, label) {
  for (let level = [node]; level.length; ) {
    /** @type {any[]} */
    const next = []
    for (const n of level) {
      if (!isRecord(n)) continue
      const here = (dir === '>' ? n.out : n.in) ?? {}
      if (Object.hasOwn(here, label)) return here[label]
      next.push(...Object.values(n.out ?? {}), ...Object.values(n.in ?? {}))
    }
    level = next
  }
  return undefined
}

/**
 * The objects made here, and not yet confirmed, that a view of a type will have
 * among its roots.
 * @param {View} view
 * @param {readonly string[]} ids those that it has already
 * @returns {string[]}
 */
export function newRoots(view, ids) {
  const root = view.template?.root
  if (!isRecord(root) || typeof root.type !== 'string') return []
  const { store, schema } = view.context
  return (store.overlay?.unconfirmed() ?? []).filter((id) => {
    const entity = /** @type {any} */ (store.shown.get(`objects/${id}`))
    return !ids.includes(id) && schema().isA(entity.type, root.type) && matches(root.where, entity)
  })
}

/**
 * Whether all of an object's edges of one label are here: it was made here, or a
 * view follows them.
 * @param {import('./store.js').Store} store
 * @param {Iterable<View>} views
 * @param {string} id
 * @param {import('./schema.js').EdgeName} edge
 */
export function loaded(store, views, id, { dir, label }) {
  const ref = `objects/${id}`
  if (!store.shown.has(ref)) return false
  if (!store.confirmed.has(ref)) return true
  return [...views].some((v) => v.context.store === store && v.loaded && follows(v, id, dir, label))
}

/**
 * Whether a view holds all of an object's edges of one label: whether its
 * projection follows them from a place where the object stands.
 * @param {View} view
 * @param {string} id
 * @param {'>'|'<'} dir
 * @param {string} label
 * @returns {boolean}
 */
function follows(view, id, dir, label) {
  const { template, members } = view
  if (!template || !members.has(`objects/${id}`)) return false
  const { store } = view.context
  const side = (/** @type {any} */ node, /** @type {'>'|'<'} */ d) => (d === '>' ? node?.out : node?.in) ?? {}
  /** Whether the object stands at a node that is reached from its parent. @type {(id: string, node: any) => boolean} */
  const stands = (object, node) => {
    if (node === template) return view.rootIds.includes(object)
    const { parent, back, name } = /** @type {any} */ (ways.get(node))
    return store.edgesOf(object, back, name).some((e) => {
      const edge = members.has(`edges/${e}`) && store.shown.get(`edges/${e}`)
      const other = edge && (back === '>' ? edge.to : edge.from)
      return other && (stands(other, parent) || (node.repeat && other !== object && deep(other, node, 64)))
    })
  }
  /** The same, by way of a step that repeats itself. @type {(id: string, node: any, left: number) => boolean} */
  const deep = (object, node, left) => {
    if (left === 0) return false
    const { parent, back, name } = /** @type {any} */ (ways.get(node))
    return store.edgesOf(object, back, name).some((e) => {
      const edge = members.has(`edges/${e}`) && store.shown.get(`edges/${e}`)
      const other = edge && (back === '>' ? edge.to : edge.from)
      return other && (stands(other, parent) || deep(other, node, left - 1))
    })
  }
  /** How each node is reached. @type {Map<any, {parent: any, back: '>'|'<', name: string}>} */
  const ways = new Map()
  for (const level = [template]; level.length; ) {
    const node = level.pop()
    const step = side(node, dir)
    if (Object.hasOwn(step, label)) {
      const { where, limit } = step[label] ?? {}
      if (where === undefined && limit === undefined && stands(id, node)) return true
    }
    for (const d of /** @type {const} */ (['>', '<'])) {
      for (const [name, next] of Object.entries(side(node, d))) {
        if (!isRecord(next)) continue
        ways.set(next, { parent: node, back: d === '>' ? '<' : '>', name })
        level.push(next)
      }
    }
  }
  return false
}
