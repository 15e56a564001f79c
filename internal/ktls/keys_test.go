package ktls

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The keys and a record of RFC 8448 section 3.
func TestDerivation(t *testing.T) {
	for _, c := range []struct{ what, secret, key, iv string }{
		{
			"handshake", "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38",
			"3fce516009c21727d0f2e4e86ee403bc", "5d313eb2671276ee13000b30",
		},
		{
			"application", "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
			"9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984",
		},
	} {
		k, err := newKeys(suiteOf(tls.TLS_AES_128_GCM_SHA256), unhex(t, c.secret))
		if err != nil {
			t.Fatal(err)
		}
		key, iv := k.traffic()
		if hex.EncodeToString(key) != c.key || hex.EncodeToString(iv) != c.iv {
			t.Errorf("%s: key %x, iv %x; want %s, %s", c.what, key, iv, c.key, c.iv)
		}
		// struct tls12_crypto_info_aes_gcm_128 is 40 bytes.
		k.seq = 0x0102
		info := k.info()
		if len(info) != 40 || len(info) != k.suite.infoBytes() || hex.EncodeToString(info[4:]) != c.iv[8:]+c.key+c.iv[:8]+"0000000000000102" {
			t.Errorf("%s: %x", c.what, info)
		}
		if c.what != "application" {
			continue
		}
		k.seq = 2 // behind a ticket and some data
		kind, content, err := k.open(unhex(t, "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9"))
		if err != nil || kind != typeAlert || !bytes.Equal(content, []byte{1, 0}) {
			t.Errorf("close_notify: %d %x, %v", kind, content, err)
		}
	}
	if n := len((&keys{suite: suiteOf(tls.TLS_AES_256_GCM_SHA384), secret: make([]byte, 48)}).info()); n != 56 {
		t.Errorf("struct tls12_crypto_info_aes_gcm_256 of %d bytes", n)
	}
	if _, err := newKeys(suiteOf(tls.TLS_AES_256_GCM_SHA384), make([]byte, 32)); err == nil {
		t.Error("a secret of another hash was taken")
	}
	if suiteOf(tls.TLS_CHACHA20_POLY1305_SHA256) != nil {
		t.Error("ChaCha20 is not implemented")
	}
}
