package pemfile

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
)

// Certificates returns all certificates of the file in their order, each one once. It fails if there is none, or if a
// block is anything else.
func (f File) Certificates() ([]*x509.Certificate, error) {
	blocks, err := f.Blocks()
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for _, b := range Distinct(blocks) {
		cert, err := b.Certificate()
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

// Distinct returns the blocks without those whose content came before.
func Distinct(blocks []Block) []Block {
	var distinct []Block
	seen := map[string]bool{}
	for _, b := range blocks {
		if !seen[string(b.DER)] {
			distinct = append(distinct, b)
		}
		seen[string(b.DER)] = true
	}
	return distinct
}

// KeyBlocks returns the blocks of a file that holds private keys: all but the EC PARAMETERS that openssl ecparam writes
// before a key. It fails if there is none.
func (f File) KeyBlocks() ([]Block, error) {
	blocks, err := f.Blocks()
	if err != nil {
		return nil, err
	}
	var keys []Block
	for _, b := range blocks {
		if b.Label != "EC PARAMETERS" {
			keys = append(keys, b)
		}
	}
	if len(keys) == 0 {
		return nil, f.refuse(0, "it holds EC parameters but no key")
	}
	return keys, nil
}

// KeyBlock returns the only key block of the file. The file may also be the key's bare base64, without BEGIN and END
// lines, as Alipay's key tool prints it.
func (f File) KeyBlock() (Block, error) {
	text, err := f.text()
	if err != nil {
		return Block{}, err
	}
	if !boundary.MatchString(text) && !damagedBoundary.MatchString(text) {
		return f.bareBase64(text)
	}
	blocks, err := f.KeyBlocks()
	if err != nil {
		return Block{}, err
	}
	if len(blocks) > 1 {
		return Block{}, f.refuse(blocks[1].Number, fmt.Sprintf("more than one PEM block: there are %d, so it is unclear which one is the key", len(blocks)))
	}
	return blocks[0], nil
}

func (f File) bareBase64(text string) (Block, error) {
	der, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(stripSpace(text, ""), "="))
	if err != nil || len(der) == 0 || der[0] != 0x30 { // every key is an ASN.1 sequence
		return Block{}, f.refuse(0, "it is neither PEM nor the base64 of a key, which begins with MI")
	}
	return Block{DER: der, file: f.Name}, nil
}

// Pool returns the certificates of the file as a pool of authorities.
func (f File) Pool() (*x509.CertPool, error) {
	certs, err := f.Certificates()
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	return pool, nil
}

// KeyPair returns a certificate with its private key for use with TLS. The key file holds one key. The certificate file
// holds the certificate of that key, found by its public key, and may hold the certificates that lead to its authority;
// their order in the file does not matter.
func KeyPair(certFile, keyFile File) (tls.Certificate, error) {
	certs, err := certFile.Certificates()
	if err != nil {
		return tls.Certificate{}, err
	}
	block, err := keyFile.KeyBlock()
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := block.PrivateKey()
	if err != nil {
		return tls.Certificate{}, err
	}
	for i, cert := range certs {
		public, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
		if ok && public.Equal(key.Public()) {
			return tls.Certificate{Certificate: chainFrom(cert, append(certs[:i:i], certs[i+1:]...)), PrivateKey: key, Leaf: cert}, nil
		}
	}
	return tls.Certificate{}, certFile.refuse(0, "none of its certificates belongs to the private key")
}

// chainFrom returns the certificate, then the one that issued it, and so on, as far as the others lead.
func chainFrom(cert *x509.Certificate, others []*x509.Certificate) [][]byte {
	chain := [][]byte{cert.Raw}
	for range others {
		if bytes.Equal(cert.RawIssuer, cert.RawSubject) {
			break
		}
		for _, other := range others {
			if bytes.Equal(other.RawSubject, cert.RawIssuer) && other.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil {
				chain, cert = append(chain, other.Raw), other
				break
			}
		}
	}
	return chain
}
