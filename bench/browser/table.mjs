/** Medians, and the table of figures. */

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

const figure = (value, unit) => `${value.toLocaleString('en', { maximumSignificantDigits: 4 })} ${unit}`

/** @param {{name: string, unit: string, floor: number, graphtide: number}[]} rows @returns {string} Markdown */
export function table(rows) {
  const lines = rows.map((r) => [r.name, figure(r.floor, r.unit), figure(r.graphtide, r.unit), `${(r.graphtide / r.floor).toFixed(2)} ×`])
  return [['row', 'bare websocket', 'graphtide', 'ratio'], ['---', '---', '---', '---'], ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
