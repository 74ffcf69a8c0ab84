package fanout

import "time"

// moment is a time of the monotonic clock, in nanoseconds since the process began: what
// is measured with it ends neither early nor late when the wall clock is set. 0 stands
// for none.
type moment int64

var processBegan = time.Now()

func thisMoment() moment { return momentOf(time.Now()) }

func momentOf(t time.Time) moment { return moment(t.Sub(processBegan)) }

// since gives how long ago an earlier moment was.
func (m moment) since(earlier moment) time.Duration { return time.Duration(m - earlier) }

// burst is for how many seconds' messages may come at once.
const burst = 5

// pace is when the messages of a session so far would all have come, had each waited
// for its turn; 0 before the first.
type pace moment

// takes notes a message that comes now; false where too many have come, of so many a
// second.
func (p *pace) takes(now moment, perSecond float64) bool {
	turn := moment(*p)
	if turn == 0 || turn < now {
		turn = now
	}
	turn += moment(float64(time.Second) / perSecond)
	if turn.since(now) > burst*time.Second {
		return false
	}
	*p = pace(turn)
	return true
}
