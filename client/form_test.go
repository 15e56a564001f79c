package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/client"
)

type m = map[string]any

type colour int

func (c colour) String() string { return [...]string{"red", "green"}[c] }

type broken struct{}

func (broken) MarshalText() ([]byte, error) { return nil, errors.New("no text today") }

// encode returns parameters as they are, for people to read.
func readable(style client.ListStyle, params any) (string, error) {
	form, err := style.Encode(params)
	text, _ := url.QueryUnescape(form)
	return text, err
}

func TestEncodeValues(t *testing.T) {
	n, now := 7, time.Date(2026, 11, 22, 20, 0, 0, 5000000, time.FixedZone("", 3600))
	var none *int
	for _, test := range []struct {
		value any
		want  string
	}{
		{"text", "p=text"},
		{"", "p="},
		{true, "p=true"},
		{-12, "p=-12"},
		{int8(-128), "p=-128"},
		{uint64(math.MaxUint64), "p=18446744073709551615"},
		{1.5, "p=1.5"},
		{float32(0.1), "p=0.1"},
		{1e21, "p=1000000000000000000000"},
		{[]byte("bytes"), "p=bytes"},
		{&n, "p=7"},
		{none, ""},
		{nil, ""},
		{now, "p=2026-11-22T20:00:00.005+01:00"},
		{&now, "p=2026-11-22T20:00:00.005+01:00"},
		{colour(1), "p=green"},
		{netip.MustParseAddr("::1"), "p=::1"},
		{time.Second, "p=1s"},
		{[]colour{0, 1}, "p=red&p=green"},
		{m{"a": 1, "b": m{"c": "d"}}, "p[a]=1&p[b][c]=d"},
		{map[int]string{2: "two", 10: "ten"}, "p[10]=ten&p[2]=two"},
		{map[any]any{"s": 1, 3: 4}, "p[3]=4&p[s]=1"},
		{m{}, ""},
		{map[string]int(nil), ""},
		{[]int(nil), ""},
		{m{"": 1}, "p[]=1"},
	} {
		got, err := readable(client.Repeated, m{"p": test.value})
		if err != nil || got != test.want {
			t.Errorf("%v: got %q, %v; want %q", test.value, got, err, test.want)
		}
	}
}

func TestEncodeLists(t *testing.T) {
	for _, test := range []struct {
		list any
		want [4]string // in the order of the styles; "" is an error
	}{
		{[]int{1, 2}, [4]string{"p=1&p=2", "p[]=1&p[]=2", "p[0]=1&p[1]=2", "p=1,2"}},
		{[2]bool{true, false}, [4]string{"p=true&p=false", "p[]=true&p[]=false", "p[0]=true&p[1]=false", "p=true,false"}},
		{[]any{"a", nil, 3}, [4]string{"p=a&p=3", "p[]=a&p[]=3", "p[0]=a&p[2]=3", "p=a,3"}},
		{[]int{}, [4]string{"p=", "p[]=", "p=", "p="}},
		{m{"q": []int{1}}, [4]string{"p[q]=1", "p[q][]=1", "p[q][0]=1", "p[q]=1"}},
		{[]string{"a,b"}, [4]string{"p=a,b", "p[]=a,b", "p[0]=a,b", ""}},
		{[]m{{"q": 1, "r": 2}, {"q": 3}}, [4]string{"", "", "p[0][q]=1&p[0][r]=2&p[1][q]=3", ""}},
		{[][]int{{1, 2}, {3}}, [4]string{"", "", "p[0][0]=1&p[0][1]=2&p[1][0]=3", ""}},
		{[][]byte{[]byte("a"), []byte("b")}, [4]string{"p=a&p=b", "p[]=a&p[]=b", "p[0]=a&p[1]=b", "p=a,b"}},
	} {
		for style, want := range test.want {
			got, err := readable(client.ListStyle(style), m{"p": test.list})
			if got != want || (err != nil) != (want == "") {
				t.Errorf("%v, style %d: got %q, %v; want %q", test.list, style, got, err, want)
			}
		}
	}
}

func TestEncodeEscapes(t *testing.T) {
	params := url.Values{"a b&c": {"1+1=2", "\u00e9/\u20ac"}, "[x]": {"\r\n"}}
	got, err := client.Encode(params)
	if err != nil || got != params.Encode() {
		t.Errorf("got %q, %v; want %q", got, err, params.Encode())
	}
	back, err := url.ParseQuery(got)
	if err != nil || fmt.Sprint(back) != fmt.Sprint(params) {
		t.Errorf("got back %q, %v", back, err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	deep := m{"a": 1}
	for range 31 {
		deep = m{"a": deep}
	}
	if _, err := client.Encode(deep); err != nil {
		t.Errorf("32 maps: %v", err)
	}
	deep = m{"a": deep}
	circle := m{}
	circle["a"] = circle
	var itself any
	itself = &itself
	for name, params := range map[string]any{
		"text":       "a=1",
		"list":       []int{1},
		"struct":     m{"p": struct{ A int }{1}},
		"function":   m{"p": func() {}},
		"complex":    m{"p": 1i},
		"float keys": m{"p": map[float64]int{1: 1}},
		"keys":       map[bool]int{true: 1},
		"same keys":  map[any]int{1: 1, "1": 2},
		"broken":     m{"p": broken{}},
		"depth":      deep,
		"circle":     circle,
		"itself":     m{"p": itself},
		"long":       m{"p": strings.Repeat("x", 16<<20)},
		"escaped":    m{"p": strings.Repeat("&", 8<<20)},
	} {
		got, err := client.Encode(params)
		if _, ok := errors.AsType[*client.FormError](err); !ok || got != "" {
			t.Errorf("%s: %.100q, %v", name, got, err)
		}
	}
	if _, err := client.ListStyle(4).Encode(m{}); err == nil {
		t.Error("no error for an unknown style")
	}
	if got, err := client.Encode(nil); got != "" || err != nil {
		t.Errorf("nothing: %q, %v", got, err)
	}
}

func TestAddQuery(t *testing.T) {
	for _, test := range []struct {
		url    string
		params any
		want   string
	}{
		{"http://a.example/x#y", m{"a": 1}, "http://a.example/x?a=1#y"},
		{"http://a.example/x?a=0", m{"a": 1}, "http://a.example/x?a=0&a=1"},
		{"http://a.example/x?a=0", nil, "http://a.example/x?a=0"},
		{"http://a.example/x", m{}, "http://a.example/x"},
	} {
		u, err := url.Parse(test.url)
		if err != nil {
			t.Fatal(err)
		}
		if err := client.AddQuery(u, test.params); err != nil || u.String() != test.want {
			t.Errorf("%s: got %v, %v; want %s", test.url, u, err, test.want)
		}
		before := u.String()
		if err := client.AddQuery(u, m{"p": 1i}); err == nil || u.String() != before {
			t.Errorf("%s: got %v, %v", test.url, u, err)
		}
	}
}

func TestNewFormRequest(t *testing.T) {
	r, err := client.NewFormRequest(t.Context(), "POST", "http://a.example/", m{"a": "b c"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		body, err := r.GetBody()
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(body); err != nil || string(b) != "a=b+c" || r.ContentLength != 5 {
			t.Errorf("%q, %d, %v", b, r.ContentLength, err)
		}
	}
	if err := r.ParseForm(); err != nil || r.PostForm.Get("a") != "b c" {
		t.Errorf("%v, %v", r.PostForm, err)
	}
	if _, err := client.NewFormRequest(t.Context(), "POST", "http://a.example/", m{"a": 1i}); err == nil {
		t.Error("no error")
	}
	if _, err := client.NewFormRequest(t.Context(), "P T", "http://a.example/", m{}); err == nil {
		t.Error("no error for the method")
	}
}

func ExampleEncode() {
	query, err := client.Encode(map[string]any{
		"name": "Ada Lovelace",
		"card": map[string]any{"month": 12, "numbers": []int{4242, 1313}},
	})
	fmt.Println(query, err)
	readable, _ := url.QueryUnescape(query)
	fmt.Println(readable)
	// Output:
	// card%5Bmonth%5D=12&card%5Bnumbers%5D=4242&card%5Bnumbers%5D=1313&name=Ada+Lovelace <nil>
	// card[month]=12&card[numbers]=4242&card[numbers]=1313&name=Ada Lovelace
}

func ExampleListStyle_Encode() {
	form, err := client.Indexed.Encode(map[string]any{
		"prices": []map[string]any{{"amount": 12}, {"amount": 20}},
	})
	readable, _ := url.QueryUnescape(form)
	fmt.Println(readable, err)
	// Output: prices[0][amount]=12&prices[1][amount]=20 <nil>
}

func ExampleNewFormRequest() {
	r, err := client.NewFormRequest(context.Background(), "POST", "https://a.example/order", map[string]any{"item": 3})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Header.Get("Content-Type"), r.ContentLength)
	// Output: application/x-www-form-urlencoded 6
}

func FuzzEncode(f *testing.F) {
	f.Add("a", "b", "c", uint8(0))
	f.Add("", "&=", "\xff\x00", uint8(2))
	f.Fuzz(func(t *testing.T, key, inner, value string, style uint8) {
		s := client.ListStyle(style % 3)
		form, err := s.Encode(m{key: m{inner: []string{value, value}}})
		if err != nil {
			t.Fatal(err)
		}
		suffixes := [][]string{{""}, {"[]"}, {"[0]", "[1]"}}[s]
		back, err := url.ParseQuery(form)
		if err != nil {
			t.Fatalf("%q: %v", form, err)
		}
		for _, suffix := range suffixes {
			if got := back[key+"["+inner+"]"+suffix]; len(got) != 2/len(suffixes) || got[0] != value {
				t.Fatalf("%q: %q", form, back)
			}
		}
	})
}
