package alipay

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
)

// zeroIV is the initialization vector that the protocol uses for every message: AES-128-CBC with PKCS #7 padding. This
// gives no integrity, so the service decrypts nothing before it has verified the signature.
var zeroIV [aes.BlockSize]byte

func encrypt(block cipher.Block, plain []byte) string {
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	padded := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, zeroIV[:]).CryptBlocks(padded, padded)
	return base64.StdEncoding.EncodeToString(padded)
}

// decrypt fails if text is not base64 of whole blocks, or if the padding is wrong.
func decrypt(block cipher.Block, text string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) == 0 || len(b)%aes.BlockSize != 0 {
		return nil, errors.New("the encrypted text is not base64 of whole blocks")
	}
	cipher.NewCBCDecrypter(block, zeroIV[:]).CryptBlocks(b, b)
	pad := int(b[len(b)-1])
	if pad == 0 || pad > aes.BlockSize || !bytes.Equal(b[len(b)-pad:], bytes.Repeat([]byte{byte(pad)}, pad)) {
		return nil, errors.New("the encrypted text has wrong padding, so it may belong to another AES key")
	}
	return b[:len(b)-pad], nil
}

// decryptNode returns the plain bytes of a node that is a JSON string.
func (c *Client) decryptNode(node []byte) ([]byte, error) {
	if c.block == nil {
		return nil, errors.New("the response is encrypted, although the request was not")
	}
	text, _ := stringValue(node) // empty, which decrypt refuses, if it is not a string
	return decrypt(c.block, text)
}
