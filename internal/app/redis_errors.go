package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"

	"koubei-landing/internal/setting"
)

// answers maps the first words of Redis's errors to a problem and its fix.
var answers = []struct {
	prefix       string
	problem, fix string
}{
	{"NOAUTH", "has no password, but Redis requires one (NOAUTH)", "write the user and the password into REDIS_URL"},
	{"WRONGPASS", "has a user or password that Redis refuses (WRONGPASS)", "correct the user and the password in REDIS_URL"},
	{"READONLY", "leads to a replica, which accepts no writes (READONLY)", "use the master's address, or set REDIS_MODE=sentinel"},
	{"MASTERDOWN", "leads to a replica that has lost its master (MASTERDOWN)", "use the master's address, or set REDIS_MODE=sentinel"},
	{"MISCONF", "leads to a Redis that accepts no writes because it could not save to its disk (MISCONF)", "see Redis's log: free the disk, or correct its dir; then run BGSAVE"},
	{"OOM", "leads to a Redis that is full (OOM)", "raise its maxmemory, or remove other data from it"},
	{"NOREPLICAS", "leads to a master that accepts no writes because too few of its replicas are up to date (NOREPLICAS)", "connect its replicas, or lower its min-replicas-to-write"},
	{"LOADING", "leads to a Redis that is loading its data (LOADING)", "wait until it has finished"},
	{"BUSY", "leads to a Redis that is running another client's script (BUSY)", "wait, or run SCRIPT KILL"},
	{"CLUSTERDOWN", "leads to a Cluster that is down (CLUSTERDOWN)", "see CLUSTER NODES: every slot needs a master"},
	{"MOVED", "leads to a node of a Cluster, which has only some of the keys (MOVED)", "set REDIS_MODE=cluster"},
	{"CROSSSLOT", "leads to a node of a Cluster (CROSSSLOT)", "set REDIS_MODE=cluster"},
	{"This instance has cluster support disabled", "leads to a Redis that is not a Cluster", "set REDIS_MODE=single"},
	{"unknown command 'cluster", "leads to a Redis that is not a Cluster", "set REDIS_MODE=single"},
	{"DB index is out of range", "names a database that Redis does not have", "correct the number after the host in REDIS_URL"},
	{"SELECT is not allowed in cluster mode", "leads to a node of a Cluster, which has one database only", "set REDIS_MODE=cluster, and remove the number after the host in REDIS_URL"},
	{"max number of clients", "leads to a Redis that accepts no more clients", "raise its maxclients, or find unused connections with CLIENT LIST"},
	{"DENIED", "leads to a Redis in protected mode (DENIED)", "set a password and a bind address in Redis"},
}

// explain turns an error of a Redis client into a problem. It uses only Redis's first word of the error's text, because the
// rest may quote parts of REDIS_URL.
func explain(err error, c Redis) setting.Problem {
	if p, ok := explainReply(err, c); ok {
		return p
	}
	if p, ok := explainTLS(err, c); ok {
		return p
	}
	return explainNetwork(err, c)
}

// masterPassword is the hint for a wrong or missing master's password if the Sentinels' password is set.
const masterPassword = "with REDIS_MODE=sentinel, the user and password in front of the host are the Sentinels'; give the master's as options: ?master_name=…&username=…&password=…"

// explainReply explains an error that Redis returned. ok is false for other errors.
func explainReply(err error, c Redis) (p setting.Problem, ok bool) {
	reply, ok := errors.AsType[redis.Error](err)
	if !ok {
		return setting.Problem{}, false
	}
	for _, a := range answers {
		if !redis.HasErrorPrefix(err, a.prefix) {
			continue
		}
		switch {
		case c.Mode == Sentinel && (a.prefix == "NOAUTH" || a.prefix == "WRONGPASS"):
			return badURL(strings.Replace(a.problem, "Redis", "the master", 1), masterPassword), true
		case c.Mode != Cluster && a.prefix == "CLUSTERDOWN":
			return badURL("leads to a node of a Cluster (CLUSTERDOWN)", "set REDIS_MODE=cluster"), true
		case c.Mode == Sentinel && a.prefix == "READONLY":
			return badURL("leads to Sentinels that call a replica the master (READONLY)", "wait until the failover is over, and compare SENTINEL GET-MASTER-ADDR-BY-NAME on each Sentinel"), true
		}
		return badURL(a.problem, a.fix), true
	}
	word, _, _ := strings.Cut(strings.TrimPrefix(reply.Error(), "ERR "), " ")
	return badURL("leads to a Redis that refuses a command ("+word+")", "see the page of this error in Redis's documentation"), true
}

// explainTLS explains an error of the TLS handshake. ok is false for other errors.
func explainTLS(err error, c Redis) (p setting.Problem, ok bool) {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return tlsConflict("no trusted authority signed Redis's certificate", "set REDIS_CA_FILE to the certificate of the authority that signed Redis's"), true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return tlsConflict("Redis's certificate is for other hosts", "write a host of the certificate into REDIS_URL, or add the host to the certificate"), true
	}
	if _, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return tlsConflict("Redis's certificate is not valid now, or is not a server certificate", "renew Redis's certificate"), true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return tlsConflict("REDIS_URL uses TLS, but the server does not", "write redis:// in REDIS_URL, or Redis's TLS port"), true
	}
	e, alert := errors.AsType[*net.OpError](err)
	if alert && e.Op == "remote error" || scheme(c) == "rediss" && closed(err) { // the alert may be lost with the connection
		if c.Certificate == nil {
			return tlsConflict("Redis requires a client certificate", "set REDIS_CERT_FILE and REDIS_KEY_FILE"), true
		}
		return tlsConflict("Redis refuses the client certificate", "set REDIS_CERT_FILE to a certificate of an authority that Redis trusts"), true
	}
	return setting.Problem{}, false
}

func tlsConflict(problem, fix string) setting.Problem {
	return setting.Problem{Settings: []string{"REDIS_URL", "REDIS_CA_FILE", "REDIS_CERT_FILE", "REDIS_KEY_FILE"}, Problem: "conflict: " + problem, Fix: fix}
}

// explainNetwork explains every other error: no response came from Redis.
func explainNetwork(err error, c Redis) setting.Problem {
	p := badURL("leads to an unreachable Redis", "check the address, and that Redis runs and can be reached from here")
	why := unreachable(err)
	if why == "" {
		return p
	}
	p.Problem += ": " + why
	switch s := scheme(c); {
	case s == "redis" && closed(err):
		p.Fix += "; write rediss:// if it uses TLS"
	case s == "rediss" && timedOut(err):
		p.Fix += "; write redis:// if it does not use TLS"
	}
	return p
}

// unreachable says why a server is unreachable. It is empty if the reason is unknown.
func unreachable(err error) string {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "its host is unknown"
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	if timedOut(err) {
		return "it does not answer in time"
	}
	if errors.Is(err, io.EOF) {
		return "it closes the connection"
	}
	return ""
}

func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout() || errors.Is(err, context.DeadlineExceeded)
}

func closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func scheme(c Redis) string {
	before, _, _ := strings.Cut(c.URL, ":")
	return before
}

// refused is the kind of right that the user lacks.
type refused int

const (
	notRefused refused = iota
	refusedCommand
	refusedKey
	refusedChannel
)

// refusal returns the kind of right that Redis's NOPERM is about. Redis uses NOPERM for all kinds. The texts of 6.2 to 7.4
// have these words in common. Their order matters: the name of a user or a command may contain another word.
func refusal(err error) refused {
	if !redis.HasErrorPrefix(err, "NOPERM") {
		return notRefused
	}
	reply, _ := errors.AsType[redis.Error](err)
	switch text := reply.Error(); {
	case strings.Contains(text, "permissions to run"):
		return refusedCommand
	case strings.Contains(text, "channel"):
		return refusedChannel
	}
	return refusedKey
}
