// Package koubeiauth tells a Go back end which Koubei operator a request comes from. The landing service signs operators
// in; an application behind it learns who they are in one of two ways, and each is a middleware that puts the [Operator]
// into the request's context:
//
//   - A [Verifier] checks the assertion, a short-lived JWT in the header X-Koubei-Assertion, which a proxy has fetched
//     from the service and set on the request. It trusts the service's signature and nobody on the way.
//   - An [Asker] asks the service's internal listener itself, with the request's cookies. It needs no proxy and no keys,
//     and costs a round trip for each request.
//
// Both tell "nobody is signed in" (401) from "not allowed" (403) and "could not find out" (503): sending people to sign
// in while the service is out of reach would help nobody. Both take all X-Koubei-* headers off the request before it is
// passed on, so that no code behind them reads what a client has made up.
//
// An operator may work for several merchants in several tabs. Where a page's address says which one it is about, set
// [Access.Partner]: without it, a request acts for whichever merchant was landed for last.
package koubeiauth
