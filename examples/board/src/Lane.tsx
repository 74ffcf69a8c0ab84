/** One lane: its cards in order, where one drops others, and a field for a new one. */

import { live, type useView } from '@graphtide/client/react'
import { type DragEvent, type FormEvent, useState } from 'react'
import { CardView } from './Card.tsx'
import { Title } from './Title.tsx'
import type { Card, Lane } from './types.ts'
import { addCard, type Db, move } from './work.ts'

type View = NonNullable<ReturnType<typeof useView>>
type Props = { db: Db; view: View; lane: Lane; left?: Lane; right?: Lane }

export const LaneView = live(({ db, view, lane, left, right }: Props) => {
  const cards = view.list(lane, 'cards') as readonly Card[]
  const [over, setOver] = useState(false)
  const [title, setTitle] = useState('')

  function drop(event: DragEvent, before?: Card) {
    event.preventDefault()
    event.stopPropagation()
    setOver(false)
    const card = db.get(event.dataTransfer.getData('text/plain')) as Card | undefined
    if (card) move(db, card, lane, cards, before)
  }

  function add(event: FormEvent) {
    event.preventDefault()
    if (title.trim()) addCard(db, lane, cards, title.trim())
    setTitle('')
  }

  const aside = (card: Card, to?: Lane) => to && move(db, card, to, view.list(to, 'cards') as readonly Card[])
  return (
    <section
      className={over ? 'lane over' : 'lane'}
      aria-label={lane.title}
      onDragOver={(e) => { e.preventDefault(); setOver(true) }}
      onDragLeave={() => setOver(false)}
      onDrop={(e) => drop(e)}
    >
      <h2>
        <Title of={lane} label="Title of the lane" maxLength={80} />
        <span>{cards.length}</span>
      </h2>
      <ol>
        {cards.map((card, i) => (
          <CardView
            key={card.$id}
            card={card}
            onDrop={(e) => drop(e, card)}
            onLeft={left && (() => aside(card, left))}
            onRight={right && (() => aside(card, right))}
            onUp={i > 0 ? () => move(db, card, lane, cards, cards[i - 1]) : undefined}
            onDown={i < cards.length - 1 ? () => move(db, card, lane, cards, cards[i + 2]) : undefined}
          />
        ))}
      </ol>
      <form onSubmit={add}>
        <input value={title} onChange={(e) => setTitle(e.target.value)} aria-label={`New card in ${lane.title}`} placeholder="Add a card" />
      </form>
    </section>
  )
})
