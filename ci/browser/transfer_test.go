package browser

import "testing"

// A file that the page sends is shown with what the server has of it, to all who watch,
// and comes down as it was.
func TestTransfer(t *testing.T) {
	bin := build(t, "transfer")
	eachEngine(t, func(t *testing.T, engine string) {
		server := start(t, bin, engine, "127.0.0.1:0")
		watcher := openTab(t, "who watches", "http://"+server.addr+"/", "")
		page := openTab(t, "who sends", "http://"+server.addr+"/", "")
		for _, p := range []*tab{watcher, page} {
			p.until(`progress.readyState === EventSource.OPEN`)
		}
		page.text(`{
			const sent = new DataTransfer();
			sent.items.add(new File(["0123456789".repeat(300000)], "my file.txt"));
			document.querySelector("#file").files = sent.files;
			document.querySelector("#file").dispatchEvent(new Event("change"));
			"chosen"
		}`)
		page.until(`document.querySelector("#sent").textContent === "sent"`)
		for _, p := range []*tab{watcher, page} {
			p.until(`document.querySelector('#files a[href="/files/my-file.txt"]')`)
			p.until(`document.querySelector("#files").textContent.includes("3000000 bytes")`)
		}
		watcher.text(`fetch("/files/my-file.txt").then(r => r.text()).then(text => { window.got = text }), "asked"`)
		watcher.until(`window.got === "0123456789".repeat(300000)`)
		page.keep("transfer-" + engine)
		page.soundly()
		watcher.soundly()
		server.stop()
	})
}
