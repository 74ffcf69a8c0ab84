package fanout

import (
	"net"
	"net/http"
)

// crowd counts who is connected. Hub.mu guards it. A bound of 0 or less bounds
// nothing.
type crowd struct {
	total     int
	addresses map[string]int
	users     map[string]int
}

func newCrowd() crowd { return crowd{addresses: map[string]int{}, users: map[string]int{}} }

// over reports whether n is as much as may be.
func over(n, bound int) bool { return bound > 0 && n >= bound }

// enter counts a connection; false where there are too many.
func (c *crowd) enter(address string, cfg *Config) bool {
	if over(c.total, cfg.Sessions) || over(c.addresses[address], cfg.SessionsPerAddress) {
		return false
	}
	c.total++
	c.addresses[address]++
	return true
}

func (c *crowd) exit(address string) {
	c.total--
	lower(c.addresses, address)
}

// join counts a user's session; false where there are too many. Those without a
// name are bounded by their address alone. One that takes the place of another
// is always let in: the other is on its way out.
func (c *crowd) join(user string, instead bool, cfg *Config) bool {
	if user != "" && !instead && over(c.users[user], cfg.SessionsPerUser) {
		return false
	}
	c.users[user]++
	return true
}

func (c *crowd) leave(user string) { lower(c.users, user) }

func lower(counts map[string]int, key string) {
	if counts[key]--; counts[key] == 0 {
		delete(counts, key)
	}
}

// addressOf gives the address that a connection comes from. A balancer's own,
// where there is one: a header may say anything.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
