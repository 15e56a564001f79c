package main

import (
	"fmt"
	"runtime"

	"github.com/ringkit/ringkit/bench/internal/hold"
)

const (
	// maxHolders bounds how many client processes there are.
	maxHolders = 1024

	// serverFiles and holderFiles are descriptors that server and client processes need
	// besides connections.
	serverFiles = 128
	holderFiles = 16

	// otherFiles is how many files others may open meanwhile, on the whole system.
	otherFiles = 4096

	// mostHeld is the most connections of one client process if there is no limit: beyond
	// that several processes use several processors.
	mostHeld = 50_000

	// portShare is how many of the ports of a source address are used. connect(2) looks at
	// every second one first, one after the other from somewhere on, and takes ever longer
	// when these are taken.
	portShare = 0.25
)

// What a run takes in memory, in bytes: from above, since it is there to be refused in time.
const (
	connectionBytes = 10 << 10 // both ends: sockets, files, their names, events, and 512 in the server
	holderBytes     = 8 << 20
	serverBytes     = 256 << 20
)

// system is what the limits of this machine and of this process are.
type system struct {
	settings   string // directory of the system-wide ones
	noFile     int    // hard limit of descriptors of a process
	nrOpen     int    // up to where it may be raised, by those who may
	fileMax    int    // of open files on the whole system
	files      int    // that are open
	beyondMax  bool
	ports      int // for outgoing connections
	backlog    int // the most connections that wait to be accepted
	tracked    bool
	trackMax   int
	tracking   int
	available  int64 // bytes
	memoryFrom string
	noDirect   error // why there are no direct descriptors
}

// limit is what keeps a run from holding more than some number of connections.
type limit struct {
	Name   string `json:"limit"`
	Allows int    `json:"allows"`
	Why    string `json:"why"`
	Raise  string `json:"raise"`
}

func (l limit) String() string {
	return fmt.Sprintf("%s allows %d: %s\n    %s", l.Name, l.Allows, l.Why, l.Raise)
}

// plan is what can be done.
type plan struct {
	n      int // connections
	direct bool
	loops  int // of the server, 0 for it to choose
	limits []limit
}

// plan finds out how many of the connections there can be.
func (s *system) plan(o *options) (p plan, err error) {
	switch {
	case o.files == filesDirect && s.noDirect != nil:
		return p, fmt.Errorf("-descriptors direct: %w", s.noDirect)
	case o.files == filesDirect:
		p.direct = true
	case o.files == filesAuto && o.engine != "epoll":
		p.direct = s.noDirect == nil && o.n > s.noFile-serverFiles
	}
	stops := []limit{s.holderLimit(), s.fileLimit(), s.portLimit(), s.trackLimit(), s.memoryLimit(o.reserve << 20)}
	if p.direct {
		stops = append(stops, s.placeLimit(o.loops))
	} else {
		stops = append(stops, s.serverLimit())
	}
	p.limits = under(o.n, stops)
	p.n = allowed(o.n, p.limits)
	if p.loops = o.loops; p.direct && p.loops == 0 {
		p.loops = max(runtime.NumCPU(), (p.n+s.places()-1)/max(1, s.places()))
	}
	return p, nil
}

func under(n int, all []limit) (stops []limit) {
	for _, l := range all {
		if l.Allows < n {
			stops = append(stops, l)
		}
	}
	return stops
}

// allowed is how many of n connections there may be.
func allowed(n int, limits []limit) int {
	for _, l := range limits {
		n = min(n, l.Allows)
	}
	return max(0, n)
}

// raiseFiles is what can be done about descriptors.
func (s *system) raiseFiles() string {
	advice := `raise it with "ulimit -Hn NUMBER" as a user with CAP_SYS_RESOURCE, LimitNOFILE= of a systemd unit, or --ulimit nofile= of a container`
	return fmt.Sprintf("%s; beyond %d, fs.nr_open has to be raised before (sysctl, or -raise)", advice, s.nrOpen)
}

func (s *system) serverLimit() limit {
	l := limit{
		"RLIMIT_NOFILE of the server", s.noFile - serverFiles,
		fmt.Sprintf("a process may have %d descriptors (hard limit), and each connection is one", s.noFile),
		s.raiseFiles(),
	}
	if s.noDirect != nil {
		l.Raise += fmt.Sprintf("; direct descriptors would do without, but there are none: %v", s.noDirect)
	}
	return l
}

// mostPlaces is how large the server makes the table of files of a loop at most.
const mostPlaces = 1 << 17

// places is how many connections the table of a loop holds. Some are left over, as no
// loop has exactly as many as the others.
func (s *system) places() int { return max(0, min(s.noFile, mostPlaces)*49/50-16) }

func (s *system) placeLimit(loops int) limit {
	l := limit{
		"places of direct descriptors", maxLoops * s.places(),
		fmt.Sprintf("the table of a ring may have as many as a process has descriptors, %d (hard limit), and there are at most %d loops", s.noFile, maxLoops),
		s.raiseFiles(),
	}
	if loops > 0 {
		l.Allows = loops * s.places()
		l.Why = fmt.Sprintf("the table of a ring may have as many as a process has descriptors, %d (hard limit), and there are %d loops (-loops)", s.noFile, loops)
		l.Raise = "leave -loops out, or " + s.raiseFiles()
	}
	return l
}

// room is how many connections a client process holds at most.
func (s *system) room() int { return max(0, min(s.noFile-holderFiles, mostHeld, hold.MaxRoom)) }

func (s *system) holderLimit() limit {
	return limit{
		"RLIMIT_NOFILE of the clients", maxHolders * s.room(),
		fmt.Sprintf("a process may have %d descriptors (hard limit), and there are at most %d client processes", s.noFile, maxHolders),
		s.raiseFiles(),
	}
}

func (s *system) fileLimit() limit {
	l := limit{
		"fs.file-max", (s.fileMax - s.files - otherFiles) / 2,
		fmt.Sprintf("the system may have %d open files, %d are open, and each connection is two, one at either end", s.fileMax, s.files),
		"raise it with \"sysctl fs.file-max=NUMBER\", with -raise, or run this with CAP_SYS_ADMIN, for which it does not hold",
	}
	if s.beyondMax {
		l.Allows = maxN
	}
	return l
}

// perAddress is how many connections have the same source address.
func (s *system) perAddress() int { return max(1, int(float64(s.ports)*portShare)) }

func (s *system) portLimit() limit {
	return limit{
		"net.ipv4.ip_local_port_range", s.perAddress() * hold.MaxAddresses,
		fmt.Sprintf("it has %d ports, for each of %d source addresses", s.ports, hold.MaxAddresses),
		"widen it with \"sysctl net.ipv4.ip_local_port_range='1024 65535'\"",
	}
}

func (s *system) trackLimit() limit {
	l := limit{
		"net.netfilter.nf_conntrack_max", s.trackMax - s.tracking,
		fmt.Sprintf("netfilter keeps track of connections over the loopback interface, of at most %d, and has %d", s.trackMax, s.tracking),
		"raise it with \"sysctl net.netfilter.nf_conntrack_max=NUMBER\", with -raise, or have it leave them alone with \"iptables -t raw -A OUTPUT -o lo -j NOTRACK\"",
	}
	if !s.tracked {
		l.Allows = maxN
	}
	return l
}

func (s *system) memoryLimit(reserve int64) limit {
	free := s.available - reserve - serverBytes
	perRoom := int64(connectionBytes) + holderBytes/int64(max(1, s.room()))
	return limit{
		"memory", int(max(0, free/perRoom)),
		fmt.Sprintf("%s has %d MiB available, of which %d are left to others (-reserve), and a connection takes up to %d KiB, nearly all of it in the kernel at both ends",
			s.memoryFrom, s.available>>20, reserve>>20, connectionBytes>>10),
		"give it more, or lower -reserve",
	}
}

// window is how many connections are opened at a time by all client processes: half of what
// may wait to be accepted, since a client that finds no room waits for a second.
func (s *system) window() int { return min(max(1, s.backlog/2), 1024) }
