package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestOptions(t *testing.T) {
	o, err := parse(nil, nil)
	if err != nil || o.n != 1_000_000 || o.rate != 20_000 || o.duration != time.Minute || o.files != filesAuto {
		t.Errorf("%+v, %v", o, err)
	}
	var help bytes.Buffer
	if code := run(t.Context(), []string{"-h"}, &help, &help); code != 0 || !strings.Contains(help.String(), "-reserve") {
		t.Errorf("%d, %s", code, &help)
	}
	for args, want := range map[string]string{
		"-n 0": "-n", "-n 10000001": "-n", "-deflate": "-ws", "-engine kqueue": "-engine", "-loops -1": "-loops",
		"-loops 5000": "-loops", "-handler x": "-handler", "-rate -1": "-rate", "-rate 1e9": "-rate", "-rate NaN": "-rate",
		"-d 0": "-d", "-d 2h": "-d", "-settle 1h": "-settle", "-idle 1h": "-idle", "-timeout 0": "-timeout", "-timeout 1h": "-timeout",
		"-reserve 1": "-reserve", "-clients 5000": "-clients", "-descriptors x": "-descriptors",
		"-descriptors direct -engine epoll": "epoll", "more": "more",
	} {
		var out, said bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), &out, &said); code != 2 || !strings.Contains(said.String(), want) {
			t.Errorf("%s: %d, %s", args, code, &said)
		}
	}
}
