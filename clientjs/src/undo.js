/**
 * Undo and redo of this client's own transactions. Each is a new commit that the
 * server makes (`revert`): the inverse of what the transaction really did, with
 * cascades, guarded so that it tramples on nothing that others have changed
 * since, and it says what that is. The commits of one undo are joined to a group.
 *
 * What this client can foresee of that commit is shown at once, on top of what is
 * pending, until the commit itself is here or the server has refused it.
 *
 *     done ──undo──► doing (shown) ──committed──► undone ──redo──► …
 *       ▲                └── refused: shown no more, can be tried again
 *       └────────────────────┘
 */

import { inverseOf } from './inverse.js'
import { compileGraphOp, Mutation } from './mutation.js'
import { PatchError } from './patch.js'
import { Problem } from './protocol.js'
import { uuidv7 } from './uuid.js'

/** @typedef {import('./patch.js').PatchOp} PatchOp */
/**
 * One step of undo: the commits to take back, and what that will look like.
 * @typedef {object} Step
 * @property {string} [group]
 * @property {number[]} versions
 * @property {string[]} [waiting] transactions of it that the server has not answered yet
 * @property {PatchOp[]} [inverse]
 * @property {PatchOp[]} [unsent] what was taken back before it was sent: it is written again
 * @property {string} [note] of that
 * @property {boolean} [refused] the server has said that it cannot be done
 */
/** @typedef {{key: string, group: string, from: 'done' | 'undone', step: Step, writes?: number, seq?: number}} Act a step under way; the key makes it happen once, writes is what had been written when it began, seq its place among what an earlier page left */

/** How many steps are remembered. */
const DEPTH = 200
const LONGEST_WAIT = 15_000

export class History {
  /** @param {import('./client.js').Client} client */
  constructor(client) {
    this.client = client
    const { done = [], undone = [], doing = [] } = client.writing?.kept ?? {}
    /** @type {Step[]} */
    this.done = done
    /** @type {Step[]} */
    this.undone = undone
    /** @type {Act[]} */
    this.doing = []
    /** Undo and redo run one after the other. @type {Promise<any>} */
    this.queue = Promise.resolve()
    /** Why nothing can be undone any more. @type {Problem | null} */
    this.closed = null
    /** Rejects then. @type {Promise<any>} */
    this.ending = new Promise((_, reject) => {
      this.end = reject
    })
    this.ending.catch(() => {})
    /** Ends the pause between two tries. */
    this.wake = () => {}
    /** How often something was written that is no redo. */
    this.writes = 0
    /** What is written now brings back what was taken back unsent. */
    this.again = false
    // What an earlier page began is brought to its end.
    for (const act of doing) this.#begin(act, true).catch((err) => this.#tell(err))
  }

  /** Nobody holds the promise of what an earlier page began: the first who listens learns how it failed. @param {any} err */
  #tell(err) {
    const { events } = this.client
    if (this.closed) return
    if (events.listeners.get('problem')?.size) {
      events.emit('problem', err)
      return
    }
    console.warn(`graphtide: an undo was refused: ${err.message}`)
    const { on } = events
    events.on = (name, fn) => {
      const stop = on.call(events, name, fn)
      if (name === 'problem') {
        events.on = on
        queueMicrotask(() => this.#tell(err))
      }
      return stop
    }
  }

  /** Something was written: what was undone before cannot be brought back on top of it. */
  wrote() {
    if (this.again) return
    this.writes++
    this.undone = []
  }

  /**
   * @param {{skip?: boolean}} [options] skip: steps that were refused are let go
   * @returns {Promise<number | undefined>} the version of the undoing commit; undefined if there is nothing to undo
   */
  async undo({ skip } = {}) {
    if (this.#under('undone')) await this.#ended('undone')
    this.client.writing?.transactions.seal()
    this.#catchUp()
    if (skip) pass(this.done)
    if (this.#withdraw()) return this.client.version
    return this.#take('done', this.#unanswered() ?? this.done.pop())
  }

  /** @param {{skip?: boolean}} [options] @returns {Promise<number | undefined>} */
  async redo({ skip } = {}) {
    if (this.#under('done')) await this.#ended('done')
    this.client.writing?.transactions.seal()
    this.#catchUp()
    if (skip) pass(this.undone)
    const step = this.undone.pop()
    return step?.unsent ? this.#write(step, step.unsent) : this.#take('undone', step)
  }

  // What can be undone --------------------------------------------------------------

  /** Takes up what was committed since. */
  #catchUp() {
    for (const { version, group, mutation, inverse } of this.client.writing?.journal.splice(0) ?? []) {
      const act = this.#undoing(mutation)
      const last = this.done.at(-1)
      if (act) {
        act.step.versions.push(version)
        act.step.waiting = act.step.waiting?.filter((id) => id !== mutation)
        continue
      }
      if (group !== undefined && last?.group === group) {
        last.versions.push(version)
        last.inverse = last.inverse && inverse && [...inverse, ...last.inverse]
      } else this.done.push({ group, versions: [version], inverse })
    }
    this.done = this.done.slice(-DEPTH)
  }

  /** What is being undone though the server has not answered it. @param {string} mutation */
  #undoing(mutation) {
    return this.doing.find((act) => act.step.waiting?.includes(mutation))
  }

  /** Transactions on their way that could be undone. */
  #free() {
    return (this.client.writing?.all() ?? []).filter((m) => m.undoable && !this.#undoing(m.id))
  }

  /** The newest step, if it is still on its way. @returns {Step | undefined} */
  #unanswered() {
    const free = this.#free()
    const group = free.at(-1)?.group
    const mine = group === undefined ? free.slice(-1) : free.filter((m) => m.group === group)
    if (mine.length === 0) return undefined
    const begun = group !== undefined && this.done.at(-1)?.group === group ? this.done.pop() : undefined
    const parts = [begun?.inverse ?? (begun ? undefined : []), ...mine.map(inverseOf)]
    return {
      group,
      versions: begun?.versions ?? [],
      waiting: mine.map((m) => m.id),
      inverse: parts.every((p) => p) ? parts.reverse().flatMap((p) => p ?? []) : undefined,
    }
  }

  /** What has not been sent yet, with its whole group, is simply taken back. */
  #withdraw() {
    const { writing } = this.client
    const last = writing?.all().at(-1)
    if (!writing || !last?.undoable) return false
    const { group } = last
    const mine = group === undefined ? [last] : writing.all().filter((m) => m.group === group)
    // Of a group that is partly sent all is undone by the server.
    if (group !== undefined && this.done.at(-1)?.group === group) return false
    if (mine.some((m) => m.wire || !writing.pending.waiting.includes(m))) return false
    for (const m of mine.toReversed()) writing.outgoing.withdraw(m)
    this.undone.push({ group, versions: [], unsent: mine.flatMap((m) => m.ops), note: last.note })
    this.client.events.emit('undoing')
    return true
  }

  /** Writes again what was taken back unsent. @param {Step} step @param {PatchOp[]} ops */
  #write(step, ops) {
    const { transactions } = /** @type {import('./writing.js').Writing} */ (this.client.writing)
    const { group, note } = step
    let applies = false
    this.again = true
    const written = transactions.transact(
      () => {
        transactions.write(ops)
        applies = true
      },
      { group, note },
    )
    this.again = false
    if (!applies) this.undone.push({ ...step, refused: true }) // others have changed what it is written on
    return written
  }

  /** @param {'done' | 'undone'} from */
  #under(from) {
    return !this.closed && this.doing.some((act) => act.from === from)
  }

  /** The other way round from what is under way: that is brought to its end first. @param {'done' | 'undone'} from */
  async #ended(from) {
    while (this.#under(from)) await this.queue
  }

  // Doing it ------------------------------------------------------------------------

  /** @param {'done'|'undone'} from @param {Step | undefined} step @returns {Promise<number | undefined>} */
  async #take(from, step) {
    if (!step) return undefined
    delete step.refused
    return this.#begin({ key: uuidv7(), group: step.group ?? uuidv7(), from, step })
  }

  /** Shows it, and does it when its turn comes. @param {Act} act @param {boolean} [resumed] @returns {Promise<number>} */
  #begin(act, resumed = false) {
    act.writes = this.writes
    this.doing.push(act)
    const shown = this.#show(act, resumed)
    this.client.events.emit('undoing')
    const run = this.queue.then(() => this.#do(act, shown))
    this.queue = run.catch(() => {})
    return run
  }

  /**
   * Shows what is going to happen, where it can be foreseen.
   * @param {Act} act
   * @param {boolean} resumed what it is about may not be loaded yet
   * @returns {Mutation | undefined}
   */
  #show({ key, step, seq }, resumed) {
    const { writing, store } = this.client
    if (!writing || !step.inverse?.length) return undefined
    const { layers } = writing
    const shown = new Mutation(key, seq ?? ++writing.transactions.seq, { undoable: false })
    if (!resumed) {
      try {
        layers.write(shown, step.inverse)
      } catch (err) {
        if (!(err instanceof PatchError)) throw err
        return undefined // others have changed it: the server says what
      }
    } else {
      // Below what an earlier page wrote on it.
      shown.push(step.inverse.map(compileGraphOp), step.inverse, () => undefined)
      layers.add(shown, shown.refs)
      store.batch(() => {
        for (const ref of shown.refs) store.dirty.add(ref)
      })
    }
    writing.pending.foreseen.set(key, { mutation: shown, version: undefined })
    return shown
  }

  /** @param {Act} act @param {Mutation | undefined} shown */
  async #do(act, shown) {
    const { client } = this
    const { from, step } = act
    try {
      await this.#answered(step)
      if (step.versions.length === 0) {
        // Its transactions were refused: there is nothing left to take back.
        this.#over(act, undefined)
        return client.version
      }
      const version = await this.#revert(act)
      const back = shown && inverseOf(shown)
      const other = { group: step.group, versions: [version], inverse: back }
      if (from === 'undone') this.done.push(other)
      else if (act.writes === this.writes) this.undone.push(other)
      this.#over(act, version)
      client.events.emit('undo', { [from === 'done' ? 'undone' : 'redone']: step.versions, version })
      return version
    } catch (err) {
      this.#over(act, undefined)
      // Refused: it can be tried again, in its place.
      const newest = (/** @type {Step} */ s) => s.versions.at(-1) ?? 0
      const at = this[from].findLastIndex((s) => newest(s) <= newest(step) || !newest(step))
      step.refused = true
      this[from].splice(at + 1, 0, step)
      client.events.emit('undoing')
      if (err instanceof Problem && err.code === 'undo-conflict') throw this.#explained(err)
      throw err
    }
  }

  /** It is done, or will not be. @param {Act} act @param {number | undefined} version */
  #over(act, version) {
    this.doing = this.doing.filter((a) => a !== act)
    this.client.writing?.outgoing.foresaw(act.key, version)
  }

  /** Waits for what the server has not answered. @param {Step} step */
  async #answered(step) {
    const { writing } = this.client
    const own = (writing?.all() ?? []).filter((m) => step.waiting?.includes(m.id))
    await Promise.allSettled(own.map((m) => m.settled.promise))
    this.#catchUp()
    delete step.waiting
    if (this.closed) throw this.closed
  }

  /** Over a line that may fail, as often as it takes. @param {Act} act @returns {Promise<number>} */
  async #revert({ key, group, step }) {
    const { http } = this.client
    const headers = { 'Idempotency-Key': key, 'Graphtide-Group': group }
    for (let attempt = 1; ; attempt++) {
      if (this.closed) throw this.closed
      try {
        const path = `/v1/graphs/${http.graph}/revert`
        const answer = http.request(path, { method: 'POST', body: { versions: step.versions }, headers })
        return (await Promise.race([answer, this.ending])).version
      } catch (err) {
        if (this.closed || !(err instanceof Problem && err.transient)) throw err
        await this.#pause(err.problem.retryAfterMs ?? Math.min(LONGEST_WAIT, 250 * 2 ** attempt))
      }
    }
  }

  /** Until it is worth trying again: later, or once the line is back. @param {number} ms @returns {Promise<void>} */
  #pause(ms) {
    const { client } = this
    const { clock } = client.connection
    return new Promise((resolve) => {
      const stop = client.on('status', (status) => status === 'live' && this.wake())
      const timer = clock.setTimeout(() => this.wake(), ms)
      this.wake = () => {
        stop()
        clock.clearTimeout(timer)
        resolve()
      }
    })
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

  /** The client is closed, or the server has ended it: what is under way is not waited for. @param {Problem} [reason] */
  close(reason = new Problem({ code: 'closed', detail: 'the client was closed before it was undone' })) {
    this.closed ??= reason
    this.end?.(reason)
    this.wake()
  }
}

/** Lets go of the last steps that were refused. @param {Step[]} steps */
function pass(steps) {
  while (steps.at(-1)?.refused) steps.pop()
}
