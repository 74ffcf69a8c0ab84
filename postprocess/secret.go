package postprocess

import (
	"regexp"
	"strings"
)

var envReference = regexp.MustCompile(`\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}`)

// secret fills the environment into a secret as the schema has it. A variable
// that is missing is a failure: an unsigned or wrongly signed message is worse
// than none.
func (s *Service) secret(written string) (string, error) {
	var missing string
	out := envReference.ReplaceAllStringFunc(written, func(ref string) string {
		name := envReference.FindStringSubmatch(ref)[1]
		v, ok := s.cfg.Getenv(name)
		if !ok {
			missing = name
		}
		return strings.TrimSpace(v)
	})
	if missing != "" {
		return "", failed("the environment variable %s of the webhook's secret is not set on this node", missing)
	}
	return out, nil
}
