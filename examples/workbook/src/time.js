/** Who and when, in words: "3 min ago", kept current. */
import { ref } from 'vue'

const now = ref(Date.now())
setInterval(() => (now.value = Date.now()), 15_000)

const format = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' })

/** @param {string | undefined} at */
export function ago(at) {
  if (!at) return 'just now'
  const seconds = (Date.parse(at) - now.value) / 1000
  if (seconds > -45) return 'just now'
  if (seconds > -2700) return format.format(Math.round(seconds / 60), 'minute')
  if (seconds > -72_000) return format.format(Math.round(seconds / 3600), 'hour')
  return format.format(Math.round(seconds / 86_400), 'day')
}

/** @param {string | undefined} author of a commit: a user, or the run of a handler */
export const who = (author) => (author === undefined ? 'you' : author.startsWith('run:') ? 'a job' : author)
