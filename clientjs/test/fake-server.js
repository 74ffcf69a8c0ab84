/**
 * A small server in memory that keeps the protocol's promises in the plainest
 * way: it computes views anew for each commit and compares. It can be told to
 * refuse, to merge deltas, to split frames, to part views and to lose commits.
 */

import { clone } from '../src/clone.js'
import { entityHash } from '../src/digest.js'
import { inverse } from '../src/inverse.js'
import { applySteps, compileGraphOp } from '../src/mutation.js'
import { compareBy, compareStrings, matches, parseOrder, sortValues } from '../src/order.js'
import { equal, formatPointer, isRecord } from '../src/patch.js'

/** @typedef {import('./sim.js').Sim} Sim */
/**
 * @typedef {{objects: Map<string, any>, edges: Map<string, any>, denied: Set<string>}} State
 *   denied: `<user> <object id>` of what a user may not read
 */

/** Texts of what goes to many. @type {WeakMap<object, string>} */
const texts = new WeakMap()

/** @param {any} v what does not change */
function textOf(v) {
  let text = texts.get(v)
  if (text === undefined) texts.set(v, (text = JSON.stringify(v)))
  return text
}

/** Schemas as they arrive; nobody can change one. @type {WeakMap<object, any>} */
const arrived = new WeakMap()

/** What travels as JSON arrives as a copy. @param {any} v */
function copy(v) {
  if (!v.types) return JSON.parse(JSON.stringify(v))
  let schema = arrived.get(v)
  if (!schema) arrived.set(v, (schema = clone(v)))
  return schema
}

export class FakeServer {
  /**
   * @param {Sim} sim
   * @param {{schema?: any, refuse?: (patch: any[], mutation: string) => any, reverting?: () => Promise<void>, flushDelay?: () => number, split?: number, part?: number, lose?: number, again?: number, apart?: boolean, expiresAt?: () => string}} [options]
   *   split, part, lose, again: how likely a frame is split, a view parts, an entry is wrongly left out, a delta comes twice;
   *   apart: answers come in a message of their own, behind the deltas of their version
   */
  constructor(sim, options = {}) {
    this.sim = sim
    this.options = options
    this.epoch = 'e1'
    this.epochs = 1
    /** States by version. @type {State[]} */
    this.states = [{ objects: new Map(), edges: new Map(), denied: new Set() }]
    /** @type {{version: number, mutation: string, by: string, ops: Map<string, any[]>, patch: any[]}[]} */
    this.log = []
    /** @type {Map<string, number>} */
    this.applied = new Map()
    /** @type {Set<FakeSession>} */
    this.sessions = new Set()
    this.viewCount = 0
    /** @type {any[]} everything that clients sent */
    this.heard = []
    this.hold = false
    /** Answers nothing but hello: a test speaks in its place. */
    this.mute = false
    /** Who is where: object → session → what. @type {Map<string, Map<string, any>>} */
    this.present = new Map()
  }

  get head() {
    return this.states.length - 1
  }

  get state() {
    return this.states[this.head]
  }

  /** @param {string} ref @returns {any} */
  entity(ref) {
    const [kind, id] = ref.split('/')
    return (kind === 'objects' ? this.state.objects : this.state.edges).get(id)
  }

  /** The `fetch` of clients. */
  fetch = async (/** @type {any} */ input, /** @type {any} */ init = {}) => {
    const path = new URL(String(input)).pathname
    if (path === '/v1/schema') return json(200, this.options.schema ?? { version: 1, types: {} })
    if (path.endsWith('/revert')) return this.#revert(JSON.parse(init.body), init.headers['Idempotency-Key'])
    return json(404, { code: 'not-found', title: 'Not found' })
  }

  /** @param {{versions: number[]}} what @param {string} mutation */
  async #revert({ versions }, mutation) {
    await this.options.reverting?.()
    /** @type {any[]} */
    const patch = []
    for (const v of [...versions].sort((a, b) => b - a)) {
      const { objects, edges } = this.states[v - 1]
      const read = (/** @type {string} */ ref) => (ref.startsWith('objects/') ? objects : edges).get(ref.split('/')[1])
      patch.push(...(inverse(this.log[v - 1].patch.map(compileGraphOp), read) ?? []))
      // What went in a cascade comes back.
      for (const [id, e] of edges)
        if (!this.states[v].edges.has(id) && !this.log[v - 1].patch.some((p) => p.path === `/edges/${id}`))
          patch.push({ op: 'add', path: `/edges/${id}`, value: { label: e.label, from: e.from, to: e.to } })
    }
    const { version, problem } = this.commit(patch, 'revert', mutation)
    if (!problem) return json(200, { version })
    const conflicts = patch.filter((p) => p.op === 'test').map((p) => ({ path: p.path, version: this.head }))
    return json(409, { code: 'undo-conflict', title: 'Changed since', conflicts })
  }

  /**
   * Commits a patch, or gives a problem.
   * @param {any[]} patch @param {string} by the session @param {string} mutation
   * @param {number} [base] the version that its author saw
   * @param {string} [user] whose rights count; all rights without
   * @returns {{version: number, problem?: any}}
   */
  commit(patch, by, mutation, base, user) {
    const known = this.applied.get(mutation)
    if (known !== undefined) return { version: known }
    const problem = this.options.refuse?.(patch, mutation)
    if (problem) return { version: 0, problem }
    let steps = patch.map(compileGraphOp)
    /** @type {Map<string, any>} */
    let draft
    try {
      /** @type {Map<string, boolean>} */
      const there = new Map()
      steps = steps.filter((s, i) => {
        const exists = there.get(s.ref) ?? !!this.entity(s.ref)
        if (exists && !this.#readable(s, user)) throw fault('not-found', patch[i].path)
        if (s.whole && s.step.op === 'add') {
          if (exists) throw fault('exists', patch[i].path)
          if (s.step.value.from !== undefined) {
            for (const end of [s.step.value.from, s.step.value.to]) {
              const here = there.get(`objects/${end}`) ?? this.state.objects.has(end)
              if (!here || this.state.denied.has(`${user} ${end}`)) throw fault('not-found', patch[i].path)
            }
          }
        } else if (!exists) {
          const was = base === undefined ? undefined : this.states[base]
          const [kind, id] = s.ref.split('/')
          if (s.step.op === 'remove' && s.whole && was?.[/** @type {'objects'} */ (kind)].has(id)) return false
          throw fault('not-found', patch[i].path)
        }
        if (!s.whole && base !== undefined) this.#unmoved(s, base, by)
        if (s.whole) there.set(s.ref, s.step.op === 'add')
        return true
      })
      draft = applySteps(steps, (ref) => this.entity(ref))
    } catch (err) {
      const { code, path, message } = /** @type {any} */ (err)
      if (!code) throw err
      return { version: 0, problem: { code, path, title: message, version: this.head } }
    }
    if (steps.length === 0) return { version: this.head }
    const version = this.head + 1
    /** @type {Map<string, any[]>} */
    const ops = new Map()
    const next = { ...this.state, objects: new Map(this.state.objects), edges: new Map(this.state.edges) }
    for (const [ref, entity] of draft) {
      const [kind, id] = ref.split('/')
      const map = kind === 'objects' ? next.objects : next.edges
      ops.set(
        ref,
        patch.filter((p) => p.path.startsWith(`/${ref}/`)).map((p) => relative(p, ref.length + 1)),
      )
      if (entity) map.set(id, { ...entity, meta: { version, updatedBy: by } })
      else map.delete(id)
    }
    for (const [id, e] of next.edges) {
      if (next.objects.has(e.from) && next.objects.has(e.to)) continue
      next.edges.delete(id)
      ops.set(`edges/${id}`, [])
    }
    this.states.push(next)
    this.log.push({ version, mutation, by, ops, patch })
    this.applied.set(mutation, version)
    for (const s of this.sessions) s.wake()
    return { version }
  }

  /** @param {import('../src/mutation.js').RefStep} step @param {string | undefined} user */
  #readable({ ref }, user) {
    const e = this.entity(ref)
    const ends = ref.startsWith('objects/') ? [ref.slice(8)] : [e?.from, e?.to]
    return !ends.some((id) => this.state.denied.has(`${user} ${id}`))
  }

  /** An index into an array whose elements others have moved since is refused. @param {import('../src/mutation.js').RefStep} s @param {number} base @param {string} by */
  #unmoved({ ref, step }, base, by) {
    const [kind, id] = ref.split('/')
    const at = (/** @type {number} */ v) => this.states[v][/** @type {'objects'} */ (kind)].get(id)
    for (const path of [step.path, step.from]) {
      path.forEach((token, i) => {
        if (!/^[0-9]+$/.test(token)) return
        const array = path.slice(0, i)
        for (let v = base + 1; v <= this.head; v++) {
          const { by: author, patch } = this.log[v - 1]
          if (author === by) continue
          const [before, after] = [at(v - 1), at(v)].map((e) => lookup(e, array))
          if (!Array.isArray(before) || !Array.isArray(after)) continue
          if (before.length !== after.length || moves(patch, `/${ref}${formatPointer(array)}`, before, after, token))
            throw fault('test-failed', `/${ref}${formatPointer(path)}`)
        }
      })
    }
  }

  /** Takes the right to read an object from a user, or gives it back. @param {string} user @param {string} id @param {boolean} denied */
  deny(user, id, denied) {
    const was = this.state.objects.get(id)
    if (!was) return
    const version = this.head + 1
    const next = { ...this.state, objects: new Map(this.state.objects), denied: new Set(this.state.denied) }
    if (denied) next.denied.add(`${user} ${id}`)
    else next.denied.delete(`${user} ${id}`)
    next.objects.set(id, { ...was, meta: { ...was.meta, version } })
    this.states.push(next)
    this.log.push({
      version,
      mutation: `rights ${version}`,
      by: 'admin',
      ops: new Map([[`objects/${id}`, []]]),
      patch: [],
    })
    for (const s of this.sessions) s.wake()
  }

  /** Loses the last commits, as a restore from a backup does. @param {number} version */
  restore(version) {
    this.states.length = version + 1
    this.log.length = version
    for (const [id, v] of this.applied) if (v > version) this.applied.delete(id)
    this.epoch = `e${++this.epochs}`
    for (const s of [...this.sessions]) {
      s.gone()
      s.peer.close(4503)
    }
  }

  /** @param {any} peer */
  accept(peer) {
    const s = new FakeSession(this, peer)
    return s
  }
}

class FakeSession {
  /** @param {FakeServer} server @param {any} peer */
  constructor(server, peer) {
    this.server = server
    this.peer = peer
    this.open = true
    this.welcomed = false
    /** @type {Map<string, {sub: string, projection: any, view: string, version: number, held: any}>} */
    this.views = new Map()
    /** @type {any[]} */
    this.answers = []
    this.waking = false
  }

  gone() {
    this.open = false
    const { server } = this
    server.sessions.delete(this)
    for (const [on, here] of server.present) {
      if (!here.delete(String(this.session))) continue
      for (const s of server.sessions) s.#write([{ t: 'presence', on, sessions: { [String(this.session)]: null } }])
    }
  }

  /** @param {string} text */
  receive(text) {
    if (!this.open) return
    const m = JSON.parse(text)
    this.server.heard.push(m)
    if (this.server.mute && m.t !== 'hello') return
    const { server } = this
    switch (m.t) {
      case 'hello':
        if (m.token === 'bad') return this.peer.close(4401)
        this.session = m.session
        this.user = m.token ?? 'dev'
        server.sessions.add(this)
        this.#write([
          {
            t: 'welcome',
            graph: 'main',
            epoch: server.epoch,
            version: server.head,
            user: { id: m.token ?? 'dev' },
            schema: 1,
            limits: { messageBytes: 100_000 },
            applied: Object.fromEntries(
              m.pending
                .filter((/** @type {string} */ p) => server.applied.has(p))
                .map((/** @type {string} */ p) => [p, server.applied.get(p)]),
            ),
            expiresAt: server.options.expiresAt?.() ?? null,
          },
        ])
        for (const [on, here] of server.present)
          this.#write([{ t: 'presence', on, sessions: Object.fromEntries(here) }])
        return
      case 'sub':
        return this.#subscribe(m)
      case 'unsub':
        this.flush()
        this.views.delete(m.sub)
        return
      case 'mutate': {
        const { version, problem } = server.commit(m.patch, this.session ?? '', m.mutation, m.base, this.user)
        // Answers wait their turn behind the deltas of their version.
        this.answers.push(
          problem ? { t: 'reject', mutation: m.mutation, problem } : { t: 'ack', mutation: m.mutation, version },
        )
        this.wake()
        return
      }
      case 'can':
        this.#write([
          {
            t: 'can',
            objects: Object.fromEntries(m.objects.map((/** @type {string} */ id) => [id, ['read', 'write']])),
          },
        ])
        return
      case 'presence': {
        const here = server.present.get(m.on) ?? new Map()
        server.present.set(m.on, here)
        const who = m.state && { user: this.user, state: m.state }
        if (who) here.set(this.session, who)
        else here.delete(String(this.session))
        for (const s of server.sessions)
          s.#write([{ t: 'presence', on: m.on, sessions: { [String(this.session)]: who } }])
        return
      }
      case 'ping':
        this.flush()
        this.#write([this.#at()])
    }
  }

  #at() {
    const { server } = this
    /** @type {Record<string, number>} */
    const digests = {}
    for (const v of this.views.values()) digests[v.view] = digestOf(v.held)
    return { t: 'at', version: server.head, digests }
  }

  /** @param {any} m */
  #subscribe(m) {
    const { server } = this
    this.flush()
    const version = m.at ?? server.head
    const state = server.states[version]
    const projection = m.projection ?? { root: m.args.id } // the one that it has by name
    const now = evaluate(projection, state, this.user)
    if (typeof projection.root === 'string' && !now.roots.length) {
      this.#write([{ t: 'error', sub: m.sub, problem: { code: 'not-found', title: 'Not found' } }])
      return
    }
    const view = { sub: m.sub, projection, view: `v${++server.viewCount}`, version, held: now }
    if (m.at === undefined) this.views.set(m.sub, view)
    const resume = m.since !== undefined && m.epoch === server.epoch && m.key === 'k'
    const body = resume
      ? difference(server, evaluate(projection, server.states[m.since], this.user), now, m.since)
      : wholes(now)
    const reset = m.since !== undefined && !resume ? { reset: true } : {}
    this.#frames({ t: 'load', sub: m.sub, view: view.view, key: 'k', ...reset, version }, body, {
      roots: now.roots,
      digest: digestOf(now),
    })
  }

  wake() {
    if (this.waking || this.server.hold) return
    this.waking = true
    this.server.sim.after(this.server.options.flushDelay?.() ?? 0, () => {
      this.waking = false
      if (this.open) this.flush()
    })
  }

  /** Everything up to the head, then the answers: in one message, or several. */
  flush() {
    const { server } = this
    const { sim, options } = server
    for (const v of this.views.values()) {
      if (v.version === server.head) continue
      const before = v.held
      const now = evaluate(v.projection, server.state, this.user)
      v.held = now
      let body = difference(server, before, now, v.version)
      const mutations = server.log.slice(v.version).map((c) => c.mutation)
      const roots = before.roots.join() === now.roots.join() ? {} : { roots: now.roots }
      const touched = Object.keys(body.objects).length + Object.keys(body.edges).length
      v.version = server.head
      if (sim.chance(options.lose ?? 0)) {
        const [_, ...kept] = Object.entries(body.objects)
        body = { objects: Object.fromEntries(kept), edges: body.edges }
      }
      if (sim.chance(options.part ?? 0)) {
        v.view = `v${++server.viewCount}`
        this.#frames({ t: 'load', sub: v.sub, view: v.view, key: 'k', version: server.head, mutations }, body, {
          roots: now.roots,
          digest: digestOf(now),
        })
      } else if (touched || 'roots' in roots) {
        const tail = { mutations, ...roots }
        for (let n = sim.chance(options.again ?? 0) ? 2 : 1; n > 0; n--)
          this.#frames({ t: 'delta', view: v.view, version: server.head, at: '', by: '' }, body, tail)
      }
    }
    if (options.apart) this.#send()
    this.#write(this.answers)
    this.answers = []
    this.#send()
  }

  /** @param {any} head @param {Body} body @param {any} tail */
  #frames(head, body, tail) {
    const { sim, options } = this.server
    let rest = body
    for (let ids = Object.keys(body.objects); ids.length > 1 && sim.chance(options.split ?? 0); ) {
      const id = /** @type {string} */ (ids.shift())
      this.#write([{ ...head, objects: { [id]: body.objects[id] }, edges: {}, done: false }])
      this.#send() // in a message of its own
      rest = { objects: Object.fromEntries(ids.map((i) => [i, body.objects[i]])), edges: body.edges }
    }
    this.#write([`${JSON.stringify({ ...head, ...tail, done: true }).slice(0, -1)},${textOf(rest).slice(1)}`])
  }

  /** Messages, or their texts. @type {any[]} */
  outbox = []

  /** @param {any[]} messages */
  #write(messages) {
    this.outbox.push(...messages)
    if (this.outbox.length && !this.sending) {
      this.sending = true
      queueMicrotask(() => {
        this.sending = false
        this.#send()
      })
    }
  }

  #send() {
    if (!this.open || this.outbox.length === 0) return
    this.peer.send(this.outbox.map((m) => (typeof m === 'string' ? m : JSON.stringify(m))).join('\n'))
    this.outbox = []
  }
}

/** @param {any} op @param {number} n */
const relative = (op, n) => ({
  ...op,
  path: op.path.slice(n),
  ...(op.from === undefined ? {} : { from: op.from.slice(n) }),
})

/** @param {number} status @param {any} body */
const json = (status, body) => /** @type {any} */ ({ ok: status < 400, status, json: async () => copy(body) })

/** @typedef {{objects: Record<string, any>, edges: Record<string, any>}} Body of a load or a delta; not changed once it is made */
/** @typedef {{objects: Map<string, any>, edges: Map<string, any>, roots: string[], digest?: number, body?: Body, since?: Map<any, Body>}} Shown what a view shows of a state, and what is said of it */

/** All of it. @param {Shown} now @returns {Body} */
const wholes = (now) =>
  (now.body ??= { objects: Object.fromEntries(now.objects), edges: Object.fromEntries(now.edges) })

/**
 * What has changed: the same for all who saw the same.
 * @param {FakeServer} server @param {Shown} before @param {Shown} now @param {number} since @returns {Body}
 */
function difference(server, before, now, since) {
  now.since ??= new Map()
  let body = now.since.get(before)
  if (!body) now.since.set(before, (body = compare(server, before, now, since)))
  return body
}

/** @param {FakeServer} server @param {Shown} before @param {Shown} now @param {number} since @returns {Body} */
function compare(server, before, now, since) {
  /** @type {any} */
  const out = { objects: {}, edges: {} }
  for (const kind of /** @type {const} */ (['objects', 'edges'])) {
    for (const [id, e] of now[kind]) {
      const was = before[kind].get(id)
      if (!was) out[kind][id] = { enter: e }
      else if (was.meta.version !== e.meta.version) {
        const patch = server.log.slice(since).flatMap((c) => c.ops.get(`${kind}/${id}`) ?? [])
        out[kind][id] = { version: e.meta.version, was: was.meta.version, patch, meta: e.meta }
      }
    }
    for (const id of before[kind].keys()) {
      if (!now[kind].has(id)) out[kind][id] = { leave: server.state[kind].has(id) ? 'forbidden' : 'deleted' }
    }
  }
  return out
}

/** @param {{objects: Map<string, any>, edges: Map<string, any>, digest?: number}} view */
export function digestOf(view) {
  if (view.digest !== undefined) return view.digest
  let sum = 0
  for (const map of [view.objects, view.edges])
    for (const [id, e] of map) sum = (sum + entityHash(id, e.meta.version)) >>> 0
  return (view.digest = sum)
}

/**
 * What was computed of a state, by projection and user: states never change.
 * @type {WeakMap<State, Map<string, Shown>>}
 */
const shows = new WeakMap()

/**
 * What a projection shows of a state.
 * @param {any} projection @param {State} state @param {string} [user]
 */
export function evaluate(projection, state, user) {
  let known = shows.get(state)
  if (!known) shows.set(state, (known = new Map()))
  // To whom nothing is denied, all are alike.
  const key = `${state.denied.size ? user : ''} ${textOf(projection)}`
  let shown = known.get(key)
  if (!shown) known.set(key, (shown = show(projection, state, user)))
  return shown
}

/** @param {any} projection @param {State} state @param {string} [user] */
function show(projection, state, user) {
  const seen = (/** @type {string} */ id) => state.objects.has(id) && !state.denied.has(`${user} ${id}`)
  const objects = new Map()
  const edges = new Map()
  /** @type {string[]} */
  let roots
  if (isRecord(projection.root)) {
    const found = [...state.objects].filter(
      ([i, o]) => seen(i) && o.type === projection.root.type && matches(projection.root.where, o),
    )
    roots = window(found, projection.root, (o) => sortValues(parseOrder(projection.root.order), o, undefined)).map(
      ([id]) => id,
    )
  } else roots = [projection.root].flat().filter(seen)
  const walk = (/** @type {string} */ id, /** @type {any} */ node) => {
    objects.set(id, state.objects.get(id))
    for (const [dir, steps] of [
      ['>', node.out ?? {}],
      ['<', node.in ?? {}],
    ]) {
      for (const label of Object.keys(steps)) {
        const step = steps[label]
        const found = [...state.edges].filter(
          ([, e]) =>
            e.label === label &&
            (dir === '>' ? e.from : e.to) === id &&
            seen(dir === '>' ? e.to : e.from) &&
            matches(step.where, state.objects.get(dir === '>' ? e.to : e.from)),
        )
        for (const [edgeId, e] of window(found, step, (x) =>
          sortValues(parseOrder(step.order), state.objects.get(dir === '>' ? x.to : x.from), x),
        )) {
          edges.set(edgeId, e)
          walk(dir === '>' ? e.to : e.from, step)
        }
      }
    }
  }
  for (const id of roots) walk(id, projection)
  return { objects, edges, roots }
}

/** @param {string} code @param {string} path */
const fault = (code, path) => Object.assign(new Error(code), { code, path })

/**
 * Whether a patch moves elements of an array that is as long as it was; where it
 * sets the array anew, whether the one at an index stands elsewhere now.
 * @param {any[]} patch @param {string} array @param {any[]} before @param {any[]} after @param {string} index
 */
function moves(patch, array, before, after, index) {
  const element = (/** @type {string} */ path = '') => path.slice(0, path.lastIndexOf('/')) === array
  if (patch.some((op) => op.op !== 'test' && op.op !== 'replace' && (element(op.path) || element(op.from)))) return true
  const mine = before[Number(index)]
  return !equal(mine, after[Number(index)]) && after.some((other) => equal(mine, other))
}

/** @param {any} doc @param {string[]} path */
const lookup = (doc, path) => path.reduce((d, t) => (d !== null && typeof d === 'object' ? d[t] : undefined), doc)

/** @param {[string, any][]} found @param {any} list @param {(e: any) => any[]} values */
function window(found, list, values) {
  const order = parseOrder(list.order)
  const tie = (/** @type {[string, any]} */ [id, e]) => e.from ?? id
  found.sort((a, b) => compareBy(order, values(a[1]), values(b[1])) || compareStrings(tie(a), tie(b)))
  return list.limit ? found.slice(0, list.limit) : found
}
