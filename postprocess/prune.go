package postprocess

import (
	"context"
	"time"
)

// prunePause is how often old runs are looked for, and pruneStep how many go in
// one statement.
const (
	prunePause = 10 * time.Minute
	pruneStep  = 1000
)

// prune forgets runs that ended longer ago than they are kept. Every node does
// it; what one takes another passes over.
func (s *Service) prune(ctx context.Context) {
	if s.cfg.KeepRuns < 0 {
		return
	}
	t := time.NewTicker(prunePause)
	defer t.Stop()
	for {
		for {
			n, err := s.deps.Runs.Prune(ctx, s.cfg.KeepRuns, pruneStep)
			if err != nil && ctx.Err() == nil {
				s.cfg.Log.Warn("forget old runs", "error", err)
			}
			if err != nil || n < pruneStep {
				break
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
