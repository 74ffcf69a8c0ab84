/** Rows from Graphtide: live objects, of which each element reads one. */

import { connect, observe } from '/clientjs/src/index.js'

export async function start({ book }) {
  const db = await connect({ url: location.origin })
  let view
  return {
    async load() {
      view = db.subscribe({ root: book, in: { dataStore: { order: ['/body/rank'] } } })
      await view.ready
      return view.list(book, 'records')
    },
    show(row, set) {
      const look = () => {
        const { value } = observe(() => row.values.name, look)
        set(value)
      }
      look()
    },
    write: (index, text) => (view.list(book, 'records')[index].values.name = text),
    settled: () => db.settled(),
  }
}
