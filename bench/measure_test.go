package bench

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"os"
	"slices"
	"time"
)

// load is a target with a number of connections.
type load struct {
	*target
	conns int
}

// sample is one measurement of a load: rate per second, CPU of the server per request in µs, p50 and p99 in ms.
type sample [4]float64

const (
	rate = iota
	cpu
	p50
	p99
)

// measure drives a load once, for d or for a number of requests.
func measure(l load, d time.Duration, requests int) sample {
	before, _ := stat(l.pid)
	latencies, took := drive(l.target, l.conns, d, requests)
	after, _ := stat(l.pid)
	n := len(latencies)
	return sample{
		float64(n) / took.Seconds(), (after - before).Seconds() * 1e6 / float64(n),
		latencies[n/2].Seconds() * 1e3, latencies[n*99/100].Seconds() * 1e3,
	}
}

// row compares a path with its limit. A goal of 0 is none.
type row struct {
	path, limit                load
	rateGoal, cpuGoal, p50Goal float64
}

// rounds measures every load once per round, in alternating order, so that a machine that slows down favors no load.
func (b *bench) rounds(rows []row) map[load][]sample {
	var loads []load
	for _, r := range rows {
		for _, l := range []load{r.limit, r.path} {
			if !slices.Contains(loads, l) {
				loads = append(loads, l)
			}
		}
	}
	samples := map[load][]sample{}
	for round := range *roundsFlag {
		b.t.Logf("round %d of %d", round+1, *roundsFlag)
		for _, l := range loads {
			measure(l, *duration/4, 0) // connections and caches get warm
			samples[l] = append(samples[l], measure(l, *duration, 0))
		}
		slices.Reverse(loads)
	}
	return samples
}

func median(samples []sample, of int) float64 {
	var values []float64
	for _, s := range samples {
		values = append(values, s[of])
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// ratio returns the median of the rounds' ratios.
func ratio(path, limit []sample, of int) float64 {
	var ratios []sample
	for i := range path {
		ratios = append(ratios, sample{path[i][of] / limit[i][of]})
	}
	return median(ratios, 0)
}

// signatures returns the CPU time in µs of one RSA-2048 signature and one verification, which no landing can avoid.
func signatures(n int) float64 {
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	sum := sha256.Sum256([]byte("a response of the gateway"))
	before, _ := stat(os.Getpid())
	for range n {
		check(rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], must(rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:]))))
	}
	after, _ := stat(os.Getpid())
	return (after - before).Seconds() * 1e6 / float64(n)
}
