package graph

import "fmt"

// Check reports what is wrong with the form of a batch: a fault of the caller,
// never of the data. Both stores call it before they look at anything else.
//
// Versions follow Expect without a gap, time never runs back, and each change
// has exactly the fields of its kind, stamped with the commit that made it.
func (b *Batch) Check() error {
	if len(b.Commits) == 0 {
		return fmt.Errorf("append to graph %d: the batch is empty", b.Graph)
	}
	at := b.Expect.At
	for i, c := range b.Commits {
		if want := b.Expect.Version + Version(i) + 1; c.Version != want {
			return fmt.Errorf("append to graph %d: commit %d has version %d, want %d", b.Graph, i, c.Version, want)
		}
		if c.At.Before(at) {
			return fmt.Errorf("append to graph %d: version %d is earlier (%s) than the one before it (%s)", b.Graph, c.Version, c.At, at)
		}
		at = c.At
		if c.Mutation == "" {
			return fmt.Errorf("append to graph %d: version %d has no mutation key", b.Graph, c.Version)
		}
		if len(c.Changes) == 0 {
			return fmt.Errorf("append to graph %d: version %d changes nothing", b.Graph, c.Version)
		}
		for j := range c.Changes {
			if err := c.Changes[j].check(c); err != nil {
				return fmt.Errorf("append to graph %d: version %d, change %d: %w", b.Graph, c.Version, j, err)
			}
		}
	}
	return nil
}

func (ch *Change) check(c *Commit) error {
	if ch.Event < Created || ch.Event > Deleted {
		return fmt.Errorf("unknown event %d", ch.Event)
	}
	var meta *Meta
	switch ch.Ref.Kind {
	case KindObject:
		if ch.EdgeBefore != nil || ch.EdgeAfter != nil {
			return fmt.Errorf("an object's change holds an edge")
		}
		if o := ch.ObjAfter; o != nil {
			meta = &o.Meta
			if o.ID != ObjectID(ch.Ref.ID) || o.Access == nil || len(o.Body) == 0 {
				return fmt.Errorf("object %s is not whole, or another", ch.Ref.IDString())
			}
		}
		if ch.Event == Created && ch.ObjBefore != nil {
			return fmt.Errorf("a created object has a state before")
		}
	case KindEdge:
		if ch.ObjBefore != nil || ch.ObjAfter != nil {
			return fmt.Errorf("an edge's change holds an object")
		}
		if e := ch.EdgeAfter; e != nil {
			meta = &e.Meta
			if e.ID != EdgeID(ch.Ref.ID) || len(e.Body) == 0 {
				return fmt.Errorf("edge %s is not whole, or another", ch.Ref.IDString())
			}
		}
		if ch.Event == Created && ch.EdgeBefore != nil {
			return fmt.Errorf("a created edge has a state before")
		}
	default:
		return fmt.Errorf("unknown kind of entity %d", ch.Ref.Kind)
	}
	if (ch.Event == Deleted) != (meta == nil) {
		return fmt.Errorf("event %s does not fit the state after", ch.Event)
	}
	if meta == nil {
		if ch.MetaBefore() == nil {
			return fmt.Errorf("a deletion lacks the state before")
		}
		return nil
	}
	if meta.Version != c.Version || !meta.UpdatedAt.Equal(c.At) || meta.UpdatedBy != c.Author.User {
		return fmt.Errorf("meta of %s %s is not stamped with its commit", ch.Ref.Kind, ch.Ref.IDString())
	}
	if ch.Revived && (ch.Event != Created || meta.CreatedVersion >= c.Version) {
		return fmt.Errorf("%s %s is revived, but not an old one", ch.Ref.Kind, ch.Ref.IDString())
	}
	if ch.Event == Created && !ch.Revived && meta.CreatedVersion != c.Version {
		return fmt.Errorf("%s %s is created, but says version %d", ch.Ref.Kind, ch.Ref.IDString(), meta.CreatedVersion)
	}
	return nil
}

// MetaBefore gives the meta of the entity before the change, nil where there is none.
func (ch *Change) MetaBefore() *Meta {
	switch {
	case ch.ObjBefore != nil:
		return &ch.ObjBefore.Meta
	case ch.EdgeBefore != nil:
		return &ch.EdgeBefore.Meta
	}
	return nil
}
