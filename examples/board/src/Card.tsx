/**
 * One card. It renders again when its own title changes, and not when another
 * one's does. Alt and the arrow keys move it, as dragging does.
 */

import { live } from '@graphtide/client/react'
import type { DragEvent, KeyboardEvent } from 'react'
import { Title } from './Title.tsx'
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
    if (!event.altKey || !(event.key in moves)) return
    event.preventDefault()
    moves[event.key]?.()
  }

  return (
    <li
      className={card.$pending ? 'card pending' : 'card'}
      draggable
      onDragStart={(e) => e.dataTransfer.setData('text/plain', card.$id)}
      onDrop={onDrop}
    >
      <Title of={card} label="Title of the card" hint="Alt and the arrow keys move it" onKeyDown={keys} />
      <button type="button" className="quiet" aria-label={`Delete ${card.title}`} onClick={() => card.$delete()}>×</button>
    </li>
  )
})
