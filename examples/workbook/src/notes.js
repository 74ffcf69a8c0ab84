/** Short messages, and the cells whose last change was refused. */
import { reactive } from 'vue'

let count = 0
export const notes = reactive([])

export function say(text, kind = 'info') {
  const note = { id: ++count, text, kind }
  notes.push(note)
  if (notes.length > 4) notes.shift()
  setTimeout(() => dismiss(note), kind === 'error' ? 9000 : 5000)
}

export function dismiss(note) {
  const at = notes.findIndex((n) => n.id === note.id)
  if (at >= 0) notes.splice(at, 1)
}

/** Pointer of the value → why it was refused. */
export const refused = reactive(new Map())

/** @param {import('@graphtide/client').Client} db */
export function hearRefusals(db) {
  db.on('reject', ({ problem, patch }) => {
    say(explain(problem), 'error')
    for (const op of patch) {
      refused.set(op.path, problem.message)
      setTimeout(() => refused.delete(op.path), 9000)
    }
  })
}

/** @param {any} problem */
export function explain(problem) {
  const first = problem.problem?.errors?.[0]
  if (problem.code === 'schema' && first) return `Not saved: ${first.message}`
  if (problem.code === 'undo-conflict') return 'Cannot undo: somebody has changed the same place since'
  if (problem.code === 'forbidden') return 'Not saved: you may read this, but not change it'
  return `Not saved: ${problem.message}`
}
