package http1

import (
	"testing"
	"unsafe"
)

// One Request, or one Response, and one Body are kept for each connection that is being served.
func TestSize(t *testing.T) {
	if got := unsafe.Sizeof(Request{}); got > 768 {
		t.Errorf("a Request has %d bytes, want at most 768", got)
	}
	if got := unsafe.Sizeof(Response{}); got > 768 {
		t.Errorf("a Response has %d bytes, want at most 768", got)
	}
	if got := unsafe.Sizeof(Body{}); got > 192 {
		t.Errorf("a Body has %d bytes, want at most 192", got)
	}
}
