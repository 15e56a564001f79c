package ringkit

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// activated is the environment variable that makes a process of the test binary
// the activated service.
const activated = "RINGKIT_TEST_ACTIVATED"

// activate runs a test again in a process that is started as systemd does it: with
// sockets as descriptors from 3 on, and in the environment its own PID. It returns
// what that process printed.
func activate(t *testing.T, sockets []*os.File, environ ...string) string {
	t.Helper()
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=${WRONG_PID:-$$} exec "$0" "$@"`, exe, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=1m")
	cmd.Env = append(append(os.Environ(), activated+"=1"), environ...)
	cmd.ExtraFiles = sockets
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("the service: %v\n%s", err, out)
	}
	return string(out)
}

// socketFile is a listener as it is passed to a child.
func socketFile(t *testing.T, l interface{ File() (*os.File, error) }) *os.File {
	t.Helper()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// A service serves on the sockets it is given, and its children know nothing of them.
func TestSystemdListeners(t *testing.T) {
	if os.Getenv(activated) != "" {
		serveActivated(t)
		return
	}
	expectNoLeaks(t)
	path := filepath.Join(t.TempDir(), "socket")
	tcp := listenTCP(t).(*net.TCPListener)
	defer tcp.Close()
	local, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	files := []*os.File{socketFile(t, tcp), socketFile(t, local)}
	out := activate(t, files, "LISTEN_FDS=2", "LISTEN_FDNAMES=web:local")
	for _, want := range []string{"web " + tcp.Addr().String(), "local " + path} {
		if !strings.Contains(out, want+" answered 200\n") {
			t.Errorf("the service did not print %q:\n%s", want, out)
		}
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the service has removed the file: %v", err)
	}
}

func serveActivated(t *testing.T) {
	ls, names, err := SystemdListeners()
	if err != nil || len(ls) != len(names) {
		t.Fatalf("%v, %q, %v", ls, names, err)
	}
	for _, v := range systemdVariables {
		if value, ok := os.LookupEnv(v); ok {
			t.Errorf("%s=%q is left", v, value)
		}
	}
	// Of the sockets, a child has none.
	out, err := exec.Command("/bin/sh", "-c", "ls -l /proc/$$/fd").CombinedOutput()
	if err != nil || strings.Contains(string(out), "socket:") {
		t.Errorf("%v, a child has the descriptors\n%s", err, out)
	}
	eachKind(t, func(t *testing.T, e engine) {
		srv := &Server{newRing: e.newRing, Handler: HandlerFunc(helloNative)}
		for _, l := range ls {
			f := socketFile(t, l.(interface{ File() (*os.File, error) }))
			l, err := net.FileListener(f) // Serve closes it, and the other engine has its turn
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
			go srv.Serve(l)
		}
		if !eventually(func() bool { return len(srv.Addrs()) == len(ls) }) {
			t.Fatalf("serves on %v", srv.Addrs())
		}
		for i, l := range ls {
			a := connectPeer(t, l.Addr().Network(), l.Addr().String(), 0).get("/")
			fmt.Printf("%s %v answered %d\n", names[i], l.Addr(), a.status)
		}
		srv.Close()
	})
	for _, l := range ls {
		l.Close()
	}
	if again, _, err := SystemdListeners(); again != nil || err != nil {
		t.Errorf("a second time: %v, %v", again, err)
	}
}

// What is not meant for the process, or makes no sense, is not taken.
func TestSystemdListenersRefused(t *testing.T) {
	if os.Getenv(activated) != "" {
		ls, names, err := SystemdListeners()
		fmt.Printf("got %d %q, error %v.\n", len(ls), names, err)
		for _, l := range ls {
			l.Close()
		}
		if n := len(ls); err != nil && n != 0 {
			t.Errorf("%d listeners with an error", n)
		}
		return
	}
	tcp := listenTCP(t).(*net.TCPListener)
	defer tcp.Close()
	listening := socketFile(t, tcp)
	client, err := net.Dial("tcp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	connected := socketFile(t, client.(*net.TCPConn))
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	datagram := socketFile(t, udp)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, c := range []struct {
		name    string
		files   []*os.File
		environ []string
		want    string
	}{
		{"nothing", nil, nil, "got 0 [], error <nil>"},
		{"none", nil, []string{"LISTEN_FDS=0"}, "got 0 [], error <nil>"},
		{"of another process", []*os.File{listening}, []string{"LISTEN_FDS=1", "WRONG_PID=" + strconv.Itoa(os.Getpid())}, "got 0 [], error <nil>"},
		{"no names", []*os.File{listening, listening}, []string{"LISTEN_FDS=2"}, `got 2 ["unknown" "unknown"], error <nil>`},
		{"no number", []*os.File{listening}, []string{"LISTEN_FDS=one"}, `got 0 [], error ringkit: LISTEN_FDS="one"`},
		{"a negative number", []*os.File{listening}, []string{"LISTEN_FDS=-1"}, `got 0 [], error ringkit: LISTEN_FDS="-1"`},
		{"a huge number", []*os.File{listening}, []string{"LISTEN_FDS=100000"}, `got 0 [], error ringkit: LISTEN_FDS="100000"`},
		{"too few names", []*os.File{listening, listening}, []string{"LISTEN_FDS=2", "LISTEN_FDNAMES=a"}, `got 0 [], error ringkit: LISTEN_FDNAMES="a" does not have 2`},
		{"connected", []*os.File{listening, connected}, []string{"LISTEN_FDS=2"}, "got 0 [], error ringkit: descriptor 4 of LISTEN_FDS: the socket does not listen"},
		{"datagrams", []*os.File{datagram}, []string{"LISTEN_FDS=1"}, "got 0 [], error ringkit: descriptor 3 of LISTEN_FDS: the socket does not listen"},
		{"no socket", []*os.File{file}, []string{"LISTEN_FDS=1"}, "got 0 [], error ringkit: descriptor 3 of LISTEN_FDS: getsockopt"},
		{"missing", nil, []string{"LISTEN_FDS=100"}, "descriptor 102 of LISTEN_FDS: getsockopt: bad file descriptor"},
	} {
		if out := activate(t, c.files, c.environ...); !strings.Contains(out, c.want) {
			t.Errorf("%s: want %q\n%s", c.name, c.want, out)
		}
	}
}
