/**
 * Who is where: the rights this user holds on objects, and what other sessions
 * do there. Both are asked for as they are read, and told by the server.
 */

const NOBODY = Object.freeze(/** @type {any[]} */ ([]))

export class Presence {
  /**
   * @param {import('./store.js').Store} store
   * @param {{send: (message: object) => boolean}} connection
   * @param {string} session
   */
  constructor(store, connection, session) {
    this.store = store
    this.send = (/** @type {object} */ message) => connection.send(message)
    this.session = session
    /** What this session shows, to be said again after a reconnect. @type {Map<string, any>} */
    this.own = new Map()
    /** @type {Map<string, Map<string, {user: string, state: any}>>} */
    this.others = new Map()
    /** @type {Map<string, readonly any[]>} */
    this.lists = new Map()
    /** @type {Map<string, Set<string>>} */
    this.rights = new Map()
    /** Who waits for an answer. @type {Map<string, ((rights: Set<string>) => void)[]>} */
    this.asked = new Map()
    /** Ids of the questions under way: answers come in their order. @type {string[][]} */
    this.questions = []
    this.asking = false
  }

  /** @param {string} id @param {any} state null leaves */
  set(id, state) {
    if (state === null || state === undefined) this.own.delete(id)
    else this.own.set(id, state)
    this.send({ t: 'presence', on: id, state: state ?? null })
  }

  /** The other sessions on an object: `[{session, user, state}]`. @param {string} id */
  on(id) {
    return /** @type {any[]} */ (this.lists.get(id) ?? NOBODY)
  }

  /** @param {{on: string, sessions: Record<string, {user: string, state: any} | null>}} m */
  heard(m) {
    const here = this.others.get(m.on) ?? new Map()
    for (const session of Object.keys(m.sessions)) {
      if (session === this.session) continue
      const who = m.sessions[session]
      if (who) here.set(session, who)
      else here.delete(session)
    }
    if (here.size) {
      this.others.set(m.on, here)
      this.lists.set(m.on, Object.freeze([...here].map(([session, who]) => ({ session, ...who }))))
    } else {
      this.others.delete(m.on)
      this.lists.delete(m.on)
    }
    this.store.stir(`objects/${m.on}`)
  }

  /** The rights known by now; asks where none are. @param {string} id */
  known(id) {
    if (!this.rights.has(id)) this.ask(id)
    return this.rights.get(id)
  }

  /** @param {string} id @returns {Promise<Set<string>>} */
  ask(id) {
    return new Promise((resolve) => {
      const waiting = this.asked.get(id)
      if (waiting) waiting.push(resolve)
      else this.asked.set(id, [resolve])
      if (this.asking) return
      this.asking = true
      queueMicrotask(() => {
        this.asking = false
        this.#ask()
      })
    })
  }

  #ask() {
    const under = new Set(this.questions.flat())
    const objects = [...this.asked.keys()].filter((id) => !under.has(id))
    if (objects.length && this.send({ t: 'can', objects })) this.questions.push(objects)
  }

  /** @param {Record<string, string[]>} objects */
  told(objects) {
    for (const id of this.questions.shift() ?? []) {
      // Left out of an answer means: no rights that may be spoken of.
      const rights = new Set(Object.hasOwn(objects, id) ? objects[id] : [])
      const waiting = this.asked.get(id) ?? []
      this.asked.delete(id)
      this.rights.set(id, rights)
      for (const resolve of waiting) resolve(rights)
      this.store.stir(`objects/${id}`)
    }
  }

  /** A new connection: nothing that was known need still hold. */
  connected() {
    const ids = new Set([...this.others.keys()])
    this.others.clear()
    this.lists.clear()
    for (const id of ids) this.store.stir(`objects/${id}`)
    for (const [id, state] of this.own) this.send({ t: 'presence', on: id, state })
    this.questions = []
    this.review([...this.rights.keys()].map((id) => `objects/${id}`))
    this.#ask()
  }

  /** The client is closed: nothing is known any more, and whoever waits learns so. */
  close() {
    for (const waiting of this.asked.values()) for (const resolve of waiting) resolve(new Set())
    this.asked.clear()
  }

  /** Rights on these objects may have changed: those in use are asked for again, others forgotten. @param {Iterable<string>} refs */
  review(refs) {
    const { shown, cells } = this.store
    for (const ref of refs) {
      const id = ref.slice(8)
      if (!this.rights.has(id)) continue
      if (shown.has(ref) || cells.byOwner.get(ref)?.has('$can')) void this.ask(id)
      else this.rights.delete(id)
    }
  }
}
