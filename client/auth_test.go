package client_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/ringkit/ringkit/client"
)

func TestSetBearer(t *testing.T) {
	for _, token := range []string{"a", "mF_9.B5f-4.1JqM", "a+b/c~d==", "="} {
		r := &http.Request{}
		err := client.SetBearer(r, token)
		if got := r.Header.Get("Authorization"); (err == nil) != (token != "=") || err == nil && got != "Bearer "+token {
			t.Errorf("%q: %q, %v", token, got, err)
		}
	}
	for _, token := range []string{"", "==", "a b", "a\n", "a\r\nX: y", "a=b", "\u00e9", "a\x00", `"a"`, "Bearer a"} {
		r := &http.Request{Header: http.Header{"Authorization": {"before"}}}
		if err := client.SetBearer(r, token); err == nil || r.Header.Get("Authorization") != "before" {
			t.Errorf("%q: %q, %v", token, r.Header, err)
		}
	}
}

func TestSetBasic(t *testing.T) {
	for _, test := range []struct {
		user, password string
		ok             bool
	}{
		{"Aladdin", "open sesame", true},
		{"", "", true},
		{"user", "pass:word", true},
		{"us\u00e9r", "\u20ac", true},
		{"us:er", "password", false},
		{"user\n", "password", false},
		{"user", "password\n", false},
		{"user", "\x7f", false},
	} {
		r := &http.Request{}
		err := client.SetBasic(r, test.user, test.password)
		user, password, set := r.BasicAuth()
		if (err == nil) != test.ok || set != test.ok || set && (user != test.user || password != test.password) {
			t.Errorf("%q, %q: %q, %v", test.user, test.password, r.Header, err)
		}
	}
}

func ExampleSetBearer() {
	r, _ := http.NewRequest("GET", "https://api.example/", nil)
	fmt.Println(client.SetBearer(r, "mF_9.B5f-4.1JqM"), r.Header)
	fmt.Println(client.SetBearer(r, "read from a file\n"))
	// Output:
	// <nil> map[Authorization:[Bearer mF_9.B5f-4.1JqM]]
	// client: bearer token is not of RFC 6750, section 2.1
}
