// Package koubeiauth tells a Go back end which Koubei operator a request comes from. The landing service signs operators
// in. An application behind it learns who they are in one of two ways. Each is a middleware that puts the [Operator] into
// the request's context:
//
//   - A [Verifier] checks the assertion, a short-lived JWT in the header X-Koubei-Assertion. A proxy fetches it from the
//     service and sets it on the request. The Verifier trusts the service's signature, and nothing between.
//   - An [Asker] asks the service's internal listener, with the request's cookies. It needs no proxy and no keys, and costs
//     a round trip for each request.
//
// Both tell "nobody is signed in" (401) from "not allowed" (403) and "could not find out" (503): while the service is
// unreachable, signing in does not help anybody. Both remove all X-Koubei-* headers from the request before they pass it
// on, so that no handler reads a header that a client has forged.
//
// An operator may work for several merchants in several tabs. If a page's address says which merchant it is about, set
// [Access.Partner]. Without it, a request acts for the merchant that was landed for last.
package koubeiauth
