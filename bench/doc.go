// Package bench measures the service beside what it is held against, in one run: a net/http handler with one GET, bare
// signatures, and oauth2-proxy with its session in the same Redis. It starts everything on loopback, with default settings.
//
// It is a module of its own, so that its libraries are no dependencies of the service. `make bench` prints its tables, `make
// load` also writes them and their charts to docs/performance.md.
package bench
