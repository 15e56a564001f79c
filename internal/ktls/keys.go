package ktls

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
)

// suite is a cipher suite of TLS 1.3 that the kernel has, too.
type suite struct {
	id     uint16
	hash   func() hash.Hash
	hashed int    // bytes of a hash, and of a secret
	key    int    // bytes of a key
	kernel uint16 // TLS_CIPHER_*
}

var (
	aes128 = &suite{tls.TLS_AES_128_GCM_SHA256, sha256.New, sha256.Size, 16, cipherAES128}
	aes256 = &suite{tls.TLS_AES_256_GCM_SHA384, sha512.New384, sha512.Size384, 32, cipherAES256}
)

// suiteOf returns the suite of a number of RFC 8446, nil for one that is not used here:
// ChaCha20-Poly1305 is not, since the standard library has it for itself only.
func suiteOf(id uint16) *suite {
	switch id {
	case aes128.id:
		return aes128
	case aes256.id:
		return aes256
	}
	return nil
}

const (
	header   = 5
	nonce    = 12
	overhead = header + 1 + 16 // of a record without padding: header, type and tag

	typeChangeCipherSpec = 20
	typeAlert            = 21
	typeHandshake        = 22
	typeData             = 23

	messageServerHello = 2
	messageKeyUpdate   = 24
)

// keys seal and open the records of one direction between two changes of keys.
type keys struct {
	suite  *suite
	secret []byte
	seq    uint64 // of the next record
	aead   cipher.AEAD
	iv     [nonce]byte
}

func newKeys(s *suite, secret []byte) (*keys, error) {
	if len(secret) != s.hashed {
		return nil, fmt.Errorf("a secret of %d bytes for a suite of %d", len(secret), s.hashed)
	}
	return &keys{suite: s, secret: secret}, nil
}

// infoBytes is the size of what info returns.
func (s *suite) infoBytes() int { return 4 + nonce + s.key + sequenceBytes }

// expandLabel is HKDF-Expand-Label without a context (RFC 8446 section 7.1).
func expandLabel(s *suite, secret []byte, label string, n int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(info, byte(len("tls13 ")+len(label)))
	info = append(info, "tls13 "...)
	info = append(append(info, label...), 0)
	out, err := hkdf.Expand(s.hash, secret, string(info), n)
	if err != nil {
		panic(err) // n is no more than a few hashes
	}
	return out
}

// traffic derives key and iv (RFC 8446 section 7.3).
func (k *keys) traffic() (key, iv []byte) {
	return expandLabel(k.suite, k.secret, "key", k.suite.key), expandLabel(k.suite, k.secret, "iv", nonce)
}

// next returns the keys that follow a KeyUpdate (RFC 8446 section 7.2).
func (k *keys) next() *keys {
	return &keys{suite: k.suite, secret: expandLabel(k.suite, k.secret, "traffic upd", k.suite.hashed)}
}

// info returns what the kernel has to be told of the keys: one of the structures
// tls12_crypto_info_* of linux/tls.h.
func (k *keys) info() []byte {
	key, iv := k.traffic()
	b := binary.NativeEndian.AppendUint16(nil, tls.VersionTLS13)
	b = binary.NativeEndian.AppendUint16(b, k.suite.kernel)
	b = append(append(append(b, iv[4:]...), key...), iv[:4]...) // the first four bytes are its salt
	return binary.BigEndian.AppendUint64(b, k.seq)
}

var errRecord = errors.New("a record cannot be opened with the keys derived")

// open opens the next record, if it is that.
func (k *keys) open(record []byte) (kind byte, content []byte, err error) {
	if k.aead == nil {
		key, iv := k.traffic()
		copy(k.iv[:], iv)
		block, err := aes.NewCipher(key)
		if err != nil {
			return 0, nil, err
		}
		if k.aead, err = cipher.NewGCM(block); err != nil {
			return 0, nil, err
		}
	}
	n := k.iv
	for i := range 8 {
		n[nonce-1-i] ^= byte(k.seq >> (8 * i))
	}
	plain, err := k.aead.Open(nil, n[:], record[header:], record[:header])
	if err != nil {
		return 0, nil, errRecord
	}
	k.seq++
	for len(plain) > 0 && plain[len(plain)-1] == 0 { // padding
		plain = plain[:len(plain)-1]
	}
	if len(plain) == 0 {
		return 0, nil, errRecord
	}
	last := len(plain) - 1
	return plain[last], plain[:last], nil
}

// rest drops what can be derived again.
func (k *keys) rest() { k.aead = nil }

// splitRecord cuts the first record off what crypto/tls writes.
func splitRecord(p []byte) (record, rest []byte, ok bool) {
	if len(p) < header {
		return nil, nil, false
	}
	n := header + int(p[3])<<8 + int(p[4])
	if len(p) < n {
		return nil, nil, false
	}
	return p[:n], p[n:], true
}
