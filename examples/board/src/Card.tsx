/**
 * One card. It renders again when its own title changes, and not when another
 * one's does. Alt and the arrow keys move it, as dragging does.
 */

import { live } from '@graphtide/client/react'
import type { DragEvent, KeyboardEvent } from 'react'
import type { Card } from './types.ts'

type Props = {
  card: Card
  onDrop: (event: DragEvent) => void
  onLeft?: () => void
  onRight?: () => void
  onUp?: () => void
  onDown?: () => void
}

export const CardView = live(({ card, onDrop, onLeft, onRight, onUp, onDown }: Props) => {
  const moves: Record<string, (() => void) | undefined> = { ArrowLeft: onLeft, ArrowRight: onRight, ArrowUp: onUp, ArrowDown: onDown }

  function keys(event: KeyboardEvent<HTMLInputElement>) {
    if (event.key === 'Enter') event.currentTarget.blur()
    if (!event.altKey || !(event.key in moves)) return
    event.preventDefault()
    moves[event.key]?.()
  }

  function rename(text: string) {
    if (text.trim() && text !== card.title) card.title = text.trim()
  }

  return (
    <li
      className={card.$pending ? 'card pending' : 'card'}
      draggable
      onDragStart={(e) => e.dataTransfer.setData('text/plain', card.$id)}
      onDrop={onDrop}
    >
      <input key={card.title} aria-label="Title of the card" title="Alt and the arrow keys move it" defaultValue={card.title} onKeyDown={keys} onBlur={(e) => rename(e.target.value)} />
      <button type="button" className="quiet" aria-label={`Delete ${card.title}`} onClick={() => card.$delete()}>×</button>
    </li>
  )
})
