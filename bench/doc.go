// Package bench holds the service against its limits: a bare handler that does the one thing which a path can't do
// without. Everything runs as a process of its own, on loopback: redis-server, koubeisim, the service, and the limits
// (bench/baseline). So the CPU that counts is that of the process measured, and neither the client's nor the gateway's.
//
// Two tools use it. The benchmarks drive it with a client of their own; bench/load drives it with wrk. In both, one
// round measures a path and its limit one right after the other, and what is printed is the median of the rounds'
// ratios: a machine that is busy with something else disturbs both sides of a round alike.
package bench
