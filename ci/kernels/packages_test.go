package main

import (
	"strings"
	"testing"
)

const index = `Package: linux-image-6.1.0-9-cloud-amd64
Source: linux-signed-amd64 (6.1.99+1)
Version: 6.1.99-1
Depends: kmod,
 initramfs-tools
Size: 21000000
SHA256: aa

Package: linux-image-6.1.0-56-cloud-amd64
Version: 6.1.192-1
Description: a kernel: small
 Version: 9999
Size: 22000000
SHA256: bb

Package: linux-image-6.1.0-57-cloud-amd64-unsigned
Version: 6.1.193-1
Size: 1
SHA256: cc

Package: linux-image-6.1.0-57-amd64
Version: 6.1.193-1
Size: 1
SHA256: dd

Package: linux-image-cloud-amd64
Version: 6.1.193-1
Size: 1
SHA256: ee

Package: linux-image-7.3.4+deb13-cloud-amd64
Version: 7.3.4-1~bpo13+1
Size: 1
SHA256: ff

Package: linux-binary-7.3.4+deb13-cloud-amd64
Version: 7.3.4-1~bpo13+1
Size: 30000000
SHA256: 00

Package: linux-modules-7.3.4+deb13-cloud-amd64
Version: 7.3.4-1~bpo13+1
Size: 20000000
SHA256: 22

Package: linux-binary-7.1.13+deb13-cloud-amd64
Version: 7.1.13-1~bpo13+1
Size: 30000000
SHA256: 11`

func TestChooseFromIndex(t *testing.T) {
	all, err := parsePackages(strings.NewReader(index))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 5 {
		t.Errorf("%d kernels: %+v", len(all), all)
	}
	for want, hash := range map[string]string{"6.1": "bb", "6": "bb", "7": "00", "7.3": "00", "7.1": "11", "6.12": "", "5": ""} {
		w, err := parseWanted(want)
		if err != nil {
			t.Fatal(err)
		}
		if p, ok := choose(all, w); p.SHA256 != hash || ok != (hash != "") {
			t.Errorf("%s: %+v, %v; want %s", want, p, ok, hash)
		}
		if w.String() != want {
			t.Errorf("%s is written as %s", want, w)
		}
	}
	p, _ := choose(all, wanted{7, 3})
	if len(p.Parts) != 1 || p.Parts[0].SHA256 != "22" {
		t.Errorf("parts of %s: %+v", p.Name, p.Parts)
	}
	p, _ = choose(all, wanted{6, 1})
	if p.Version != "6.1.192-1" || p.Size != 22000000 || p.Release != (release{6, 1}) {
		t.Errorf("%+v", p)
	}
}

func TestParseWanted(t *testing.T) {
	for _, s := range []string{"", "six", "6.", ".1", "6.1.2", "-6", "6.-1", "6.1-rc1"} {
		if w, err := parseWanted(s); err == nil {
			t.Errorf("%q is read as %v", s, w)
		}
	}
}
