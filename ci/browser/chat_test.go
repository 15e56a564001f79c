package browser

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
)

// closeCodes notes with which codes WebSockets are closed.
const closeCodes = `
	window.closeCodes = [];
	window.WebSocket = class extends WebSocket {
		constructor(...args) {
			super(...args);
			this.addEventListener("close", (c) => closeCodes.push(c.code));
		}
	};`

var transports = []string{"websocket", "events", "poll"}

// Two people talk, over each transport, also when the page is loaded again and the server
// has been restarted.
func TestChat(t *testing.T) {
	bin := build(t, "chat")
	eachEngine(t, func(t *testing.T, engine string) {
		for _, transport := range transports {
			t.Run(transport, func(t *testing.T) {
				server := start(t, bin, engine, "127.0.0.1:0")
				ann := enter(t, server, "Ann", transport)
				bob := enter(t, server, "Bob", transport)
				for _, p := range []*tab{ann, bob} {
					p.until(`document.querySelector("#people").innerText.includes("Ann") && document.querySelector("#count").textContent === "2"`)
				}
				ann.say("Hello Bob!")
				bob.hears("Ann", "Hello Bob!")
				bob.say("Hi Ann, <b>nice</b> to “see” you: ¿qué tal? ☕")
				ann.hears("Bob", "Hi Ann, <b>nice</b> to “see” you: ¿qué tal? ☕")

				bob.run(chromedp.Reload())
				bob.connected()
				bob.hears("Ann", "Hello Bob!")

				server.stop()
				bob.until(`document.querySelector("#state").dataset.state === "wait"`)
				if transport == "websocket" {
					bob.until(`closeCodes.includes(1001)`)
				}
				bob.say("Is anybody there?")
				server = start(t, bin, engine, server.addr)
				ann.hears("Bob", "Is anybody there?")
				bob.until(`!document.querySelector(".waiting")`)
				ann.say("I am back, and so are you.")
				bob.hears("Ann", "I am back, and so are you.")
				bob.say("It was nothing.")
				ann.hears("Bob", "It was nothing.")
				ann.once()
				bob.once()
				ann.keep(fmt.Sprintf("chat-%s-%s", engine, transport))
				server.stop()
			})
		}
	})
}

// People with different transports are in the same room, and can change theirs.
func TestChatTransportsTogether(t *testing.T) {
	bin := build(t, "chat")
	eachEngine(t, func(t *testing.T, engine string) {
		server := start(t, bin, engine, "127.0.0.1:0")
		people := make([]*tab, len(transports))
		for i, transport := range transports {
			people[i] = enter(t, server, "from "+transport, transport)
		}
		for round := range transports {
			for i, p := range people {
				text := fmt.Sprintf("round %d by %s", round, transports[(i+round)%len(transports)])
				p.say(text)
				for _, other := range people {
					other.hears(p.name, text)
				}
			}
			for i, p := range people {
				next := transports[(i+round+1)%len(transports)]
				p.run(chromedp.Click(chromedp.CSS(fmt.Sprintf("label:has([value=%s])", next))))
				p.connected()
			}
		}
		for _, p := range people {
			p.once()
		}
		server.stop()
	})
}

func enter(t *testing.T, server *program, name, transport string) *tab {
	t.Helper()
	p := openTab(t, name, "http://"+server.addr+"/?by="+transport, closeCodes)
	p.run(chromedp.SendKeys(chromedp.CSS("#name"), name+"\n"))
	p.connected()
	return p
}

func (p *tab) connected() {
	p.Helper()
	p.until(`document.querySelector("#state").dataset.state === "on"`)
}

// say types a message and sends it.
func (p *tab) say(text string) {
	p.Helper()
	p.run(chromedp.SendKeys(chromedp.CSS("#text"), text), chromedp.Click(chromedp.CSS("#say button")))
}

// hears waits for a message of somebody.
func (p *tab) hears(from, text string) {
	p.Helper()
	p.until(fmt.Sprintf(`[...document.querySelectorAll("#log li:not(.waiting)")].some((li) =>
		li.querySelector("b")?.textContent === %s && li.querySelector(".text").textContent === %s)`, quoted(from), quoted(text)))
}

// once checks that no message is shown twice, and that no script has failed.
func (p *tab) once() {
	p.Helper()
	if twice := p.text(`(() => {
		const all = [...document.querySelectorAll("#log .text")].map((e) => e.textContent);
		return all.filter((text, i) => all.indexOf(text) !== i).join();
	})()`); twice != "" {
		p.Errorf("%s sees twice: %s", p.name, twice)
	}
	p.soundly()
}
