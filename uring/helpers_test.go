package uring

import (
	"testing"

	"github.com/ringkit/ringkit/internal/ringtest"
)

// What this package's tests share with those of the other engine.
const patience = ringtest.Patience

var (
	token      = ringtest.Token
	errno      = ringtest.Errno
	resultName = ringtest.ResultName
	mem        = ringtest.Mem
	socketPair = ringtest.SocketPair
	tcpPair    = ringtest.TCPPair
	listen     = ringtest.Listen
	dial       = ringtest.Dial
	closing    = ringtest.Closing
	write      = ringtest.Write
	noLeaks    = ringtest.NoLeaks
	inChild    = ringtest.InChild
)

// tier is one way to make a ring.
type tier struct {
	name     string
	without  Feature
	deferred bool
}

var tiers = []tier{
	{name: "full"},
	{name: "single-shot receive", without: MultishotRecv},
	{name: "polled receive", without: BufferRing},
	{name: "no cooperative task running", without: CoopTaskrun},
	{name: "index array", without: NoSQArray},
	{name: "iowait", without: NoIowait},
	{name: "least", without: allFeatures},
	{name: "deferred task running", deferred: true},
}

func (tr tier) config(c Config) Config {
	c.Without |= tr.without
	c.DeferTaskrun = tr.deferred
	return c
}

// eachTier runs a test on a ring of every tier.
func eachTier(t *testing.T, c Config, test func(*testing.T, *testRing)) {
	t.Helper()
	for _, tr := range tiers {
		t.Run(tr.name, func(t *testing.T) { test(t, open(t, tr.config(c))) })
	}
}

// testRing is a ring and its driver.
type testRing struct {
	*Ring
	*ringtest.Driver
}

// open makes a ring that is closed with the test, on the test's own thread, and
// with nothing left behind.
func open(t testing.TB, c Config) *testRing {
	t.Helper()
	needRing(t)
	ringtest.OnThread(t)
	noLeaks(t)
	r, err := New(c)
	if err != nil {
		t.Fatalf("New(%+v): %v", c, err)
	}
	t.Cleanup(func() {
		if err := r.Close(patience); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return &testRing{r, ringtest.NewDriver(t, r)}
}

// needRing skips the test where the kernel has no io_uring for us. TestProbe
// notices when that is wrong.
func needRing(t testing.TB) {
	t.Helper()
	if err := Probe().Err; err != nil {
		t.Skip(err)
	}
}

func need(t testing.TB, f Feature) {
	t.Helper()
	needRing(t)
	if missing := f &^ Probe().Features; missing != 0 {
		t.Skipf("the kernel has no %v", missing)
	}
}
