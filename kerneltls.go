package ringkit

import "github.com/ringkit/ringkit/internal/ktls"

// KernelTLS reports why servers cannot use kernel TLS, nil if those with
// [Server].KernelTLS do. What it takes is found by trying, once for the process: the
// kernel is built with CONFIG_TLS and has module tls loaded (modprobe tls; the kernel does
// that by itself for processes with CAP_NET_ADMIN only), and can change the keys of a
// connection, as a client may ask for, which came with Linux 6.14. Any goroutine may
// call it.
func KernelTLS() error { return ktls.Probe() }
