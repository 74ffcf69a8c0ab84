package fanout

import (
	"slices"

	"github.com/graphtide/graphtide/graph"
	"github.com/graphtide/graphtide/graph/replica"
)

// shelfBoard is about how many items lie on one board of a shelf.
const shelfBoard = 128

// place is a candidate of an ordered list: where it stands, and over which edge
// it is reached. It keeps no body.
type place struct {
	at    replica.Position
	edge  graph.EdgeID // zero for a root
	shown bool
	moved bool // since the list was last settled
}

// shelf keeps places in order. Boards of bounded length make an insertion cost
// the same in a list of a hundred thousand as in one of a thousand, but for the
// list of boards itself.
type shelf struct {
	order  []graph.OrderKey
	boards [][]*place // none empty
	n      int
}

func (s *shelf) compare(a, b *place) int { return replica.ComparePositions(s.order, a.at, b.at) }

// fill takes places that are in order already.
func (s *shelf) fill(sorted []*place) {
	s.n, s.boards = len(sorted), nil
	for board := range slices.Chunk(sorted, shelfBoard) {
		s.boards = append(s.boards, slices.Clone(board))
	}
}

// board gives the board on which p lies, or would.
func (s *shelf) board(p *place) int {
	i, found := slices.BinarySearchFunc(s.boards, p, func(b []*place, p *place) int { return s.compare(b[0], p) })
	if found || i == 0 {
		return i
	}
	return i - 1
}

func (s *shelf) insert(p *place) {
	s.n++
	if len(s.boards) == 0 {
		s.boards = [][]*place{{p}}
		return
	}
	b := s.board(p)
	at, _ := slices.BinarySearchFunc(s.boards[b], p, s.compare)
	board := slices.Insert(s.boards[b], at, p)
	s.boards[b] = board
	if len(board) >= 2*shelfBoard {
		half := slices.Clone(board[shelfBoard:])
		clear(board[shelfBoard:])
		s.boards[b] = board[:shelfBoard]
		s.boards = slices.Insert(s.boards, b+1, half)
	}
}

func (s *shelf) remove(p *place) {
	if len(s.boards) == 0 {
		return
	}
	b := s.board(p)
	at, found := slices.BinarySearchFunc(s.boards[b], p, s.compare)
	if !found {
		return
	}
	s.n--
	if s.boards[b] = slices.Delete(s.boards[b], at, at+1); len(s.boards[b]) == 0 {
		s.boards = slices.Delete(s.boards, b, b+1)
	}
}

// from calls yield with the places from the i-th on, upwards, until it returns
// false.
func (s *shelf) from(i int, yield func(*place) bool) {
	for _, board := range s.boards {
		if i >= len(board) {
			i -= len(board)
			continue
		}
		for _, p := range board[i:] {
			if !yield(p) {
				return
			}
		}
		i = 0
	}
}

// below calls yield with the places before the i-th, downwards, until it
// returns false.
func (s *shelf) below(i int, yield func(*place) bool) {
	b := 0
	for b < len(s.boards) && i > len(s.boards[b]) {
		i -= len(s.boards[b])
		b++
	}
	for ; b >= 0 && b < len(s.boards); b-- {
		board := s.boards[b]
		for k := min(i, len(board)) - 1; k >= 0; k-- {
			if !yield(board[k]) {
				return
			}
		}
		if b > 0 {
			i = len(s.boards[b-1])
		}
	}
}
