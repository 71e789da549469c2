package koubeisim

import (
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Options configure a simulator. The zero value works: new keys, a new app id, the real clock.
type Options struct {
	// AppID is the id of the ISV's application. When empty, New makes one of 16 digits.
	AppID string

	// AppPrivateKey or AppPublicKey is the application's key, in PEM or in bare base64. Without either, New makes a key
	// pair, and Koubei.AppPrivateKey returns its private half.
	AppPrivateKey string
	AppPublicKey  string

	// AlipayPrivateKey signs responses. When empty, New makes a key. A fixed one makes New fast, which helps tests that start
	// many simulators.
	AlipayPrivateKey string

	// LandingURL is the address that the ISV registered at Koubei, where the browser goes with its code. It may have a
	// query. SetLandingURL sets it later.
	LandingURL string

	// GatewayURL is the gateway address that the control API returns. When empty, it is /gateway.do on the requested host.
	GatewayURL string

	// Hosts are the host names that portal and control API accept besides localhost and IP addresses.
	Hosts []string

	CodeLifetime time.Duration    // 3 minutes when zero, which is the shortest that Koubei documents
	Now          func() time.Time // time.Now when nil

	SignType   string // RSA2 or RSA; RSA2 when empty
	Charset    string // the only accepted charset; when empty, every documented one
	EncryptKey []byte // AES key: queries must then be encrypted

	// Certificates turns certificate mode on. New then makes a root bundle, intermediates and certificates.
	Certificates bool

	// SlowFor is how long Slow and SpendThenSlow wait. When zero, they wait until the client leaves.
	SlowFor time.Duration

	// Plain makes all responses look like those in the documentation. Use it for clients that cannot parse other spellings
	// of the same JSON: the official Node SDK fails if the signature comes first.
	Plain bool
}

// Koubei simulates the platform with one registered application. It is safe for concurrent use.
type Koubei struct {
	o          Options // with defaults
	appKey     *rsa.PublicKey
	appPrivate *rsa.PrivateKey        // nil when only the public key was given
	stranger   func() *rsa.PrivateKey // signs forged responses

	mu       sync.Mutex
	landing  *url.URL
	key      *rsa.PrivateKey // signs responses; changes with the certificate
	certs    *certificates   // nil in public key mode
	codes    ledger
	faults   []Fault
	calls    callLog
	held     map[chan struct{}]bool
	arrivals chan struct{} // closed and replaced whenever a call begins to be held
	replies  int           // counts responses, which differ by it
}

// New returns a simulator. It fails with an error that lists everything that is wrong with the options.
func New(o Options) (*Koubei, error) {
	k := &Koubei{o: o, stranger: sync.OnceValue(newKey), held: map[chan struct{}]bool{}, arrivals: make(chan struct{})}
	k.o.AppID = cmp.Or(o.AppID, "2021"+randomText(digits, 12))
	k.o.SignType = cmp.Or(o.SignType, "RSA2")
	k.o.EncryptKey = slices.Clone(o.EncryptKey)
	k.o.CodeLifetime = cmp.Or(o.CodeLifetime, 3*time.Minute)
	if o.Now == nil {
		k.o.Now = time.Now
	}
	if err := errors.Join(k.o.check(), k.setKeys(), k.SetLandingURL(o.LandingURL)); err != nil {
		return nil, fmt.Errorf("koubeisim: %w", err)
	}
	if o.Certificates {
		k.certs = issueCertificates(k.o.AppID, k.appKey, k.key, k.o.Now())
	}
	return k, nil
}

func (o Options) check() error {
	var errs []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	_, known := charsetNamed(o.Charset)
	n := len(o.EncryptKey)
	refuse(hashes[o.SignType] == 0, "sign type %q: use RSA2 or RSA", o.SignType)
	refuse(o.Charset != "" && !known, "charset %q: use utf-8, gbk, gb2312 or gb18030", o.Charset)
	refuse(n != 0 && n != 16 && n != 24 && n != 32, "encrypt key of %d bytes: use 16, 24 or 32", n)
	refuse(o.CodeLifetime < 0 || o.SlowFor < 0, "a duration is negative")
	return errors.Join(errs...)
}

func (k *Koubei) setKeys() (err error) {
	if k.key, err = privateKey(k.o.AlipayPrivateKey, "Alipay's"); err != nil {
		return err
	}
	if k.o.AppPublicKey == "" {
		if k.appPrivate, err = privateKey(k.o.AppPrivateKey, "the app's"); err == nil {
			k.appKey = &k.appPrivate.PublicKey
		}
		return err
	}
	if k.o.AppPrivateKey != "" {
		return errors.New("the app's private key and its public key are both set: set one of them")
	}
	k.appKey, err = parseKey(k.o.AppPublicKey, "the app's public key is not an RSA public key (SubjectPublicKeyInfo or PKCS #1)", x509.ParsePKCS1PublicKey, x509.ParsePKIXPublicKey)
	return err
}

// privateKey returns the key in text, or a new one if text is empty.
func privateKey(text, whose string) (*rsa.PrivateKey, error) {
	if text == "" {
		return newKey(), nil
	}
	return parseKey(text, whose+" private key is not an RSA private key (PKCS #8 or PKCS #1)", x509.ParsePKCS1PrivateKey, x509.ParsePKCS8PrivateKey)
}

// AppID returns the id of the application that codes are issued for.
func (k *Koubei) AppID() string { return k.o.AppID }

// AppPrivateKey returns the application's private key as Alipay's key tool prints it: bare base64 of PKCS #8. It returns an
// empty string when only the public key was given.
func (k *Koubei) AppPrivateKey() string {
	if k.appPrivate == nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(must(x509.MarshalPKCS8PrivateKey(k.appPrivate)))
}

// AlipayPublicKey returns the key that verifies responses: bare base64 of a SubjectPublicKeyInfo.
func (k *Koubei) AlipayPublicKey() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return base64.StdEncoding.EncodeToString(must(x509.MarshalPKIXPublicKey(&k.key.PublicKey)))
}
