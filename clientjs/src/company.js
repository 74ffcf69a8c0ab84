/**
 * Who is where, as the tabs behind one connection are told. Each tab is somebody
 * of its own to the others of its browser; to the server, and so to everybody
 * else, they are one session that does what the tab did that spoke last.
 */

/** @typedef {import('./hub.js').Peer} Peer */
/** @typedef {{t: 'presence', on: string, sessions: Record<string, {user: string, state: any} | null>}} Told */

export class Company {
  /** @param {() => string} user whose tabs these are */
  constructor(user) {
    this.user = user
    /** The tabs on each object, the last to speak last. @type {Map<string, Map<Peer, any>>} */
    this.tabs = new Map()
    /** What the server told of other sessions. @type {Map<string, Map<string, any>>} */
    this.others = new Map()
  }

  /**
   * A tab does something on an object, or (null) leaves it.
   * @param {Peer} peer @param {string} on @param {any} state
   * @returns {Told} what the other tabs are to hear
   */
  set(peer, on, state) {
    put(this.tabs, on, peer, null)
    put(this.tabs, on, peer, state)
    return this.#told(on, [[peer, state]])
  }

  /** What the server is to be told of an object: null once no tab is there. @param {string} on */
  shown(on) {
    return [...(this.tabs.get(on)?.values() ?? [])].at(-1) ?? null
  }

  /** Where a tab is. @param {Peer} peer @returns {string[]} */
  objectsOf(peer) {
    return [...this.tabs].flatMap(([on, here]) => (here.has(peer) ? [on] : []))
  }

  /**
   * The server tells of others. (It also says that they left when no tab has the
   * object in a view any more, so what is kept here is never older than that.)
   * @param {string} on @param {Record<string, any>} sessions
   */
  heard(on, sessions) {
    for (const session of Object.keys(sessions)) put(this.others, on, session, sessions[session])
  }

  /** All of it, for a tab that joins. @returns {Told[]} */
  around() {
    return [
      ...[...this.others].map(([on, here]) => ({
        t: /** @type {const} */ ('presence'),
        on,
        sessions: Object.fromEntries(here),
      })),
      ...[...this.tabs].map(([on, here]) => this.#told(on, here)),
    ]
  }

  /** @param {string} on @param {Iterable<[Peer, any]>} here @returns {Told} */
  #told(on, here) {
    const who = (/** @type {any} */ state) => (state === null ? null : { user: this.user(), state })
    return { t: 'presence', on, sessions: Object.fromEntries([...here].map(([p, s]) => [p.hello.session, who(s)])) }
  }
}

/**
 * Notes a value, or (null) forgets it, and leaves no empty map behind.
 * @template K
 * @param {Map<string, Map<K, any>>} maps @param {string} on @param {K} key @param {any} value
 */
function put(maps, on, key, value) {
  const here = maps.get(on) ?? new Map()
  if (value === null || value === undefined) here.delete(key)
  else here.set(key, value)
  if (here.size) maps.set(on, here)
  else maps.delete(on)
}
