/** Short messages that go by themselves. */
import { reactive } from 'vue'

let count = 0
export const notes = reactive([])

export function say(text, kind = 'info') {
  const note = { id: ++count, text, kind }
  notes.push(note)
  if (notes.length > 3) notes.shift()
  setTimeout(() => dismiss(note), kind === 'error' ? 9000 : 5000)
}

export function dismiss(note) {
  const at = notes.findIndex((n) => n.id === note.id)
  if (at >= 0) notes.splice(at, 1)
}
