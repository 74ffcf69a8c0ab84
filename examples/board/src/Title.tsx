/**
 * A title to be typed over. Somebody else who changes it meanwhile takes nothing
 * away from what one is typing; and an element that takes another one's place,
 * because somebody moved the card to another lane, takes over what was typed,
 * the focus and the caret, too.
 */

import { live } from '@graphtide/client/react'
import { type KeyboardEvent, useEffect, useRef, useState } from 'react'

/** What is being typed, by the id of what it is the title of. */
const drafts = new Map<string, string>()
/** What has the focus, and where the caret is. */
let focused = ''
let caret: number | null = null

type Props = {
  of: { $id: string; title?: string }
  label: string
  hint?: string
  maxLength?: number
  onKeyDown?: (event: KeyboardEvent<HTMLInputElement>) => void
}

export const Title = live(({ of, label, hint, maxLength, onKeyDown }: Props) => {
  const field = useRef<HTMLInputElement>(null)
  const [typed, setTyped] = useState<string | null>(drafts.get(of.$id) ?? null)

  useEffect(() => {
    if (focused !== of.$id) return
    const at = caret
    field.current?.focus()
    field.current?.setSelectionRange(at, at)
  }, [of.$id])

  function type(text: string) {
    drafts.set(of.$id, text)
    setTyped(text)
  }

  function leave() {
    focused = ''
    drafts.delete(of.$id)
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
      onChange={(e) => type(e.target.value)} onSelect={(e) => (caret = e.currentTarget.selectionStart)}
      onFocus={() => (focused = of.$id)} onBlur={leave} onKeyDown={keys}
    />
  )
})
