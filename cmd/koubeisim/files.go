package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"koubei-landing/koubeisim"
)

// writeFiles writes the files that configure an ISV's service. The environment file comes last and whole, because a script
// may wait for it.
func (s *settings) writeFiles(koubei *koubeisim.Koubei, gateway string) error {
	dir, err := filepath.Abs(s.Certificates)
	if err != nil {
		return err
	}
	if s.Certificates != "" {
		if err := writeCertificates(dir, koubei.Certificates()); err != nil {
			return err
		}
	}
	if s.WriteEnv == "" {
		return nil
	}
	return writePrivately(s.WriteEnv, s.environment(koubei, gateway, dir))
}

func writeCertificates(dir string, c koubeisim.Certificates) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		appCertFile: c.App, alipayCertFile: c.Alipay, rootCertFile: c.Root,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// The file names of Alipay's console.
const (
	appCertFile    = "appCertPublicKey.crt"
	alipayCertFile = "alipayCertPublicKey_RSA2.crt"
	rootCertFile   = "alipayRootCert.crt"
)

// environment returns the service's settings, one NAME=value per line.
func (s *settings) environment(koubei *koubeisim.Koubei, gateway, dir string) string {
	var b strings.Builder
	set := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s=%s\n", name, value)
		}
	}
	set("ALIPAY_APP_ID", koubei.AppID())
	set("ALIPAY_APP_PRIVATE_KEY", koubei.AppPrivateKey())
	if s.Certificates == "" {
		set("ALIPAY_PUBLIC_KEY", koubei.AlipayPublicKey())
	} else {
		set("ALIPAY_APP_CERT_FILE", filepath.Join(dir, appCertFile))
		set("ALIPAY_CERT_FILE", filepath.Join(dir, alipayCertFile))
		set("ALIPAY_ROOT_CERT_FILE", filepath.Join(dir, rootCertFile))
	}
	set("ALIPAY_GATEWAY_URL", gateway)
	if s.SignType != "RSA2" {
		set("ALIPAY_SIGN_TYPE", s.SignType)
	}
	set("ALIPAY_CHARSET", s.Charset)
	set("ALIPAY_ENCRYPT_KEY", s.EncryptKey)
	return b.String()
}

// writePrivately replaces the file in one step. Only the owner can read it, because it holds a key.
func writePrivately(name, content string) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".koubeisim-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(content)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
