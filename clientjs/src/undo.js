/**
 * Undo and redo of this client's own transactions. Each is a new commit that the
 * server makes (`revert`): the inverse of what the transaction really did, with
 * cascades, guarded so that it tramples on nothing that others have changed
 * since, and it says what that is. The commits of one undo are joined to a group.
 */

import { Problem } from './protocol.js'
import { uuidv7 } from './uuid.js'

/** @typedef {{group?: string, versions: number[]}} Step */

/** How many steps are remembered. */
const DEPTH = 200

export class History {
  /** @param {import('./client.js').Client} client */
  constructor(client) {
    this.client = client
    const { done = [], undone = [] } = client.writing?.kept ?? {}
    /** @type {Step[]} */
    this.done = done
    /** @type {Step[]} */
    this.undone = undone
    /** Undo and redo run one after the other. @type {Promise<any>} */
    this.queue = Promise.resolve()
  }

  /** Takes up what was committed since. */
  #catchUp() {
    for (const { version, group } of this.client.writing?.journal.splice(0) ?? []) {
      const last = this.done.at(-1)
      if (group !== undefined && last?.group === group) last.versions.push(version)
      else this.done.push({ group, versions: [version] })
      this.undone = []
    }
    this.done = this.done.slice(-DEPTH)
  }

  /** @returns {Promise<number | undefined>} the version of the undoing commit; undefined if there is nothing to undo */
  undo() {
    return this.#next(async () => {
      const withdrawn = this.#withdraw()
      if (withdrawn) return this.client.version
      await this.client.settled()
      this.#catchUp()
      return this.#step('done', 'undone')
    })
  }

  /** @returns {Promise<number | undefined>} */
  redo() {
    return this.#next(async () => {
      await this.client.settled()
      this.#catchUp()
      return this.#step('undone', 'done')
    })
  }

  /** What has not been sent yet is simply taken back. */
  #withdraw() {
    const { writing } = this.client
    writing?.transactions.seal()
    const last = writing?.all().at(-1)
    if (!writing || !last?.undoable || !writing.outgoing.withdraw(last)) return false
    for (let m = writing.all().at(-1); m && last.group && m.group === last.group; m = writing.all().at(-1))
      if (!writing.outgoing.withdraw(m)) break
    return true
  }

  /** @template T @param {() => Promise<T>} fn @returns {Promise<T>} */
  #next(fn) {
    const run = this.queue.then(fn)
    this.queue = run.catch(() => {})
    return run
  }

  /** @param {'done'|'undone'} from @param {'done'|'undone'} to */
  async #step(from, to) {
    const step = this[from].pop()
    if (!step) return undefined
    const group = step.group ?? uuidv7()
    try {
      const version = await this.#revert(step.versions, group)
      this[to].push({ group: step.group, versions: [version] })
      this.client.events.emit('undo', { [from === 'done' ? 'undone' : 'redone']: step.versions, version })
      return version
    } catch (err) {
      this[from].push(step) // refused: it can be tried again
      if (err instanceof Problem && err.code === 'undo-conflict') throw this.#explained(err)
      throw err
    }
  }

  /** Over a line that may fail: the key makes it happen once. @param {number[]} versions @param {string} group @returns {Promise<number>} */
  async #revert(versions, group) {
    const { http, connection } = this.client
    const headers = { 'Idempotency-Key': uuidv7(), 'Graphtide-Group': group }
    for (let attempt = 1; ; attempt++) {
      try {
        const path = `/v1/graphs/${http.graph}/revert`
        return (await http.request(path, { method: 'POST', body: { versions }, headers })).version
      } catch (err) {
        if (!(err instanceof Problem && err.transient) || attempt === 5) throw err
        const ms = err.problem.retryAfterMs ?? 250 * 2 ** attempt
        await new Promise((resolve) => connection.clock.setTimeout(() => resolve(undefined), ms))
      }
    }
  }

  /** Says what conflicts: the objects as they are now, and who changed them. @param {Problem} problem */
  #explained(problem) {
    const conflicts = (problem.problem.conflicts ?? []).map((/** @type {{path: string, version: number}} */ c) => {
      const [, kind, id] = c.path.split('/')
      const entity = this.client.store.shown.get(`${kind}/${id}`)
      const object = entity && (kind === 'objects' ? this.client.objects.object(id) : this.client.objects.edge(id))
      return { ...c, object, by: entity?.meta.version === c.version ? entity?.meta.updatedBy : undefined }
    })
    return Object.assign(problem, { conflicts })
  }
}
