package lambda

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// endpoint is a Lambda API whose functions are answered by fn.
func endpoint(t *testing.T, fn http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(fn)
	t.Cleanup(s.Close)
	return New(Config{Endpoint: s.URL, Load: func(context.Context) (aws.Config, error) {
		return aws.Config{Region: "eu-central-1", Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "")}, nil
	}})
}

func TestAFunctionIsCalledAndAnswers(t *testing.T) {
	t.Parallel()
	c := endpoint(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path != "/2015-03-31/functions/jobs/invocations" || string(body) != `{"n":1}` || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256") {
			t.Errorf("%s %s %s", r.URL.Path, body, r.Header)
		}
		io.WriteString(w, `{"patch":[]}`)
	})
	got, err := c.Invoke(t.Context(), "jobs", []byte(`{"n":1}`))
	if err != nil || string(got) != `{"patch":[]}` {
		t.Fatalf("%s, %v", got, err)
	}
}

func TestFailuresAreToldApart(t *testing.T) {
	t.Parallel()
	calls := 0
	c := endpoint(t, func(w http.ResponseWriter, r *http.Request) {
		calls++
		switch {
		case strings.Contains(r.URL.Path, "fails"):
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			io.WriteString(w, `{"errorMessage":"boom"}`)
		case strings.Contains(r.URL.Path, "missing"):
			w.Header().Set("X-Amzn-ErrorType", "ResourceNotFoundException")
			w.WriteHeader(404)
			io.WriteString(w, `{"Type":"User","Message":"no"}`)
		case strings.Contains(r.URL.Path, "busy"):
			w.Header().Set("X-Amzn-ErrorType", "TooManyRequestsException")
			w.WriteHeader(429)
			io.WriteString(w, `{"Message":"later"}`)
		default:
			w.WriteHeader(403)
		}
	})
	var failed *FunctionError
	if _, err := c.Invoke(t.Context(), "fails", nil); !errors.As(err, &failed) || !strings.Contains(err.Error(), "boom") {
		t.Errorf("%v", err)
	}
	for name, permanent := range map[string]bool{"missing": true, "busy": false, "denied": false} {
		var refused *RefusedError
		if _, err := c.Invoke(t.Context(), name, nil); !errors.As(err, &refused) || refused.Permanent != permanent {
			t.Errorf("%s: %v", name, err)
		}
	}
	if calls != 4 {
		t.Errorf("%d calls: the client tries again by itself", calls)
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	c := endpoint(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel(why)
		<-r.Context().Done()
	})
	if _, err := c.Invoke(ctx, "slow", nil); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
}

func TestNoRegionSaysSo(t *testing.T) {
	t.Parallel()
	c := New(Config{Load: func(context.Context) (aws.Config, error) { return aws.Config{}, nil }})
	if _, err := c.Invoke(t.Context(), "x", nil); err == nil || !strings.Contains(err.Error(), "AWS_REGION") {
		t.Errorf("%v", err)
	}
}
