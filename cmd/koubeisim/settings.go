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
	Listen           string        `default:"127.0.0.1:8900" placeholder:"ADDRESS" help:"Portal, control API and gateway. It mints operators: keep it on loopback or inside a test network."`
	AllowHost        []string      `placeholder:"NAME" help:"Host names, besides localhost and bare addresses, under which portal and control API may be addressed."`
	LandingURL       string        `name:"landing-url" placeholder:"URL" help:"The address that the ISV registered at Koubei: where browsers are sent with their code. Its own query is kept."`
	GatewayURL       string        `name:"gateway-url" placeholder:"URL" help:"How the ISV reaches the gateway, if not by the listener's address."`
	AppID            string        `name:"app-id" placeholder:"ID" help:"The ISV's application; fresh when not given."`
	AppPublicKeyFile string        `placeholder:"FILE" help:"The application's public key, PEM or bare base64; without it a fresh pair is made."`
	CodeLifetime     time.Duration `default:"3m" help:"How long a code is good."`
	SignType         string        `default:"RSA2" placeholder:"TYPE" help:"The kind of key that the application registered: RSA2 or RSA."`
	Charset          string        `placeholder:"NAME" help:"The only charset to take: utf-8, gbk, gb2312 or gb18030. Each of them when not given."`
	EncryptKey       string        `placeholder:"BASE64" help:"AES key: queries must come encrypted, and are answered so."`
	Certificates     string        `placeholder:"DIR" help:"Certificate mode; the certificates are written to this directory."`
	SlowFor          time.Duration `default:"8s" help:"How long the fault 'slow' takes."`
	Plain            bool          `help:"Spell answers always as the documentation does. For the official Node SDK, which can't read every spelling."`
	WriteEnv         string        `placeholder:"FILE" help:"Write the ISV's settings (ALIPAY_APP_ID=… and so on) to this file, mode 0600, before serving."`

	Version kong.VersionFlag `help:"Print the version."`
}

// version is set by the build: -ldflags "-X main.version=…".
var version = ""

const description = `A stand-in for Koubei and the Alipay gateway, for tests, demos and an ISV's own CI.

Each flag is also an environment variable, KOUBEISIM_LISTEN for --listen and so on; the flag wins. Keys, app id and codes are new at every start.

For people: open the printed address. For programs, on the same listener:

  GET    /api/app              app id, keys, gateway and landing address
  POST   /api/codes            {"operator_id","operator_type","partner_id","shop_ids","lifetime","state"} gives {"code","url","documented_url"}
  POST   /api/faults           {"faults":["busy","spend-then-drop"]}, one for each gateway call to come
  GET    /api/faults           what is queued, and every fault there is
  DELETE /api/faults           forget the queue
  POST   /api/release          let held calls go on
  POST   /api/certificate/roll renew Alipay's certificate
  GET    /api/calls[?code=…]   what reached the gateway
  POST   /gateway.do           the gateway
  GET    /healthz              200 once serving`

// parse reads the flags, else the environment, else the defaults. done means that it has printed the help or the version.
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

// koubei is what the settings ask for, or everything that is wrong with them.
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
