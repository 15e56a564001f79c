package browser

import "testing"

// The page of the clock shows the time, goes on, and comes back with the server.
func TestClock(t *testing.T) {
	bin := build(t, "clock")
	eachEngine(t, func(t *testing.T, engine string) {
		server := start(t, bin, engine, "127.0.0.1:0")
		page := openTab(t, "the clock", "http://"+server.addr+"/", "")
		shown := `document.querySelector("#time").dateTime`
		page.until(shown)
		page.until(shown + " > " + quoted(page.text(shown)))
		page.keep("clock-" + engine)
		server.stop()
		page.until(`document.querySelector("#date").textContent === "the server is away"`)
		server = start(t, bin, engine, server.addr)
		page.until(shown + " > " + quoted(page.text(shown)))
		page.soundly()
		server.stop()
	})
}
