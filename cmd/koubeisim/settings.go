package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"koubei-landing/internal/buildinfo"
	"koubei-landing/koubeisim"
)

type settings struct {
	Listen           string        `default:"127.0.0.1:8900" placeholder:"ADDRESS" help:"Portal, control API and gateway. They sign anybody in: keep them on loopback or in a test network."`
	AllowHost        []string      `placeholder:"NAME" help:"Host names that portal and control API accept besides localhost and IP addresses."`
	LandingURL       string        `name:"landing-url" placeholder:"URL" help:"The address that the ISV registered at Koubei, where browsers go with their code. It may have a query."`
	GatewayURL       string        `name:"gateway-url" placeholder:"URL" help:"The gateway address that the ISV uses, if it is not the listener's."`
	AppID            string        `name:"app-id" placeholder:"ID" help:"The id of the ISV's application. Default: a new one at every start."`
	AppPublicKeyFile string        `placeholder:"FILE" help:"The application's public key, PEM or bare base64. Default: a new key pair at every start."`
	CodeLifetime     time.Duration `default:"3m" help:"How long a code is valid."`
	SignType         string        `default:"RSA2" placeholder:"TYPE" help:"The sign type of the application: RSA2 or RSA."`
	Charset          string        `placeholder:"NAME" help:"The only accepted charset: utf-8, gbk, gb2312 or gb18030. Default: all of them."`
	EncryptKey       string        `placeholder:"BASE64" help:"Base64 AES key. koubeisim then requires encrypted requests and encrypts its responses."`
	Certificates     string        `placeholder:"DIR" help:"Certificate mode. The certificates are written to this directory."`
	SlowFor          time.Duration `default:"8s" help:"How long the fault 'slow' waits."`
	Plain            bool          `help:"Make all responses look like those in the documentation, for clients such as the official Node SDK that cannot parse every spelling."`
	WriteEnv         string        `placeholder:"FILE" help:"Write the ISV's settings (ALIPAY_APP_ID=… and so on) to this file, mode 0600, before serving."`

	Version kong.VersionFlag `help:"Print the version."`
}

// version is set by the build: -ldflags "-X main.version=…".
var version = ""

const description = `Simulates Koubei and the Alipay gateway for tests, demos and CI.

Each flag is also an environment variable, for example KOUBEISIM_LISTEN for --listen; the flag takes precedence. Keys, app id and codes are new at every start.

People open the printed address. Programs use the same listener:

  GET    /api/app              app id, keys, gateway and landing address
  POST   /api/codes            {"operator_id","operator_type","partner_id","shop_ids","lifetime","state"} returns {"code","url","documented_url"}
  POST   /api/faults           {"faults":["busy","spend-then-drop"]}, one for each of the next gateway calls
  GET    /api/faults           the queued faults, and all that exist
  DELETE /api/faults           empty the queue
  POST   /api/release          release held calls
  POST   /api/certificate/roll renew Alipay's certificate
  GET    /api/calls[?code=…]   the calls that reached the gateway
  POST   /gateway.do           the gateway
  GET    /healthz              200 once serving`

// parse reads flags, which take precedence over the environment. done is true if help or the version was printed.
func parse(args []string, getenv func(string) string, stdout io.Writer) (s *settings, done bool, err error) {
	s = &settings{}
	environment := func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		value := getenv("KOUBEISIM_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_")))
		if value == "" || flag.Name == "help" || flag.Name == "version" {
			return nil, nil // empty counts as unset
		}
		return value, nil
	}
	parser, err := kong.New(s,
		kong.Name("koubeisim"),
		kong.Description(description),
		kong.Writers(stdout, stdout),
		kong.Exit(func(int) { done = true }),
		kong.Resolvers(kong.ResolverFunc(environment)),
		kong.Vars{"version": buildinfo.Of(version).Line("koubeisim")},
	)
	if err != nil {
		return nil, false, err
	}
	_, err = parser.Parse(args)
	return s, done, err
}

// koubei returns the simulator. It fails if a setting is invalid.
func (s *settings) koubei() (*koubeisim.Koubei, error) {
	key, keyErr := base64.StdEncoding.DecodeString(s.EncryptKey)
	if keyErr != nil {
		keyErr = errors.New("--encrypt-key is not base64") // the cause would quote it
	}
	public, fileErr := s.appPublicKey()
	if err := errors.Join(keyErr, fileErr); err != nil {
		return nil, err
	}
	return koubeisim.New(koubeisim.Options{
		AppID:        s.AppID,
		AppPublicKey: public,
		LandingURL:   s.LandingURL,
		GatewayURL:   s.GatewayURL,
		Hosts:        s.AllowHost,
		CodeLifetime: s.CodeLifetime,
		SignType:     s.SignType,
		Charset:      s.Charset,
		EncryptKey:   key,
		Certificates: s.Certificates != "",
		SlowFor:      s.SlowFor,
		Plain:        s.Plain,
	})
}

func (s *settings) appPublicKey() (string, error) {
	if s.AppPublicKeyFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(s.AppPublicKeyFile)
	if err == nil && len(text) == 0 {
		err = fmt.Errorf("%s is empty", s.AppPublicKeyFile)
	}
	return string(text), err
}
