/** Checked by the compiler alone: what an app's own types allow, and what they must not. */

import type { DataStore, Types } from '../../schema/testdata/workbook.js'
import { connect } from '../src/index.js'

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
  return [given, missing, by]
}
