package consumers

import (
	"bufio"
	"context"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/wsock"
)

// scriptPatience is how long a script may take that converses, on a busy machine too.
const scriptPatience = 60 * time.Second

// A script is a client in another language, in testdata.
type script struct {
	name    string
	command func(t *testing.T) []string // without address and task; skips the test where it cannot be run
}

var scripts = []script{
	{"Node", func(t *testing.T) []string {
		node := nodeThat(t, "typeof WebSocket === 'function'")
		return append(node, "testdata/channel.js", "built-in")
	}},
	{"ws of Node", func(t *testing.T) []string {
		node := nodeThat(t, "require('ws')")
		return append(node, "testdata/channel.js", "ws")
	}},
	{"websockets of Python", func(t *testing.T) []string {
		for _, python := range []string{"python3", "/usr/bin/python3"} { // the second has Debian's packages
			if exec.Command(python, "-c", "import websockets.legacy.client").Run() == nil {
				return []string{python, "-W", "ignore::DeprecationWarning", "testdata/channel.py"}
			}
		}
		t.Skip("there is no python3 with websockets")
		return nil
	}},
}

// nodeThat returns how to call a node for which a condition holds.
func nodeThat(t *testing.T, condition string) []string {
	t.Helper()
	for _, flags := range [][]string{nil, {"--experimental-websocket"}} { // needed before Node 22
		command := append([]string{"node"}, flags...)
		if nodeCommand(command, "-e", "process.exit(("+condition+") ? 0 : 1)").Run() == nil {
			return command
		}
	}
	t.Skipf("there is no node with: %s", condition)
	return nil
}

// nodeCommand is a command that finds Debian's packages.
func nodeCommand(command []string, args ...string) *exec.Cmd {
	cmd := exec.Command(command[0], append(command[1:], args...)...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+os.Getenv("NODE_PATH")+":/usr/share/nodejs", "NODE_NO_WARNINGS=1")
	return cmd
}

// run has the script do what it is told and returns what it says, line by line.
func (sc script) run(t *testing.T, args ...string) (lines <-chan string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), scriptPatience)
	t.Cleanup(cancel)
	prepared := nodeCommand(sc.command(t), args...)
	cmd := exec.CommandContext(ctx, prepared.Args[0], prepared.Args[1:]...)
	cmd.Env, cmd.Stderr = prepared.Env, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 100)
	go func() {
		defer close(said)
		for s := bufio.NewScanner(out); s.Scan(); {
			said <- s.Text()
		}
		if err := cmd.Wait(); err != nil {
			said <- "FAILED: " + err.Error()
		}
	}()
	return said
}

// hearScript takes what a script says until it ends.
func hearScript(t *testing.T, said <-chan string) (cases int) {
	t.Helper()
	for line := range said {
		if !strings.HasPrefix(line, "ok ") {
			t.Error(line)
		}
		cases++
	}
	return cases
}

// The script converses with the server as it likes; the query of its requests says how the
// server has to see each channel end.
func TestChannelScripts(t *testing.T) {
	for _, sc := range scripts {
		t.Run(sc.name, func(t *testing.T) {
			sc.command(t)
			eachChannels(t, func(t *testing.T, s *channelSite) {
				if n := hearScript(t, sc.run(t, s.ws, "converse")); n < 10 {
					t.Errorf("%d cases", n)
				}
				for range s.opened.Load() {
					e := receive(t, s.ended)
					if want := endingOf(t, e.target); !sameEnding(e.why, want) {
						t.Errorf("%s: the server saw %+v; want %+v", e.target, e.why, want)
					}
				}
			})
		})
	}
}

// endingOf says how a channel has to end.
func endingOf(t *testing.T, target string) wsock.CloseInfo {
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	code, err := strconv.Atoi(u.Query().Get("code"))
	switch {
	case u.RawQuery == "server":
		return wsock.CloseInfo{Code: farewell, Clean: true}
	case err != nil:
		return wsock.CloseInfo{Code: 1000, Reason: "done", Clean: true, Remote: true}
	case code == 1002 || code == 1007 || code == 1009:
		return wsock.CloseInfo{Code: wsock.CloseCode(code), Remote: true}
	case code == 1005:
		return wsock.CloseInfo{Code: wsock.CloseNoStatus, Clean: true, Remote: true}
	}
	return wsock.CloseInfo{Code: wsock.CloseCode(code), Reason: "enough", Clean: true, Remote: true}
}

func sameEnding(got, want wsock.CloseInfo) bool {
	reason := got.Reason == want.Reason || !want.Remote || !want.Clean // an answer may have one or not
	return got.Code == want.Code && got.Clean == want.Clean && got.Remote == want.Remote && reason && got.Clean == (got.Err == nil)
}

// The server goes away while the script listens.
func TestChannelScriptsGoingAway(t *testing.T) {
	for _, sc := range scripts {
		t.Run(sc.name, func(t *testing.T) {
			sc.command(t)
			eachChannels(t, func(t *testing.T, s *channelSite) {
				said := sc.run(t, s.ws, "away")
				if line := <-said; line != "ready" { // or the end, when it takes too long
					t.Fatal(line)
				}
				s.goAway(t, func() { hearScript(t, said) })
				for range 3 {
					if e := receive(t, s.ended); !sameEnding(e.why, wsock.CloseInfo{Code: 1001, Clean: true}) {
						t.Errorf("the server saw %+v", e.why)
					}
				}
			})
		})
	}
}
