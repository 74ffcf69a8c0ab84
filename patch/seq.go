package patch

import "slices"

// seq is a list of items in chunks: inserting and removing anywhere moves one
// chunk, not the whole list.
type seq struct {
	chunks [][]item // none is empty
	n      int
}

const chunkSize = 256

// newSeq takes the items over.
func newSeq(items []item) seq {
	s := seq{n: len(items)}
	for len(items) > 0 {
		k := min(chunkSize, len(items))
		s.chunks = append(s.chunks, items[:k:k])
		items = items[k:]
	}
	return s
}

// find gives the chunk and the offset in it of the i-th item.
func (s *seq) find(i int) (chunk, offset int) {
	for chunk = range s.chunks {
		if i < len(s.chunks[chunk]) {
			return chunk, i
		}
		i -= len(s.chunks[chunk])
	}
	return len(s.chunks), 0
}

// at gives the i-th item; it may be changed in place until the next insert or
// remove.
func (s *seq) at(i int) *item {
	c, o := s.find(i)
	return &s.chunks[c][o]
}

// insert puts it in front of the i-th item; i may be the length.
func (s *seq) insert(i int, it item) {
	s.n++
	if len(s.chunks) == 0 {
		s.chunks = append(s.chunks, []item{it})
		return
	}
	c, o := s.find(i)
	if c == len(s.chunks) { // behind the last
		c--
		o = len(s.chunks[c])
	}
	if chunk := s.chunks[c]; len(chunk) >= chunkSize {
		half := len(chunk) / 2
		right := slices.Clone(chunk[half:])
		clear(chunk[half:])
		s.chunks[c] = chunk[:half:half]
		s.chunks = slices.Insert(s.chunks, c+1, right)
		if o > half {
			c, o = c+1, o-half
		}
	}
	s.chunks[c] = slices.Insert(s.chunks[c], o, it)
}

// remove takes the i-th item out.
func (s *seq) remove(i int) {
	s.n--
	c, o := s.find(i)
	if s.chunks[c] = slices.Delete(s.chunks[c], o, o+1); len(s.chunks[c]) == 0 {
		s.chunks = slices.Delete(s.chunks, c, c+1)
	}
}
