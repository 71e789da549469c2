package koubeisim

import (
	"crypto/rsa"
	"time"
)

// rogueChain is a certificate under names of ours that ends in a root of its own.
type rogueChain struct {
	sn    string
	chain []byte
	key   *rsa.PrivateKey
}

// impostor makes a chain with our names that ends in a root of its own.
func impostor(now time.Time) rogueChain {
	class2 := newRoot("R1", freshKey(), now).issue(authorityName("Class 2 R1"), freshKey(), now)
	key := freshKey()
	leaf := class2.certify(leafName("支付宝模拟(测试)-2088000000000000"), &key.PublicKey, now)
	return rogueChain{sn: certSN(leaf), chain: encodeChain(leaf.Raw, class2.der), key: key}
}

func rogueCert(k *Koubei, d *draft) {
	if k.certs == nil {
		d.key = k.stranger()
		return
	}
	r := k.certs.rogue()
	d.key, d.certSN = r.key, r.sn
	k.mu.Lock()
	defer k.mu.Unlock()
	k.certs.chains[r.sn] = r.chain
}

func unknownCert(k *Koubei, d *draft) {
	d.key = k.stranger()
	if k.certs != nil {
		d.certSN = "00000000000000000000000000000000"
	}
}
