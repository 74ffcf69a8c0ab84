/** Rows from Graphtide: live objects, of which each element reads one. */

import { connect, observe } from '/clientjs/src/index.js'

export async function start({ book, region }) {
  const db = await connect({ url: location.origin })
  let view
  return {
    async load() {
      view = db.subscribe({ root: book, in: { dataStore: { order: ['/body/rank'] } } })
      await view.ready
      return view.list(book, 'records')
    },
    show(row, set) {
      let stop
      const look = () => {
        const seen = observe(() => row.values.name, look)
        stop = seen.stop
        set(seen.value)
      }
      look()
      return () => stop()
    },
    write: (index, text) => (view.list(book, 'records')[index].values.name = text),
    settled: () => db.settled(),
    /** The workbook's own long job, in another book than the one that is shown. */
    async work(report) {
      let target
      await db.transact(() => (target = db.create('DataStore', { name: 'To be filled' })))
      const job = await db.run('import-airports', { region }, { target })
      let known = 0
      const look = () => {
        const { value } = observe(() => [...(job.body.status ?? [])], look)
        for (const { at } of value.slice(known)) report(Date.parse(at))
        known = value.length
      }
      look()
      await job.result
    },
  }
}
