package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// suites are the parts of Debian in which the kernels are, each with the newest of
// its series. The security archive is served beside the main one.
var debianSuites = []struct {
	name     string
	security bool
}{
	{"bullseye-security", true}, // 5.10
	{"bookworm-security", true}, // 6.1, 6.12
	{"trixie-security", true},   // 6.12
	{"trixie-updates", false},   // 6.12
	{"trixie-backports", false}, // 6.16 and later
}

const (
	// fresh is how long an index is used before it is fetched again.
	fresh = time.Hour
	// indexLimit and packageLimit bound apt's work on the network.
	indexLimit   = 5 * time.Minute
	packageLimit = 10 * time.Minute
)

// apt works on lists and packages of its own, beside those of the machine, and so
// needs no privileges.
type apt struct{ dir string }

// mirror is where the machine gets its packages from, by address.
type mirror struct{ main, security string }

// findMirror reads what the machine's own apt says of its sources, one on a line:
// address and release, split by a tab.
func findMirror(text string) (mirror, error) {
	var m mirror
	for line := range strings.Lines(text) {
		address, name, ok := strings.Cut(strings.TrimSpace(line), "\t")
		switch {
		case !ok:
		case strings.HasSuffix(name, "-security"):
			m.security = address
		case m.main == "":
			m.main = address
		}
	}
	if m.main == "" || m.security == "" {
		return m, errors.New("apt on this machine knows no Debian mirror with a security archive")
	}
	return m, nil
}

// sources is the list of what to take from the mirror. keys is the file with the
// keys that sign it, empty for those that the machine trusts.
func (m mirror) sources(keys string) string {
	options := "arch=amd64"
	if keys != "" {
		options += " signed-by=" + keys
	}
	var b strings.Builder
	for _, s := range debianSuites {
		address := m.main
		if s.security {
			address = m.security
		}
		fmt.Fprintf(&b, "deb [%s] %s %s main\n", options, address, s.name)
	}
	return b.String()
}

// debianKeys is the file of package debian-archive-keyring.
const debianKeys = "/usr/share/keyrings/debian-archive-keyring.gpg"

// index returns the kernels that the mirror has.
func (a apt) index(ctx context.Context) ([]debPackage, error) {
	if err := a.update(ctx); err != nil {
		return nil, err
	}
	lists, err := filepath.Glob(filepath.Join(a.dir, "lists", "*_Packages"))
	if err != nil {
		return nil, err
	}
	var all []debPackage
	for _, name := range lists {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		found, err := parsePackages(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, found...)
	}
	if len(all) == 0 {
		return nil, errors.New("the mirror's indexes name no kernels")
	}
	return all, nil
}

// update fetches the indexes unless they are fresh.
func (a apt) update(ctx context.Context) error {
	stamp := filepath.Join(a.dir, "updated")
	if info, err := os.Stat(stamp); err == nil && time.Since(info.ModTime()) < fresh {
		return nil
	}
	for _, d := range []string{"lists/partial", "cache/archives/partial", "parts"} {
		if err := os.MkdirAll(filepath.Join(a.dir, d), 0o755); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, indexLimit)
	defer cancel()
	text, err := output(command(ctx, "", "apt-get", "indextargets", "--format", "$(REPO_URI)\t$(RELEASE)", "Created-By: Packages"))
	if err != nil {
		return err
	}
	m, err := findMirror(text)
	if err != nil {
		return err
	}
	keys := debianKeys
	if _, err := os.Stat(keys); err != nil {
		keys = ""
	}
	if err := os.WriteFile(filepath.Join(a.dir, "sources.list"), []byte(m.sources(keys)), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(a.dir, "apt.conf"), []byte(a.config()), 0o644); err != nil {
		return err
	}
	if _, err := output(a.get(ctx, a.dir, "update")); err != nil {
		return err
	}
	return os.WriteFile(stamp, nil, 0o644)
}

// download fetches a package into the directory.
func (a apt) download(ctx context.Context, p debPackage, dir string) (path string, err error) {
	ctx, cancel := context.WithTimeout(ctx, packageLimit)
	defer cancel()
	if _, err := output(a.get(ctx, dir, "download", p.Name+"="+p.Version)); err != nil {
		return "", err
	}
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(debs) != 1 {
		return "", fmt.Errorf("apt-get download %s left %d packages", p.Name, len(debs))
	}
	return debs[0], nil
}

func (a apt) get(ctx context.Context, dir string, args ...string) *exec.Cmd {
	return command(ctx, dir, "apt-get", append([]string{"-q", "-c", filepath.Join(a.dir, "apt.conf")}, args...)...)
}

// config is read after the machine's own settings, of which the proxy and the like
// stay, and hooks and additional indexes go.
func (a apt) config() string {
	return fmt.Sprintf(`Dir::Etc::sourcelist "%[1]s/sources.list";
Dir::Etc::sourceparts "%[1]s/parts";
Dir::State::lists "%[1]s/lists";
Dir::State::status "/dev/null";
Dir::Cache "%[1]s/cache";
APT::Architecture "amd64";
APT::Sandbox::User "root"; // another one could not write here
APT::Update::Error-Mode "any"; // an index that is missing is no success
Acquire::Languages "none";
Acquire::GzipIndexes "false";
Acquire::Retries "3";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear Acquire::IndexTargets::deb::DEP-11;
`, a.dir)
}

func command(ctx context.Context, dir, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// output runs a command and returns what it writes; what it complains about
// becomes part of the error.
func output(cmd *exec.Cmd) (string, error) {
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		what := filepath.Base(cmd.Path)
		if errors.Is(err, exec.ErrNotFound) {
			return "", fmt.Errorf("%s is not installed", what)
		}
		return "", fmt.Errorf("%s: %w\n%s", what, err, bytes.TrimSpace(complaints.Bytes()))
	}
	return out.String(), nil
}
