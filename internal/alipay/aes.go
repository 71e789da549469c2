package alipay

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
)

// ParseEncryptKey reads the AES key for content encryption as the console shows it: base64 of 16 bytes. The error never
// quotes the text.
func ParseEncryptKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(stripSpace(text))
	if err != nil || len(key) != aes.BlockSize {
		return nil, errors.New("the encryption key is not base64 of 16 bytes: copy the AES key of the application's settings in Alipay's console")
	}
	return key, nil
}

// zeroIV is what the protocol uses for every message: AES-128-CBC, PKCS #7. It gives no integrity, so nothing is decrypted
// before its signature was verified.
var zeroIV [aes.BlockSize]byte

func encrypt(block cipher.Block, plain []byte) string {
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	padded := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, zeroIV[:]).CryptBlocks(padded, padded)
	return base64.StdEncoding.EncodeToString(padded)
}

// decrypt fails where text is no base64 of whole blocks, or where the padding is wrong.
func decrypt(block cipher.Block, text string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) == 0 || len(b)%aes.BlockSize != 0 {
		return nil, errors.New("encrypted text that is no base64 of whole blocks")
	}
	cipher.NewCBCDecrypter(block, zeroIV[:]).CryptBlocks(b, b)
	pad := int(b[len(b)-1])
	if pad == 0 || pad > aes.BlockSize || !bytes.Equal(b[len(b)-pad:], bytes.Repeat([]byte{byte(pad)}, pad)) {
		return nil, errors.New("encrypted text with wrong padding: is it the application's AES key?")
	}
	return b[:len(b)-pad], nil
}

// decryptNode returns the plain bytes of a node that is a JSON string.
func (c *Client) decryptNode(node []byte) ([]byte, error) {
	if c.block == nil {
		return nil, errors.New("an encrypted answer although encryption was not asked for")
	}
	text, err := stringValue(node)
	if err != nil {
		return nil, errors.New("an encrypted answer that is no string")
	}
	return decrypt(c.block, text)
}
