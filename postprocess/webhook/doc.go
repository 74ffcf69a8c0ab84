// Package webhook sends signed messages to handlers on the network, and takes
// care where they go.
//
// A message is signed after the Standard Webhooks specification (webhook-id,
// webhook-timestamp, webhook-signature); the id is the same on every retry.
// Unless the client allows it, only https is spoken, and only to addresses of
// the public internet: the address that is dialled is judged, after the name
// has been resolved, so that no name can lead inside. Redirects are not
// followed, proxies of the environment are not used, and answers are bounded.
package webhook
