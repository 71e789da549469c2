// Package bench measures the service and, in the same run, what it is compared with: a net/http handler with one GET, bare
// signatures, and oauth2-proxy. It starts everything on loopback, with default settings. `make bench` prints its tables,
// `make load` writes them and their charts to docs/performance.md. It is a module of its own, to keep its libraries out of
// the service.
package bench
