package graph

import (
	"bytes"
	"encoding/json"
)

// The functions of this file walk valid JSON without judging it: what holds steps
// within steps is walked once a level, and must not be decoded as often.

const jsonSpace = " \t\r\n"

// nextItem gives the text from the next item of a container on, or from its end.
func nextItem(raw json.RawMessage) json.RawMessage {
	return bytes.TrimLeft(raw, jsonSpace+",")
}

// valueEnd gives the length of the value that raw begins with.
func valueEnd(raw json.RawMessage) int {
	depth := 0
	for i := 0; i < len(raw); {
		switch raw[i] {
		case '"':
			i = stringEnd(raw, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // behind a number or a word
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return len(raw)
}

// stringEnd gives the offset behind the string that begins at raw[i].
func stringEnd(raw json.RawMessage, i int) int {
	for i++; ; {
		i += bytes.IndexByte(raw[i:], '"')
		slashes := 0
		for raw[i-1-slashes] == '\\' {
			slashes++
		}
		i++
		if slashes%2 == 0 {
			return i
		}
	}
}
