package koubeisim

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Options say what this Koubei is like. The zero value works: fresh keys, a fresh app id, the real clock.
type Options struct {
	// AppID is the ISV's application; fresh 16 digits when empty.
	AppID string

	// AppPrivateKey or AppPublicKey is the application's own key, in PEM or as bare base64. With neither, a fresh pair is
	// made, whose private half can be asked for.
	AppPrivateKey string
	AppPublicKey  string

	// LandingURL is the address that the ISV registered: where a browser is sent with its code. A query of its own is kept.
	LandingURL string

	// GatewayURL is told to whoever asks the control API; when empty, /gateway.do on the host that was asked.
	GatewayURL string

	// Hosts are names, besides localhost and bare addresses, under which portal and control API may be addressed.
	Hosts []string

	CodeLifetime time.Duration    // 3 minutes when zero, the least that Koubei documents
	Now          func() time.Time // time.Now when nil

	SignType   string // the kind of key the application registered: RSA2 when empty, or RSA
	Charset    string // the only charset taken; when empty, each that is documented
	EncryptKey []byte // AES key: the query must come encrypted then

	// Certificates turns certificate mode on: a root bundle, intermediates and leaves are made at the start.
	Certificates bool

	// SlowFor is how long Slow takes; when zero, until the client leaves.
	SlowFor time.Duration

	// Plain answers look like the documentation's, always. For clients that can't read other spellings of the same JSON;
	// the official Node SDK, for one, fails where the signature comes first.
	Plain bool
}

// Koubei is one platform with one application registered. Its methods may be called from many goroutines.
type Koubei struct {
	appID        string
	appKey       *rsa.PublicKey
	appPrivate   *rsa.PrivateKey // nil when only the public half was given
	signType     string
	charset      string
	encryptKey   []byte
	gatewayURL   string
	hosts        []string
	codeLifetime time.Duration
	slowFor      time.Duration
	plain        bool
	now          func() time.Time
	stranger     func() *rsa.PrivateKey // signs what Koubei never said

	mu       sync.Mutex
	landing  *url.URL
	key      *rsa.PrivateKey // signs answers; changes with the certificate
	certs    *certificates   // nil in key mode
	codes    ledger
	faults   []Fault
	calls    callLog
	held     map[chan struct{}]bool
	arrivals chan struct{} // closed and renewed whenever a call begins to be held
	answers  int           // given so far; answers differ by it
}

// New makes a Koubei, or says everything that is wrong with the options.
func New(o Options) (*Koubei, error) {
	k := &Koubei{
		appID:        o.AppID,
		signType:     cmp.Or(o.SignType, "RSA2"),
		charset:      o.Charset,
		encryptKey:   slices.Concat(o.EncryptKey), // nil where it is empty: a call is plain then
		gatewayURL:   o.GatewayURL,
		hosts:        o.Hosts,
		codeLifetime: cmp.Or(o.CodeLifetime, 3*time.Minute),
		slowFor:      o.SlowFor,
		plain:        o.Plain,
		now:          o.Now,
		stranger:     sync.OnceValue(freshKey),
		held:         map[chan struct{}]bool{},
		arrivals:     make(chan struct{}),
	}
	if k.appID == "" {
		k.appID = freshAppID()
	}
	if k.now == nil {
		k.now = time.Now
	}
	if err := errors.Join(o.check(), k.registerApp(o), k.SetLandingURL(o.LandingURL)); err != nil {
		return nil, fmt.Errorf("koubeisim: %w", err)
	}
	k.key = freshKey()
	if o.Certificates {
		k.certs = issueCertificates(k.appID, k.appKey, k.key, k.now())
	}
	return k, nil
}

func (o Options) check() error {
	var wrong []error
	if o.SignType != "" && digests[o.SignType] == 0 {
		wrong = append(wrong, fmt.Errorf("sign type %q: want RSA2 or RSA", o.SignType))
	}
	if _, ok := charsetNamed(o.Charset); o.Charset != "" && !ok {
		wrong = append(wrong, fmt.Errorf("charset %q: want utf-8, gbk, gb2312 or gb18030", o.Charset))
	}
	if n := len(o.EncryptKey); n != 0 && n != 16 && n != 24 && n != 32 {
		wrong = append(wrong, fmt.Errorf("encrypt key of %d bytes: want 16, 24 or 32", n))
	}
	if o.CodeLifetime < 0 || o.SlowFor < 0 {
		wrong = append(wrong, errors.New("negative duration"))
	}
	return errors.Join(wrong...)
}

func (k *Koubei) registerApp(o Options) error {
	var err error
	switch {
	case o.AppPrivateKey != "" && o.AppPublicKey != "":
		return errors.New("give the app's private key or its public key, not both")
	case o.AppPublicKey != "":
		k.appKey, err = parsePublicKey(o.AppPublicKey)
		return err
	case o.AppPrivateKey != "":
		if k.appPrivate, err = parsePrivateKey(o.AppPrivateKey); err != nil {
			return err
		}
	default:
		k.appPrivate = freshKey()
	}
	k.appKey = &k.appPrivate.PublicKey
	return nil
}

// AppID is the application that codes are for.
func (k *Koubei) AppID() string { return k.appID }

// AppPrivateKey is the application's key as Alipay's key tool prints it, bare base64 of PKCS#8. Empty when only the public
// half was given.
func (k *Koubei) AppPrivateKey() string {
	if k.appPrivate == nil {
		return ""
	}
	return bareBase64(marshalPrivate(k.appPrivate))
}

// AlipayPublicKey is what answers are verified with: bare base64 of a SubjectPublicKeyInfo.
func (k *Koubei) AlipayPublicKey() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return bareBase64(marshalPublic(&k.key.PublicKey))
}

// freshAppID makes one in the shape of real ones: 16 digits that begin with a year.
func freshAppID() string {
	const digits = "0123456789"
	return "2021" + randomText(digits, 12)
}

// randomText draws n characters of the alphabet, each as likely as the next.
func randomText(alphabet string, n int) string {
	limit := byte(256 / len(alphabet) * len(alphabet) % 256) // 0: every byte will do
	text := make([]byte, 0, n)
	for b := make([]byte, 1); len(text) < n; {
		rand.Read(b)
		if limit == 0 || b[0] < limit {
			text = append(text, alphabet[int(b[0])%len(alphabet)])
		}
	}
	return string(text)
}
