package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// shotsVariable names a directory where screenshots are kept, "" for none.
const shotsVariable = "RINGKIT_SCREENSHOTS"

// patience is how long something may take that should happen at once.
var patience = 15 * time.Second * scale()

func scale() time.Duration {
	n, err := strconv.Atoi(os.Getenv("RINGKIT_TIME_SCALE"))
	if err != nil || n < 1 {
		return 1
	}
	return time.Duration(n)
}

// chromium is shared by all tests: its start takes many seconds.
var chromium struct {
	once sync.Once
	ctx  context.Context
	end  []context.CancelFunc
	err  error
}

func TestMain(m *testing.M) {
	status := m.Run()
	for _, cancel := range slices.Backward(chromium.end) {
		cancel()
	}
	os.Exit(status)
}

// browser returns a Chromium to open tabs in.
func browser(t *testing.T) context.Context {
	t.Helper()
	path, err := findBrowser()
	if err != nil {
		t.Skip(err)
	}
	chromium.once.Do(func() {
		options := append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(path),
			chromedp.NoSandbox, // it cannot have one as root; it sees nothing but our pages
			chromedp.DisableGPU,
			chromedp.Flag("disable-quic", true),
			chromedp.Flag("disable-component-update", true),
			chromedp.Flag("no-proxy-server", true),
		)
		allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, endBrowser := chromedp.NewContext(allocator)
		chromium.ctx, chromium.end = ctx, []context.CancelFunc{end, endBrowser}
		chromium.err = chromedp.Do(ctx)
	})
	if chromium.err != nil {
		t.Fatalf("starting %s: %v", path, chromium.err)
	}
	return chromium.ctx
}

func findBrowser() (path string, err error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err = exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no Chromium: %w", err)
}

// tab is a page in the browser.
type tab struct {
	*testing.T
	name string
	ctx  context.Context
}

// faults notes what goes wrong in the scripts of a page.
const faults = `
	window.faults = [];
	addEventListener("error", (e) => faults.push(e.message));
	addEventListener("unhandledrejection", (e) => faults.push(String(e.reason)));`

// openTab opens a page, with a script that runs before its own ones.
func openTab(t *testing.T, name, url, script string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser(t))
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // without a deadline: that would be the tab's
		t.Fatal(err)
	}
	p := &tab{t, name, ctx}
	p.run(
		chromedp.EmulateViewport(960, 640),
		chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument,
				page.AddScriptToEvaluateOnNewDocumentParams{Source: faults + script})
			return err
		}),
		chromedp.Navigate(url),
	)
	return p
}

func (p *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 2*patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.Fatalf("%s: %v", p.name, err)
	}
}

// get returns what an expression in JavaScript is.
func get[T any](p *tab, a chromedp.Action[T]) T {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 2*patience)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		p.Fatalf("%s: %v", p.name, err)
	}
	return v
}

func (p *tab) text(expression string) string {
	p.Helper()
	return get(p, chromedp.Evaluate[string](expression))
}

// until waits for a condition in JavaScript.
func (p *tab) until(condition string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 2*patience)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Poll[bool]("!!("+condition+")",
		chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(patience)))
	if err != nil {
		p.Fatalf("%s waits for %s: %v\nthe page: %s", p.name, condition, err, p.text("document.body.innerText"))
	}
}

// soundly checks that no script of the page has failed.
func (p *tab) soundly() {
	p.Helper()
	if faults := p.text(`faults.join()`); faults != "" {
		p.Errorf("%s: %s", p.name, faults)
	}
}

// keep keeps a screenshot, if they are wanted.
func (p *tab) keep(name string) {
	p.Helper()
	dir := os.Getenv(shotsVariable)
	if dir == "" {
		return
	}
	png := get(p, chromedp.CaptureScreenshot())
	path := filepath.Join(dir, name+".png")
	if err := os.WriteFile(path, png, 0o666); err != nil {
		p.Error(err)
	}
	p.Log("screenshot: ", path)
}

func quoted(s string) string { return strconv.Quote(strings.ToValidUTF8(s, "")) }
