// Package lambda calls handlers that are AWS Lambda functions.
//
// Region and credentials are those of the environment, as every tool of AWS
// finds them (AWS_REGION, AWS_PROFILE, roles of machines and containers). They
// are looked for at the first call, so that servers without such handlers need
// none. The SDK's own retries are off: a run has its own.
package lambda

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// answerBytes is what AWS bounds an answer to.
const answerBytes = 6 << 20

// Config of a Client.
type Config struct {
	// Endpoint is where the Lambda API is, instead of AWS's own place for the
	// region; "": AWS_ENDPOINT_URL_LAMBDA, or AWS.
	Endpoint string
	// Load gives region and credentials; nil: the environment's.
	Load func(context.Context) (aws.Config, error)
}

// Client calls functions; safe for concurrent use.
type Client struct {
	cfg Config

	mu  sync.Mutex // guards the field below
	api *lambda.Client
}

// New makes a client. Nothing is looked up before the first call.
func New(cfg Config) *Client { return &Client{cfg: cfg} }

// FunctionError is a function that was called and failed; trying again may help.
type FunctionError struct {
	Kind   string // Handled or Unhandled, as AWS says
	Answer []byte // what it said
}

func (e *FunctionError) Error() string {
	return fmt.Sprintf("the function failed (%s): %.2000s", e.Kind, e.Answer)
}

// RefusedError is a call that AWS did not make. Permanent ones fail the same way
// again: there is no such function, or it may not be called.
type RefusedError struct {
	Permanent bool
	message   string
	cause     error
}

func (e *RefusedError) Error() string { return e.message }
func (e *RefusedError) Unwrap() error { return e.cause }

// Invoke calls a function by its name or ARN and waits for its answer, for as
// long as ctx lasts.
func (c *Client) Invoke(ctx context.Context, function string, payload []byte) ([]byte, error) {
	api, err := c.client(ctx)
	if err != nil {
		return nil, err
	}
	out, err := api.Invoke(ctx, &lambda.InvokeInput{
		FunctionName: &function, InvocationType: types.InvocationTypeRequestResponse, Payload: payload,
	})
	if err != nil {
		return nil, refused(ctx, function, err)
	}
	if out.FunctionError != nil {
		return nil, &FunctionError{Kind: *out.FunctionError, Answer: out.Payload}
	}
	if len(out.Payload) > answerBytes {
		return nil, &RefusedError{Permanent: true, message: "the answer is larger than 6 MiB"}
	}
	return out.Payload, nil
}

func refused(ctx context.Context, function string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var missing *types.ResourceNotFoundException
	var large *types.RequestTooLargeException
	var status interface{ HTTPStatusCode() int }
	switch {
	case errors.As(err, &missing):
		return &RefusedError{Permanent: true, message: fmt.Sprintf("there is no Lambda function %q in this region", function), cause: err}
	case errors.As(err, &large):
		return &RefusedError{Permanent: true, message: "the event is larger than Lambda takes", cause: err}
	case errors.As(err, &status) && (status.HTTPStatusCode() == http.StatusForbidden || status.HTTPStatusCode() == http.StatusUnauthorized):
		return &RefusedError{message: fmt.Sprintf("AWS does not let this server call the Lambda function %q", function), cause: err}
	case errors.As(err, &status):
		return &RefusedError{message: fmt.Sprintf("AWS answered %d to the call of the Lambda function %q", status.HTTPStatusCode(), function), cause: err}
	}
	return &RefusedError{message: "the Lambda API did not answer", cause: err}
}

func (c *Client) client(ctx context.Context) (*lambda.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.api != nil {
		return c.api, nil
	}
	load := c.cfg.Load
	if load == nil {
		load = func(ctx context.Context) (aws.Config, error) { return config.LoadDefaultConfig(ctx) }
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cfg, err := load(ctx)
	if err != nil {
		return nil, &RefusedError{message: "no region or credentials of AWS were found", cause: err}
	}
	if cfg.Region == "" {
		return nil, &RefusedError{message: "no AWS region is set: give the server AWS_REGION"}
	}
	c.api = lambda.NewFromConfig(cfg, func(o *lambda.Options) {
		o.Retryer = aws.NopRetryer{}
		if c.cfg.Endpoint != "" {
			o.BaseEndpoint = &c.cfg.Endpoint
		}
	})
	return c.api, nil
}
