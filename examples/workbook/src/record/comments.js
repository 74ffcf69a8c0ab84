/** What people do with comments, each as one transaction. */
import { myself } from '../people/me.js'

/** @param {import('@graphtide/client').Client} db @param {any} record @param {string} text */
export function say(db, record, text) {
  const author = myself()
  const comment = { text, about: record, ...(author ? { author } : {}) }
  return db.transact(() => db.create('Comment', comment), { note: 'Comment' })
}

/** Receipts for what this person has now read of others. It is not a change that one would undo. */
export function markRead(db, comments) {
  const me = myself()
  if (!me) return
  const unread = comments.filter((c) => !c.$pending && c.author !== undefined && c.author?.$id !== me.$id && !c.readBy.some((p) => p.$id === me.$id))
  if (unread.length === 0) return
  const at = new Date().toISOString()
  db.transact(() => unread.forEach((c) => c.$link('readBy', me, { at })), { undoable: false, note: 'Read' }).catch(() => {})
}
