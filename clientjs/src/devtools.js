/**
 * A small overlay that shows what a client does: the loaded subgraph as it
 * appears, changes and goes; pending and refused transactions; the messages on
 * the wire; lag; and switches that delay, drop and cut, to see what an app makes
 * of it.
 *
 *     import { devtools } from '@graphtide/client/devtools'
 *     const stop = devtools(db)
 */

/** How many lines each part keeps. */
const LINES = 200
const STYLE = `
:host { all: initial; position: fixed; inset: auto 8px 8px auto; z-index: 2147483647; font: 12px/1.4 ui-monospace, monospace; color: #e5e7eb }
section { width: min(460px, 92vw); max-height: 60vh; display: flex; flex-direction: column; background: #111827; border: 1px solid #374151; border-radius: 8px }
header, nav { display: flex; gap: 8px; align-items: center; padding: 6px 10px; flex-wrap: wrap }
header b { flex: 1 }
button { font: inherit; color: inherit; background: #1f2937; border: 1px solid #4b5563; border-radius: 4px; padding: 1px 8px; cursor: pointer }
button[aria-pressed=true], button[aria-selected=true] { background: #2563eb }
button:focus-visible, [role=tabpanel]:focus-visible { outline: 2px solid #93c5fd }
[role=tabpanel] { overflow: auto; min-height: 0 }
ol { margin: 0; padding: 4px 10px 8px; list-style: none; overflow-wrap: anywhere }
.enter { color: #86efac } .change { color: #fde68a } .leave, .reject { color: #fca5a5 } .out { color: #93c5fd } .in { color: #d1d5db }
[hidden] { display: none }`

/** Colour is not all that tells them apart. */
const SIGNS = { enter: '+', change: '~', leave: '−' }
const TABS = /** @type {const} */ (['graph', 'transactions', 'wire'])

/**
 * The records behind the overlay; useful without a page, too.
 * @param {import('./client.js').Client} db
 */
export function watch(db) {
  const { store, connection } = db
  /** @type {Record<typeof TABS[number], {kind: string, text: string}[]>} */
  const lines = { graph: [], transactions: [], wire: [] }
  /** @type {Set<() => void>} */
  const listeners = new Set()
  /** @type {Map<string, number>} */
  const sentAt = new Map()
  const state = { lag: 0, delay: 0, drop: 0, offline: false }
  const add = (/** @type {typeof TABS[number]} */ tab, /** @type {string} */ kind, /** @type {string} */ text) => {
    lines[tab].push({ kind, text })
    if (lines[tab].length > LINES) lines[tab].shift()
    for (const fn of listeners) fn()
  }
  /** What was last said of each entity: one that goes has no type any more. @type {Map<string, string>} */
  const known = new Map()
  const name = (/** @type {string} */ ref) => {
    const e = store.shown.get(ref)
    return `${e?.type ?? e?.label ?? ''} ${ref}${e ? ` v${e.meta.version}` : ''}`.trim()
  }
  for (const ref of store.shown.keys()) known.set(ref, name(ref))
  const brief = (/** @type {any[]} */ patch) => patch.map((p) => `${p.op} ${p.path}`).join(', ')
  const stops = [
    db.on('change', ({ refs }) => {
      for (const ref of refs) {
        const kind = !store.shown.has(ref) ? 'leave' : known.has(ref) ? 'change' : 'enter'
        const text = kind === 'leave' ? (known.get(ref) ?? name(ref)) : name(ref)
        if (kind === 'leave') known.delete(ref)
        else known.set(ref, text)
        add('graph', kind, `${SIGNS[kind]} ${text}`)
      }
    }),
    db.on('submit', ({ mutation, patch }) => {
      sentAt.set(mutation, performance.now())
      add('transactions', 'out', `${mutation} ${brief(patch)}`)
    }),
    db.on('commit', ({ mutation, version }) => {
      state.lag = Math.round(performance.now() - (sentAt.get(mutation) ?? performance.now()))
      sentAt.delete(mutation)
      add('transactions', 'enter', `${mutation} committed at ${version}, ${state.lag} ms`)
    }),
    db.on('reject', ({ mutation, problem, dependsOn }) => {
      sentAt.delete(mutation)
      const why = dependsOn ? ` (built on ${dependsOn})` : ''
      add('transactions', 'reject', `${mutation} refused: ${problem.code}: ${problem.message}${why}`)
    }),
    db.on('status', (status) => add('wire', 'in', `· ${status}`)),
  ]

  // The wire: what goes in either direction passes here.
  const { open, handlers } = connection
  const { onMessages } = handlers
  const send = connection.send.bind(connection)
  /** One direction of it: none overtakes another, though the delay changes. */
  const direction = () => {
    /** @type {(() => void)[]} */
    const queue = []
    return (/** @type {() => void} */ fn) => {
      queue.push(fn)
      const go = () => {
        while (queue.includes(fn)) queue.shift()?.()
      }
      if (state.delay) setTimeout(go, state.delay)
      else go()
    }
  }
  const [outward, inward] = [direction(), direction()]
  connection.send = (message) => {
    if (connection.state.name !== 'live') return false
    add('wire', 'out', `→ ${JSON.stringify(message).slice(0, 400)}`)
    // What is lost on the wire is lost with the line: TCP never drops one message.
    if (Math.random() < state.drop) cut()
    else outward(() => send(message))
    return true
  }
  handlers.onMessages = (messages) => {
    for (const m of messages) add('wire', 'in', `← ${JSON.stringify(m).slice(0, 400)}`)
    const { state: now } = connection
    inward(() => connection.state === now && onMessages(messages))
  }
  connection.open = () => {
    if (state.offline) throw new Error('switched offline')
    return open()
  }
  /** Breaks the line, as a lost network does. */
  const cut = () => {
    const { state: now } = connection
    if ('socket' in now) now.socket.onclose?.({ code: 1006 })
  }
  return {
    lines,
    state,
    cut,
    /** @param {() => void} fn */
    onChange(fn) {
      listeners.add(fn)
      return () => void listeners.delete(fn)
    },
    /** @param {Partial<typeof state>} change */
    set(change) {
      Object.assign(state, change)
      if (change.offline) cut()
      else if (change.offline === false) db.reconnect()
      for (const fn of listeners) fn()
    },
    stop() {
      for (const stop of stops) stop()
      Object.assign(state, { delay: 0, drop: 0, offline: false })
      connection.open = open
      connection.send = send
      handlers.onMessages = onMessages
      listeners.clear()
    },
  }
}

/**
 * Puts the overlay on the page.
 * @param {import('./client.js').Client} db
 * @returns {() => void} takes it away, and lets the client be as it was
 */
export function devtools(db) {
  const seen = watch(db)
  const host = document.createElement('graphtide-devtools')
  const root = host.attachShadow({ mode: 'open' })
  const style = document.createElement('style')
  style.textContent = STYLE
  const box = element('section', { role: 'region', 'aria-label': 'Graphtide devtools' })
  const title = element('b')
  const tabs = element('nav', { role: 'tablist', 'aria-label': 'What is shown' })
  const switches = element('nav', { 'aria-label': 'Faults' })
  const list = element('ol')
  const panel = element('div', { role: 'tabpanel', tabindex: '0', 'aria-label': 'Lines, the newest first' })
  panel.append(list)
  /** @type {typeof TABS[number]} */
  let tab = 'graph'
  let folded = false
  const button = (/** @type {Element} */ parent, /** @type {string} */ text, /** @type {() => void} */ press) => {
    const b = element('button', { type: 'button' })
    b.textContent = text
    b.addEventListener('click', press)
    parent.append(b)
    return b
  }
  const choices = TABS.map((t) => {
    const b = button(tabs, t, () => {
      tab = t
      draw()
    })
    b.setAttribute('role', 'tab')
    return b
  })
  tabs.addEventListener('keydown', (e) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[/** @type {KeyboardEvent} */ (e).key]
    if (!by) return
    const next = (TABS.indexOf(tab) + by + TABS.length) % TABS.length
    choices[next].click()
    choices[next].focus()
  })
  const slow = button(switches, 'delay 500 ms', () => seen.set({ delay: seen.state.delay ? 0 : 500 }))
  const lossy = button(switches, 'drop 20 %', () => seen.set({ drop: seen.state.drop ? 0 : 0.2 }))
  const offline = button(switches, 'offline', () => seen.set({ offline: !seen.state.offline }))
  const header = element('header')
  header.append(title)
  const fold = button(header, 'fold', () => {
    folded = !folded
    draw()
  })
  box.append(header, tabs, switches, panel)
  root.append(style, box)
  document.body.append(host)

  let drawing = false
  const draw = () => {
    drawing = false
    const { lag, delay, drop, offline: away } = seen.state
    title.textContent = `${db.status} · version ${db.version} · ${db.store.shown.size} entities · ${db.pending.length} pending · ${lag} ms`
    for (const [i, t] of TABS.entries()) {
      choices[i].setAttribute('aria-selected', String(t === tab))
      choices[i].tabIndex = t === tab ? 0 : -1
    }
    slow.setAttribute('aria-pressed', String(delay > 0))
    lossy.setAttribute('aria-pressed', String(drop > 0))
    offline.setAttribute('aria-pressed', String(away))
    fold.setAttribute('aria-expanded', String(!folded))
    fold.textContent = folded ? 'unfold' : 'fold'
    for (const part of [tabs, switches, panel]) part.hidden = folded
    if (folded) return
    list.replaceChildren(
      ...seen.lines[tab]
        .map(({ kind, text }) => {
          const item = element('li', { class: kind })
          item.textContent = text
          return item
        })
        .reverse(),
    )
  }
  const soon = () => {
    if (drawing) return
    drawing = true
    requestAnimationFrame(draw)
  }
  seen.onChange(soon)
  draw()
  return () => {
    seen.stop()
    host.remove()
  }
}

/** @param {string} name @param {Record<string, string>} [attributes] */
function element(name, attributes = {}) {
  const e = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value)
  return e
}
