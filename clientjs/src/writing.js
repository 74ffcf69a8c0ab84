/**
 * The writing half of a client: transactions, what is pending, what becomes of it.
 */

import { SELF } from './client.js'
import { clone } from './clone.js'
import { Edits } from './edits.js'
import { inverseOf } from './inverse.js'
import { Keeper } from './keeper.js'
import { Layers } from './layers.js'
import { Outgoing } from './outgoing.js'
import { define } from './patch.js'
import { Pending } from './pending.js'
import { Problem } from './protocol.js'
import { Transactions } from './transact.js'
import { uuidv7 } from './uuid.js'

/** @typedef {import('./mutation.js').Mutation} Mutation */

/** So many commits are remembered until undo takes them up: as many as it has steps. */
const JOURNAL = 200

export class Writing {
  /** @param {import('./client.js').Client} client */
  constructor(client) {
    const { store, wire } = client
    this.client = client
    /** This client's own commits that undo has not taken up yet, oldest first. @type {{version: number, group: string | undefined, mutation: string, inverse: any[] | undefined}[]} */
    this.journal = []
    /** What an earlier page left to undo and redo. @type {{done: any[], undone: any[], doing?: any[]} | null} */
    this.kept = null
    /** @type {Promise<import('./undo.js').History> | undefined} */
    this.undoing = undefined
    /** @type {import('./undo.js').History | undefined} */
    this.undos = undefined
    this.layers = new Layers(store)
    this.pending = new Pending()
    this.keeper = new Keeper(client, this.layers)
    this.outgoing = new Outgoing({
      layers: this.layers,
      pending: this.pending,
      session: wire,
      onCommitted: (m, version) => {
        this.keeper.committed(m, version)
        if (m.undoable) this.journal.push({ version, group: m.group, mutation: m.id, inverse: inverseOf(m) })
        if (this.journal.length > JOURNAL) this.journal.shift()
        client.events.emit('commit', { mutation: m.id, version, patch: m.ops })
      },
      onSettled: () => {
        store.stir(SELF)
        client.events.emit('settled')
      },
      onRefused: (event) => {
        const { problem } = event
        if (!client.events.listeners.get('reject')?.size)
          console.warn(`graphtide: a change was refused: ${problem.message} (${problem.code})`)
        client.events.emit('reject', event)
      },
    })
    this.transactions = new Transactions(
      this.layers,
      (m) => {
        if (m.undoable) this.#wrote()
        this.outgoing.submit(m)
        client.events.emit('submit', { mutation: m.id, patch: m.ops })
        store.stir(SELF)
      },
      () => wire.version,
    )
    this.edits = new Edits(store, () => client.schema, this.transactions)
    wire.outgoing = this.outgoing
    client.on('status', () => this.#moved())
    this.#moved()
  }

  /** Where the server has ended the connection for good, nothing is answered any more, and what waits learns why. */
  #moved() {
    const { transactions, client } = this
    const { state } = client.connection
    if (state.name !== 'closed' || !state.reason || transactions.closed) return
    transactions.seal()
    transactions.closed = state.reason
    // It stays in the list, and is kept where `persist` keeps it.
    for (const m of this.all()) m.settled.reject(state.reason)
    for (const view of [...client.wire.views]) if (!view.loaded && view.state === 'loading') view.fail(state.reason)
    this.undos?.close(state.reason)
  }

  /** What was undone before cannot be brought back on top of what is written now. */
  #wrote() {
    if (this.undos) this.undos.wrote()
    else if (this.kept) this.kept.undone = []
  }

  /** See `Client.create`. @param {string} type @param {Record<string, any>} [body] @param {{id?: string, access?: any}} [options] */
  create(type, body = {}, { id = uuidv7(), access } = {}) {
    const { schema, objects } = this.client
    if (schema.type(type)?.abstract) throw new TypeError(`${type} is abstract: create one of the types that extend it`)
    /** @type {Record<string, any>} */
    const plain = {}
    /** @type {[string, any][]} */
    const edges = []
    for (const key of Object.keys(body)) {
      const edge = schema.edge(type, key)
      if (edge)
        edges.push([key, edge.many ? this.edits.targets(edge, body[key]) : this.edits.targets(edge, body[key])[0]])
      else define(plain, key, body[key])
    }
    const value = Object.freeze({
      type,
      body: clone(plain),
      ...(access === undefined ? {} : { access: clone(access) }),
    })
    this.transactions.write([{ op: 'add', path: `/objects/${id}`, value }])
    const object = objects.object(id)
    for (const [key, target] of edges) object[key] = target
    return object
  }

  /** @param {import('./patch.js').PatchOp[]} ops */
  patch(ops) {
    this.transactions.write(clone(ops))
  }

  /** What `undo` knows, fetched when it is first asked for. @returns {Promise<import('./undo.js').History>} */
  history() {
    const begin = async () => {
      const { History } = this.client.modules.undo ?? (await import('./undo.js'))
      const undos = (this.undos = new History(this.client))
      if (this.transactions.closed) undos.close(this.transactions.closed)
      return undos
    }
    return (this.undoing ??= begin().catch((err) => {
      this.undoing = undefined // the next time it may be there
      throw err
    }))
  }

  /** See `Client.run`. @param {string} name @param {any} params @param {any} target @returns {Promise<import('./operations.js').Operation>} */
  async run(name, params, target) {
    const { start } = this.client.modules.operations ?? (await import('./operations.js'))
    return start(this.client, name, params, target)
  }

  /** The transactions on their way. @returns {Mutation[]} */
  all() {
    return this.pending.all()
  }

  /** The same, as apps see them: with what is written in this turn. */
  list() {
    const { open } = this.transactions
    const all = open?.ops.length ? [...this.all(), open] : this.all()
    return all.map((m) => ({ mutation: m.id, patch: m.ops, note: m.note, group: m.group, shown: !m.hidden }))
  }

  /** Resolves when nothing is pending. */
  async settled() {
    this.transactions.seal()
    await Promise.allSettled(this.all().map((m) => m.settled.promise))
  }

  close() {
    this.keeper.close()
    this.outgoing.close()
    this.undos?.close()
    this.transactions.closed ??= new Problem({ code: 'closed', detail: 'the client is closed' })
    this.client.store.cells.byOwner.clear() // nothing will change any more
  }
}
