package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"

	"koubei-landing/internal/setting"
)

// secure adds the authorities and the client's certificate to a TLS configuration. It fails without TLS, which the scheme
// rediss:// turns on.
func (c Redis) secure(t *tls.Config) error {
	if c.Authorities == nil && c.Certificate == nil {
		return nil
	}
	if t == nil {
		return setting.Problem{
			Settings: []string{"REDIS_URL", "REDIS_CA_FILE", "REDIS_CERT_FILE", "REDIS_KEY_FILE"},
			Problem:  "conflict: certificates need TLS", Fix: "write rediss:// in REDIS_URL, or remove the files",
		}
	}
	if c.Authorities != nil {
		t.RootCAs = c.Authorities
	}
	if c.Certificate != nil {
		t.Certificates = []tls.Certificate{*c.Certificate}
	}
	return nil
}

// dial returns a function that connects, with TLS if config is not nil.
func dial(c Redis, config *tls.Config) func(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{Timeout: dialRoundTrips * c.Timeout, KeepAliveConfig: keepAlive}
	if config == nil {
		return d.DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return (&tls.Dialer{NetDialer: d, Config: forNode(config, address)}).DialContext(ctx, network, address)
	}
}

// forNode returns a TLS configuration that accepts a certificate for the host in REDIS_URL or for the host of the node's
// own address. Nodes of a Cluster and the Sentinels' master announce addresses that may not be in REDIS_URL. Some
// deployments use one certificate for all nodes, others one for each.
func forNode(config *tls.Config, address string) *tls.Config {
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == config.ServerName || config.InsecureSkipVerify {
		return config
	}
	own, shared := config.Clone(), config.ServerName
	if net.ParseIP(host) == nil {
		own.ServerName = host // the name that the client sends to the server
	}
	own.InsecureSkipVerify = true // VerifyConnection verifies the certificate, for both names
	own.VerifyConnection = func(state tls.ConnectionState) error {
		leaf := state.PeerCertificates[0]
		intermediates := x509.NewCertPool()
		for _, cert := range state.PeerCertificates[1:] {
			intermediates.AddCert(cert)
		}
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: config.RootCAs, Intermediates: intermediates}); err != nil {
			return err
		}
		if leaf.VerifyHostname(host) == nil {
			return nil
		}
		return leaf.VerifyHostname(shared)
	}
	return own
}
