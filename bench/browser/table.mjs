/** Medians, and the table of figures. */

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** The smallest value that so great a part of all does not exceed. @param {number[]} values @param {number} part */
export const percentile = (values, part) => [...values].sort((a, b) => a - b)[Math.ceil(part * values.length) - 1]

const figure = (value, unit) => `${value.toLocaleString('en', { maximumSignificantDigits: 4 })} ${unit}`.trim()
const ratio = ({ floor, graphtide }) => (floor ? `${(graphtide / floor).toFixed(2)} ×` : '–')

/** @param {{name: string, unit: string, floor: number, graphtide: number}[]} rows @returns {string} Markdown */
export function table(rows) {
  const lines = rows.map((r) => [r.name, figure(r.floor, r.unit), figure(r.graphtide, r.unit), ratio(r)])
  return [['row', 'bare websocket', 'graphtide', 'ratio'], ['---', '---', '---', '---'], ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
