/** Checked by the compiler alone: what an app's own types allow, and what they must not. */

import type { DataStore, Types } from '../../schema/testdata/workbook.js'
import { connect } from '../src/index.js'
import { apply, PatchError } from '../src/patch.js'

export async function typed() {
  const db = await connect<Types>({ url: 'http://localhost' })
  const view = db.subscribe<DataStore>('Workbook', { id: 'x' })
  const store = (await view.ready).root
  if (!store) return
  store.name = 'Q3'
  const given: string | undefined = store.creator?.givenName
  const missing: null | undefined = store.creator ? undefined : store.creator
  for (const row of store.records) row.rank = 1
  const record = db.create('Record', { rank: 1, dataStore: store })
  store.records.push(record)
  store.records = [record]
  store.creator = null
  store.rename({ name: 'by method' })
  const by: string | undefined = store.$meta?.updatedBy

  // @ts-expect-error: a name is text
  store.name = 3
  // @ts-expect-error: there is no such property
  store.nmae = 'Q3'
  // @ts-expect-error: a creator may be missing
  store.creator.givenName
  // @ts-expect-error: a record is no user
  store.creator = record
  // @ts-expect-error: there is no such type
  db.create('Recrod')
  // @ts-expect-error: the rank is a number
  db.create('Record', { rank: 'first' })
  // @ts-expect-error: the client's own names are not to be written
  store.$id = 'x'
  // @ts-expect-error: a live array has no sort
  store.records.sort()
  // @ts-expect-error: the parameter is text
  store.rename({ name: 3 })

  // What is read only, what is a list, what an edge leads to.
  // @ts-expect-error: the type of an object is not to be written
  store.$type = 'DataStore'
  // @ts-expect-error: the server says what is in `$meta`
  store.$meta.version = 3
  // @ts-expect-error: rows are linked with push, not by their index
  store.records[0] = record
  // @ts-expect-error: a creator is linked as an object, not by its name
  store.creator = 'Ann'
  // @ts-expect-error: users are no records
  store.records.push(store.creator)
  // @ts-expect-error: many are assigned as an array
  store.records = record
  // @ts-expect-error: a row may be missing
  store.records.at(9).rank
  // @ts-expect-error: what a row holds is JSON
  record.values = { when: new Date() }
  // @ts-expect-error: the name of a store cannot be deleted
  delete store.name
  // @ts-expect-error: a right is named by a text
  store.$can(1)
  // @ts-expect-error: history is asked for, and comes later
  store.$history().entries

  // What a client gives.
  const version: number = await db.transact(() => store.records.push(record), { note: 'why', group: 'x' })
  const undone: number | undefined = await db.undo({ skip: true })
  const stop: () => void = db.on('reject', ({ problem }) => problem.code)
  // @ts-expect-error: an undo has no such option
  db.undo({ force: true })
  // @ts-expect-error: a transaction is a function
  db.transact(store)
  // @ts-expect-error: a store has no such member
  db.create('DataStore', { nmae: 'Q3' })
  // @ts-expect-error: a record leads to a store
  db.create('Record', { dataStore: record })
  // @ts-expect-error: an index into the graph's past is a number
  db.at('yesterday')
  // @ts-expect-error: there may be no root
  view.root.name
  // @ts-expect-error: options are named as they are
  await connect({ ulr: 'http://localhost' })
  // @ts-expect-error: a token is a text, or a function that gives one
  await connect({ token: 3 })
  // @ts-expect-error: there is no such operation on JSON
  db.patch([{ op: 'merge', path: '' }])

  // An object of several types is told apart by its type.
  const some = record.$type === 'Record' ? record.rank : undefined
  // @ts-expect-error: no object is of two types
  if (record.$type === 'DataStore') return
  try {
    apply({}, [])
  } catch (err) {
    if (err instanceof PatchError) {
      const code: 'invalid-patch' | 'path-missing' | 'test-failed' = err.code
      // @ts-expect-error: a patch has no such fault
      if (code === 'forbidden') return
    }
  }
  return [given, missing, by, version, undone, stop, some]
}
