package main

import (
	"bytes"
	"errors"
	"io"
	"log"
	"strings"
	"testing"
	"time"
)

var quiet = log.New(io.Discard, "", 0)

func TestBar(t *testing.T) {
	var w bytes.Buffer
	now := time.Unix(1000, 0)
	p := &progress{bar: true, w: &w, urls: 3, at: now}
	drawn := func(want string) {
		t.Helper()
		now = now.Add(time.Second)
		w.Reset()
		p.draw(now)
		if got := w.String(); got != clear+want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	drawn("0 of 3  0 B  0 B/s")
	a, b := p.transfer(), p.transfer()
	a.begin(100 << 10)
	a.add(10 << 10)
	drawn("0 of 3  10.0 KiB of 100.0 KiB  [==                  ]  10 %  10.0 KiB/s  ETA 0:09")
	b.begin(-1)
	b.add(5 << 10)
	drawn("0 of 3  15.0 KiB  9.5 KiB/s") // nobody knows of how much
	b.end(nil)
	a.add(90 << 10)
	a.end(nil)
	drawn("2 of 3  105.0 KiB of 105.0 KiB  [====================] 100 %  17.5 KiB/s")
	p.transfer().end(errors.New("refused"))
	drawn("3 of 3 (1 failed)  105.0 KiB of 105.0 KiB  [====================] 100 %  15.8 KiB/s")
	w.Reset()
	p.say("fetch: %s", "refused")
	if got := w.String(); got != clear+"fetch: refused\n" {
		t.Errorf("said %q", got)
	}
}

// The bar goes to the end, and its line is ended.
func TestBarEnds(t *testing.T) {
	var w bytes.Buffer
	p := &progress{bar: true, w: &w, urls: 1, at: time.Now()}
	p.begin()
	a := p.transfer()
	a.begin(10)
	a.add(10)
	a.end(nil)
	p.end()
	if got := w.String(); !strings.HasSuffix(got, "\n") || !strings.Contains(got[strings.LastIndex(got, clear):], "1 of 1  10 B of 10 B  [====") {
		t.Errorf("%q", got)
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1000 << 10: "1.0 MiB", 1 << 20: "1.0 MiB", 5 << 40: "5.0 TiB", 5 << 50: "5120.0 TiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
