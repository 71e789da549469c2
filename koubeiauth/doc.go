// Package koubeiauth tells a Go back end which Koubei operator sent a request. The landing service signs operators in. An
// application behind it learns who they are in one of two ways. Each is a middleware that puts the [Operator] into the
// request's context:
//
//   - A [Verifier] checks the assertion, a short-lived JWT in the header X-Koubei-Assertion. A proxy gets it from the
//     service and sets it on the request. The Verifier trusts only the service's signature, not the proxy or the network.
//   - An [Asker] sends the request's cookies to the service's internal listener. It needs no proxy and no keys, and takes a
//     round trip for each request.
//
// Both distinguish "nobody is signed in" (401), "not allowed" (403) and "the operator could not be determined" (503): while
// the service is unreachable, signing in does not help. Both remove all X-Koubei-* headers from the request before they pass
// it on, so that no handler reads a header that a client has forged.
//
// An operator may work for several merchants in several tabs. If a page's address says which merchant it is about, set
// [Access.Partner]. Without it, a request acts for the merchant of the latest landing.
package koubeiauth
