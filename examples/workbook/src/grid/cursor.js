/**
 * The cell that is chosen, and the keys that move it. It is held by row and
 * column, so that it stays with its row wherever that goes; where its row is not
 * here, by number.
 */

import { reactive, watch } from 'vue'

const STEPS = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }

/**
 * @param {ReturnType<typeof import('./window.js').useWindow>} rows
 * @param {() => {key: string}[]} columns
 * @param {(index: number, column: number) => void} reveal brings a cell in sight
 */
export function useCursor(rows, columns, reveal) {
  const at = reactive({ row: null, key: null, index: -1 })

  function choose(index, key) {
    Object.assign(at, { index, key, row: rows.row(index)?.$id ?? null })
  }

  // The row has moved, is gone, or has come: the number follows it, or the next one takes its place.
  watch(
    () => [rows.indexOf(at.row), at.index, rows.row(at.index)?.$id],
    ([now, , there]) => {
      if (now >= 0) at.index = now
      else if (there && at.index >= 0) at.row = there
    },
  )
  // The column is gone.
  watch(
    () => columns().map((c) => c.key).join('\n'),
    () => columns().some((c) => c.key === at.key) || (at.key = columns()[0]?.key ?? null),
  )

  /** @param {number} down rows @param {number} right columns */
  function step(down, right) {
    const keys = columns().map((c) => c.key)
    if (rows.total.value === 0 || keys.length === 0) return
    const index = Math.max(0, Math.min(rows.total.value - 1, at.index + down))
    const column = Math.max(0, Math.min(keys.length - 1, keys.indexOf(at.key) + right))
    reveal(index, column)
    choose(index, keys[column])
  }

  /**
   * Moves as a key says.
   * @param {KeyboardEvent} event
   * @param {number} page rows of a screenful
   * @returns {boolean} whether it was such a key
   */
  function moved(event, page) {
    const { key, ctrlKey, metaKey, shiftKey } = event
    const whole = rows.total.value
    const all = columns().length
    if (STEPS[key]) step(...STEPS[key])
    else if (key === 'PageDown') step(page, 0)
    else if (key === 'PageUp') step(-page, 0)
    else if (key === 'Home') step(ctrlKey || metaKey ? -whole : 0, -all)
    else if (key === 'End') step(ctrlKey || metaKey ? whole : 0, all)
    else if (key === 'Tab' && !shiftKey && at.row && at.key !== columns().at(-1)?.key) step(0, 1)
    else return false
    return true
  }

  /** Something is chosen, where there is anything. */
  function begin() {
    if (at.index < 0 && rows.total.value > 0) choose(rows.first.value, columns()[0]?.key ?? null)
  }

  return { at, choose, step, moved, begin }
}
