/** Sizes of the grid: the track of its columns, and how far one must scroll to see a cell. */

export const HEIGHT = 34
const COUNTRY = 180

const widthOf = (column) => column.width ?? 160

/** The number, the first column, the country, the others, room for a new one. @param {any[]} columns */
export function track(columns) {
  const [first, ...rest] = columns.map((c) => `${widthOf(c)}px`)
  return ['var(--number)', first ?? '', `${COUNTRY}px`, ...rest, 'minmax(44px, 1fr)'].join(' ')
}

/** Scrolls no further than it takes. @param {HTMLElement} box @param {any[]} columns @param {number} row @param {number} column */
export function reveal(box, columns, row, column) {
  const top = row * HEIGHT
  const bottom = top + 2 * HEIGHT + 8 // the head lies over the first line
  if (top < box.scrollTop) box.scrollTop = top
  else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight
  const left = columns.slice(0, column).reduce((x, c) => x + widthOf(c), column > 0 ? COUNTRY : 0)
  const number = box.querySelector('.number').offsetWidth // stays in sight, over what is scrolled
  const right = left + widthOf(columns[column]) + number
  if (left < box.scrollLeft) box.scrollLeft = left
  else if (right > box.scrollLeft + box.clientWidth) box.scrollLeft = right - box.clientWidth
}
