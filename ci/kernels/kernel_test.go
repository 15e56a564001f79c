package main

import "testing"

func TestIsImage(t *testing.T) {
	for name, want := range map[string]bool{
		"./boot/vmlinuz-6.12.107+deb13-cloud-amd64":                true,
		"./usr/lib/modules/7.3.4+deb13-cloud-amd64/vmlinuz":        true,
		"boot/vmlinuz-5.10.0-46-cloud-amd64":                       true,
		"./boot/System.map-6.1.0":                                  false,
		"./usr/share/doc/linux/vmlinuz":                            false,
		"./usr/lib/modules/7.3.4+deb13-cloud-amd64/kernel/vmlinuz": false,
	} {
		if got := isImage(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestModuleFile(t *testing.T) {
	for name, want := range map[string]string{
		"./usr/lib/modules/6.18.15+deb13-cloud-amd64/kernel/net/tls/tls.ko.xz": "tls.ko.xz",
		"./lib/modules/6.1.0-56-cloud-amd64/kernel/net/tls/tls.ko":             "tls.ko",
		"./lib/modules/6.1.0-56-cloud-amd64/kernel/crypto/ccm.ko":              "",
		"./usr/share/doc/tls.ko":                             "",
		"./lib/modules/6.1.0-56-cloud-amd64/kernel/net/tls/": "",
	} {
		if got := moduleFile(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
