package procfs

import (
	"os"
	"testing"
)

func TestReadKernel(t *testing.T) {
	k, err := ReadKernel()
	if err != nil || k.Slab <= 0 || k.Available <= 0 || k.Sockets < 0 {
		t.Errorf("%+v, %v", k, err)
	}
}

func TestParseSockstat(t *testing.T) {
	n, err := parseSockstat([]byte("sockets: used 15\nTCP: inuse 1 orphan 0 tw 0 alloc 1 mem 54\nUDP: inuse 0 mem 7\n"))
	if err != nil || n != 54*int64(os.Getpagesize()) {
		t.Errorf("%d, %v", n, err)
	}
	for _, bad := range []string{"", "UDP: inuse 0 mem 7\n", "TCP: inuse 1\n", "TCP: mem x\n"} {
		if _, err := parseSockstat([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestParseSlabinfo(t *testing.T) {
	caches, err := parseSlabinfo([]byte("slabinfo - version: 2.1\n" +
		"# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>\n" +
		"TCP                   20     26   2496   13    8 : tunables    0    0    0 : slabdata      1      2      0\n"))
	if err != nil || len(caches) != 1 || caches["TCP"] != 16*int64(os.Getpagesize()) {
		t.Errorf("%v, %v", caches, err)
	}
	if _, err := parseSlabinfo([]byte("TCP 20 26 2496 13 x : tunables 0 0 0 : slabdata 1 2 0\n")); err == nil {
		t.Error("no error")
	}
}

func TestKernelSub(t *testing.T) {
	before := Kernel{Slab: 10, Sockets: 3, Available: 100, Caches: map[string]int64{"a": 1, "b": 2}}
	after := Kernel{Slab: 30, Sockets: 4, Available: 60, Caches: map[string]int64{"a": 1, "b": 5, "c": 7}}
	d := after.Sub(before)
	if d.Slab != 20 || d.Sockets != 1 || d.Available != 40 || len(d.Caches) != 2 || d.Caches["b"] != 3 || d.Caches["c"] != 7 {
		t.Errorf("%+v", d)
	}
}
