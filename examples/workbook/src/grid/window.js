/**
 * A window onto a long list: a subscription that follows the scroll. Of any
 * number of rows, LIMIT are here; where the sight comes near the end of what is
 * here, another subscription begins further on, and the old one ends once the
 * new one is loaded.
 *
 *      0        first              first + rows.length       total
 *      |─ … ────|── rows ─[ sight ]── rows ──|──── … ──────────|
 *
 * A window begins after a place in the order, never at a number: so it stands
 * still while others add and remove rows above it. Places that were passed are
 * remembered, every STEP rows, for the way back. In the order of `rank` a far
 * place is guessed from its number; in any other order it is walked to.
 */

import { useView } from '@graphtide/client/vue'
import { computed, onScopeDispose, shallowRef, watch } from 'vue'

/** Rows that are here at a time. */
const LIMIT = 240
/** The window moves on where fewer than so many are left beyond those in sight. */
const MARGIN = 60
const STEP = 40
/** So many at once on the way to a far place. */
const HOP = 1000
/** After every other id. */
const LAST = 'ffffffff-ffff-ffff-ffff-ffffffffffff'

/**
 * @typedef {object} Query
 * @property {{key: string, down: boolean} | null} sort by a column; null: in the order of the rows' rank
 * @property {object} [where]
 */

/**
 * @param {import('@graphtide/client').Client} db
 * @param {string} book whose rows
 * @param {() => Query} query
 */
export function useWindow(db, book, query) {
  const order = computed(() => orderOf(query().sort))
  const ranked = computed(() => !query().sort && !query().where)
  // The last row says about how many there are.
  const tail = useView(db, { root: book, in: { dataStore: { order: ['-/body/rank'], limit: 1 } } }).list(book, 'records')
  const lastRank = computed(() => Math.floor(tail[0]?.rank ?? 0))

  const shown = shallowRef(null) // {view, rows, first, limit, after, question}
  const marks = new Map() // number of a row → the place before it
  const sight = { from: 0, to: 0 }
  let question = 0 // counts the queries
  let moving = false
  let closed = false

  /** The view of a place, once it is loaded; null where it is not wanted any more. */
  async function open({ after, limit }, asked) {
    const { where } = query()
    const rows = { order: order.value, where, limit, after, out: { country: {} }, in: { about: { limit: 1 } } }
    const view = db.subscribe({ root: book, in: { dataStore: rows } })
    try {
      await view.ready
      if (!closed && asked === question) return view
    } catch {
      // Refused, and with it the query: what is shown stays.
    }
    view.close()
    return null
  }

  async function move(place) {
    const asked = question
    const view = await open(place, asked)
    if (!view) return asked !== question && !closed
    const before = shown.value
    const rows = view.list(book, 'records')
    shown.value = { ...place, view, rows, question: asked, first: numberOf(rows, place, before?.question === asked ? before : null) }
    before?.view.close()
    remember()
    return true
  }

  function remember() {
    const { first, after, rows } = shown.value
    marks.set(first, after)
    for (let i = STEP - (first % STEP); i < rows.length; i += STEP) marks.set(first + i, placeOf(rows[i - 1]))
  }

  /** The place of a row, to begin after it. */
  function placeOf(row) {
    const values = order.value.map((pointer) => at(row, pointer) ?? { missing: true })
    return { values, id: row.$id }
  }

  /** Where the window ought to be; null where it is well placed. */
  function next() {
    const now = shown.value
    if (now?.question !== question) return { first: 0, after: undefined, limit: LIMIT }
    const end = now.first + now.rows.length
    const above = now.first === 0 || sight.from - MARGIN >= now.first
    const below = now.rows.length < now.limit || sight.to + MARGIN <= end
    if (above && below && now.limit === LIMIT) return null
    const place = locate(Math.max(0, Math.floor((sight.from + sight.to - LIMIT) / 2)), now)
    return place.first === now.first && place.limit === now.limit ? null : place
  }

  function locate(first, now) {
    if (first === 0) return { first, after: undefined, limit: LIMIT }
    const inside = first - now.first
    if (inside > 0 && inside <= now.rows.length) return { first, after: placeOf(now.rows[inside - 1]), limit: LIMIT }
    const mark = [...marks.keys()].reduce((best, m) => (m <= first && m > best ? m : best), 0)
    if (first - mark > MARGIN && ranked.value && first < lastRank.value) {
      return { first, after: { values: [first], id: LAST }, limit: LIMIT }
    }
    const far = first - mark > LIMIT / 2
    return { first: mark, after: marks.get(mark), limit: far ? HOP : LIMIT }
  }

  /** These rows are in sight: sees to it that they are here. @param {number} from @param {number} to */
  async function follow(from, to) {
    Object.assign(sight, { from, to })
    if (moving) return
    moving = true
    for (let place = next(); place && !closed; place = next()) if (!(await move(place))) break
    moving = false
  }

  const asked = computed(() => JSON.stringify([order.value, query().where]))
  watch(asked, () => {
    question++
    marks.clear()
    follow(0, sight.to - sight.from)
  })
  // Rows that come and go may want another window.
  watch(() => shown.value?.rows.length, () => follow(sight.from, sight.to))
  onScopeDispose(() => {
    closed = true
    shown.value?.view.close()
  })

  const first = computed(() => shown.value?.first ?? 0)
  const rows = computed(() => (shown.value ? [...shown.value.rows] : []))
  const end = computed(() => first.value + rows.value.length)
  /** Whether the last row is here, and so the number of all known. */
  const exact = computed(() => !!shown.value && rows.value.length < shown.value.limit)
  const total = computed(() => (exact.value || query().where ? end.value : Math.max(end.value, lastRank.value)))
  return {
    first,
    rows,
    exact,
    total,
    lastRank,
    follow,
    loading: computed(() => shown.value === null),
    /** The row of a number, if it is here. @param {number} index */
    row: (index) => rows.value[index - first.value],
    /** The number of a row, -1 if it is not here. @param {string | null} id */
    indexOf: (id) => {
      const i = rows.value.findIndex((r) => r.$id === id)
      return i < 0 ? -1 : first.value + i
    },
  }
}

/** The number of a window's first row: as the window before it has it, where they overlap. */
function numberOf(rows, place, before) {
  if (place.after === undefined || !before || rows.length === 0) return place.first
  const old = new Map(before.rows.map((row, i) => [row.$id, before.first + i]))
  const i = rows.findIndex((row) => old.has(row.$id))
  return i < 0 ? place.first : Math.max(0, old.get(rows[i].$id) - i)
}

const escape = (key) => key.replace(/~/g, '~0').replace(/\//g, '~1')

/** The order of a projection. @param {Query['sort']} sort */
const orderOf = (sort) => (sort ? [`${sort.down ? '-' : ''}/body/values/${escape(sort.key)}`, '/body/rank'] : ['/body/rank'])

/** What stands at a pointer of an order. */
function at(row, pointer) {
  const [, , ...keys] = pointer.replace(/^-/, '').split('/')
  return keys.map((k) => k.replace(/~1/g, '/').replace(/~0/g, '~')).reduce((v, key) => v?.[key], row)
}
