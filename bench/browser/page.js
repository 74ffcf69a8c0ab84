/**
 * A page that shows rows, from Graphtide or from the floor; the rest is the same
 * for both. Times are of one clock for all pages of the machine.
 */

const { source } = window
const { start } = await import(`./${source.side}.js`)
const rows = await start(source)
const list = document.querySelector('ol')
const now = () => performance.timeOrigin + performance.now()

/** How many rows are on the first screen: the others come after it. */
const SCREEN = 50
let items = []

/** Resolves after the frame that shows what is in the page now. */
const painted = () =>
  new Promise((resolve) => {
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel()
      port1.onmessage = () => resolve(now())
      port2.postMessage(0)
    })
  })

function item(row) {
  const element = document.createElement('li')
  rows.show(row, (text) => (element.textContent = text))
  return element
}

/** Resolves with the time when a row shows a text. */
function shows(index, text) {
  return new Promise((resolve) => {
    const look = () => items[index].textContent === text && (watch.disconnect(), resolve(now()))
    const watch = new MutationObserver(look)
    watch.observe(items[index], { childList: true, characterData: true, subtree: true })
    look()
  })
}

window.bench = {
  /** From asking for the rows to the first screen of them, in milliseconds. */
  async load() {
    const began = now()
    const all = await rows.load()
    list.append(...(items = all.slice(0, SCREEN).map(item)))
    const took = (await painted()) - began
    const rest = all.slice(SCREEN).map(item)
    items.push(...rest)
    list.append(...rest)
    await painted()
    return took
  },
  /** Writes, and tells when, when the row shows it, and when it was painted. */
  async write(index, text) {
    const seen = shows(index, text)
    const began = now()
    rows.write(index, text)
    const shown = await seen
    return { began, shown: shown - began, painted: (await painted()) - began }
  },
  /** For the other screen: when a row shows a text. */
  expect: (index, text) => shows(index, text),
  settled: () => rows.settled(),
  /** Scrolls through all rows, another screenful each frame; resolves with how long each frame took. */
  async scroll() {
    const all = await rows.load()
    list.replaceChildren(...(items = Array.from({ length: SCREEN }, () => document.createElement('li'))))
    let stops = []
    const frames = []
    let before = await painted()
    for (let first = 0; first + SCREEN <= all.length; first += SCREEN) {
      for (const stop of stops) stop()
      stops = items.map((element, i) => rows.show(all[first + i], (text) => (element.textContent = text)))
      const after = await painted()
      frames.push(after - before)
      before = after
    }
    return frames
  },
  /** Has a long job done; resolves with how long each of its reports took to be in the page. */
  async work() {
    const delays = []
    const element = list.appendChild(document.createElement('li'))
    await rows.work((at) => {
      element.textContent = `reported at ${at}`
      delays.push(now() - at)
    })
    element.remove()
    return delays
  },
  heap() {
    window.gc()
    return performance.memory.usedJSHeapSize
  },
  /** The rows alone, without elements. */
  async loadOnly() {
    this.kept = await rows.load()
    return this.kept.length
  },
}
