/**
 * A title to be typed over. Somebody else who changes it meanwhile takes nothing
 * away from what one is typing; and an element that takes another one's place,
 * because the card went to another lane, takes the focus, too.
 */

import { live } from '@graphtide/client/react'
import { type KeyboardEvent, useEffect, useRef, useState } from 'react'

/** What has the focus. */
let focused = ''

type Props = {
  of: { $id: string; title?: string }
  label: string
  hint?: string
  maxLength?: number
  onKeyDown?: (event: KeyboardEvent<HTMLInputElement>) => void
}

export const Title = live(({ of, label, hint, maxLength, onKeyDown }: Props) => {
  const field = useRef<HTMLInputElement>(null)
  const [typed, setTyped] = useState<string | null>(null)

  useEffect(() => {
    if (focused === of.$id) field.current?.focus()
  }, [of.$id])

  function leave() {
    focused = ''
    const title = typed?.trim()
    if (title && title !== of.title) of.title = title
    setTyped(null)
  }

  function keys(event: KeyboardEvent<HTMLInputElement>) {
    if (event.key === 'Enter') event.currentTarget.blur()
    else onKeyDown?.(event)
  }

  return (
    <input
      ref={field} aria-label={label} title={hint} maxLength={maxLength} value={typed ?? of.title ?? ''}
      onChange={(e) => setTyped(e.target.value)} onFocus={() => (focused = of.$id)} onBlur={leave} onKeyDown={keys}
    />
  )
})
