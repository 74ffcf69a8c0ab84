package torture

// wide thinks of a transaction that concerns each of the reader's views: its answer
// has to wait for the slowest of them. ok is false where he holds too little.
func (r *reader) wide() (o op, ok bool) {
	var ops []string
	seen := map[string]bool{}
	for _, s := range r.subs {
		if id := s.held.some(r.rng.IntN); s.loaded && id != "" && !seen[id] {
			seen[id] = true
			ops = append(ops, r.w.things.insert(id))
		}
	}
	if len(ops) < 2 {
		return op{}, false
	}
	return newOp(ops...), true
}

// reached holds the server to what an answer says: all that there was to tell of the
// session's views up to its version has been sent. What has come later is judged
// later.
func (r *reader) reached(version int) {
	if r.partial || r.last > version {
		return
	}
	n := 0
	for _, s := range r.subs {
		if !s.loaded {
			continue
		}
		n++
		s.version = max(s.version, version)
		r.w.note(&s.held, s.query, s.version, r.who(), r.name+", answered,")
	}
	if n > 1 {
		r.w.count(cTogether, 1)
	}
}
