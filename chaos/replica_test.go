package chaos_test

import (
	"fmt"
	"syscall"
	"time"

	"koubei-landing/internal/testworld"
)

// replica is one server process. Its addresses stay the same.
type replica struct {
	*testworld.Server
	number int
	public string

	kills *spans // from SIGKILL until it serves again
	rolls *spans // from SIGTERM until it serves again
}

// startReplicas starts n servers.
func (w *world) startReplicas(n int) {
	w.t.Helper()
	for i := range n {
		public, internal := testworld.StablePort(w.t), testworld.StablePort(w.t)
		env := testworld.Settings(w.koubei, testworld.Serve(w.t, w.gateway.forReplica(i)), w.redis.URL(),
			fmt.Sprint("PUBLIC_LISTEN=127.0.0.1:", public), fmt.Sprint("INTERNAL_LISTEN=127.0.0.1:", internal),
			fmt.Sprint("PUBLIC_URL=http://127.0.0.1:", public),
			// Shorter than the defaults, so that the lease of a claim ends sooner after its replica was killed.
			"ALIPAY_TIMEOUT=6s", "ALIPAY_ATTEMPT_TIMEOUT=4s")
		p := testworld.StartServer(w.t, testworld.Build(w.t, "server"), env)
		w.replicas = append(w.replicas, &replica{p, i, p.Public, &spans{}, &spans{}})
	}
}

// kill ends the process with SIGKILL.
func (r *replica) kill() {
	r.kills.open(time.Now())
	r.Kill()
}

// roll sends SIGTERM, waits until the process has ended, and starts it again. All requests in work must succeed.
func (w *world) roll(r *replica, meanwhile func()) {
	w.t.Helper()
	r.rolls.open(time.Now())
	r.Signal(syscall.SIGTERM)
	meanwhile()
	if err := r.Wait(); err != nil {
		w.t.Errorf("replica %d ended with %v after SIGTERM", r.number, err)
	}
	r.Start()
	r.rolls.close(time.Now())
}

// disturbed reports whether the process may have ended while it worked on a request. SIGTERM does not end a request that the
// process had begun, but it may end one that was just sent.
func (r *replica) disturbed(from, to time.Time) bool {
	const justBegun = 500 * time.Millisecond
	return r.kills.touch(from, to.Add(justBegun)) || r.rolls.touch(from, to.Add(justBegun)) && !r.rolls.began(from.Add(justBegun), to)
}
