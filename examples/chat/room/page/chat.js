// The page of the chat. A transport brings lines of JSON, see room.go; everything else is
// the same for all three. The page keeps the ID of the last event it has seen, and what it
// has said until that comes back: so it misses and loses nothing when it reconnects.
"use strict";

const $ = (id) => document.getElementById(id);
const params = new URLSearchParams(location.search);
const maxShown = 300; // lines of the log
const maxUnsent = 50; // messages that wait for their echo
const patience = 3000; // milliseconds until a message is sent again

const me = {
  session: sessionStorage.session || (sessionStorage.session = random()),
  name: "",
  seen: "", // ID of the last event
  own: new Map(), // what was said and has not come back, by key: text, and when it was sent
  mine: new Set(), // keys of what was said
};

function random() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

// ---- transports: each has open(), close() and send(words)

function address(path, more = {}) {
  const q = new URLSearchParams({ session: me.session, name: me.name, ...more });
  if (me.seen) q.set("lastEventId", me.seen);
  return `${path}?${q}`;
}

class Socket {
  open() {
    const url = new URL(address("socket"), location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.ws = new WebSocket(url);
    this.ws.onopen = () => connected(this);
    this.ws.onmessage = (m) => take(this, m.data);
    this.ws.onclose = (c) => disconnected(this, c.code === 1001 ? "the server is stopping" : "");
  }
  close() { this.ws.close(); }
  async send(words) { this.ws.send(JSON.stringify(words)); }
}

class Events {
  open() {
    // EventSource reconnects by itself, with Last-Event-ID, as long as it can.
    this.source = new EventSource(address("events"));
    this.source.onopen = () => connected(this);
    this.source.onmessage = (m) => take(this, m.data);
    this.source.onerror = () => {
      if (this.source.readyState === EventSource.CLOSED) disconnected(this, "");
      else show("wait", "reconnecting");
    };
  }
  close() { this.source.close(); }
  send(words) { return post(words); }
}

class Poll {
  open() {
    this.abort = new AbortController();
    this.run().catch(() => disconnected(this, ""));
  }
  async run() {
    // The first answer comes at once: then the connection is known to work.
    for (let more = { now: 1 }; ; more = {}) {
      const answer = await fetch(address("poll", more), { signal: this.abort.signal, cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      const lines = await answer.text();
      if (current !== this) return;
      if (more.now) connected(this);
      take(this, lines);
    }
  }
  close() { this.abort.abort(); }
  send(words) { return post(words); }
}

const transports = { websocket: Socket, events: Events, poll: Poll };

async function post(words) {
  const answer = await fetch("say", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...words, session: me.session }),
  });
  if (answer.ok || answer.status === 409) return; // 409: it is sent again when connected
  refused(words.key, await answer.text());
}

// ---- the connection

let current = null;
let failures = 0;
let timer = 0;

function connect() {
  clearTimeout(timer);
  if (current) {
    const old = current;
    current = null;
    old.close();
  }
  show("wait", "connecting");
  current = new transports[chosen()]();
  current.open();
}

function connected(transport) {
  if (transport !== current) return;
  failures = 0;
  show("on", "connected");
  for (const key of me.own.keys()) deliver(key);
}

// disconnected connects again: soon, and later and later while that fails.
function disconnected(transport, why) {
  if (transport !== current) return;
  current = null;
  const wait = Math.min(5000, 250 * 2 ** failures++) * (0.5 + Math.random() / 2);
  show("wait", why || "reconnecting");
  timer = setTimeout(connect, wait);
}

function show(state, text) {
  $("state").dataset.state = state;
  $("state").textContent = text;
}

const chosen = () => document.querySelector("[name=by]:checked").value;

// ---- what comes

function take(transport, lines) {
  if (transport !== current) return;
  for (const line of lines.split("\n")) {
    if (!line) continue;
    const e = JSON.parse(line);
    if (e.id) me.seen = e.id;
    switch (e.kind) {
      case "said": said(e); break;
      case "people": people(e); break;
      case "gap": note("Messages may be missing here: the server has started anew, or you were away for long."); break;
      case "trouble": note(`Messages of other servers may be missing here: ${e.text}`); break;
      case "refused": refused(e.key, e.text); break;
    }
  }
}

function said(e) {
  me.own.delete(e.key);
  const old = $(`m-${e.key}`);
  if (old && !old.matches(".waiting, .failed")) return; // it was shown before
  if (old) old.remove();
  add(message(e.key, e.from, e.text, me.mine.has(e.key) ? "own" : "", new Date(e.at).toLocaleTimeString()));
}

function message(key, from, text, kind, when) {
  const li = document.createElement("li");
  li.id = `m-${key}`;
  li.className = kind;
  const head = element("span", "head", when);
  head.prepend(element("b", "", from));
  li.append(head, element("p", "text", text));
  return li;
}

function element(tag, kind, text) {
  const e = document.createElement(tag);
  if (kind) e.className = kind;
  e.textContent = text;
  return e;
}

function note(text) {
  const last = $("log").lastElementChild;
  if (last && last.textContent === text) return;
  add(element("li", "note", text));
}

function add(li) {
  const log = $("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  log.append(li);
  while (log.childElementCount > maxShown) log.firstElementChild.remove();
  if (atEnd || li.classList.contains("own")) log.scrollTop = log.scrollHeight;
}

const transportNames = { websocket: "WebSocket", events: "SSE", poll: "long poll" };

function people(e) {
  const all = e.people || [];
  const more = e.more || 0;
  $("count").textContent = all.length + more;
  $("people").replaceChildren(...all.map((p) => {
    const li = element("li", "", p.name);
    li.append(element("small", "", transportNames[p.by] || p.by));
    return li;
  }));
  if (more) $("people").append(element("li", "", `and ${more} more`));
}

// ---- what is said

function say(text) {
  const key = random();
  me.mine.add(key);
  if (me.mine.size > maxShown) me.mine.delete(me.mine.values().next().value);
  me.own.set(key, { text, sent: 0 });
  add(message(key, me.name, text, "own waiting", "on its way"));
  deliver(key);
}

// deliver sends a message. What does not come back is sent again with the next connection,
// or after a while; the server knows by the key what it has had.
function deliver(key) {
  if (!current) return;
  const said = me.own.get(key);
  said.sent = Date.now();
  current.send({ key, text: said.text }).catch(() => {});
}

setInterval(() => {
  for (const [key, said] of me.own) {
    if (Date.now() - said.sent >= patience) deliver(key);
  }
}, patience);

function refused(key, why) {
  const said = me.own.get(key);
  const li = $(`m-${key}`);
  if (!said || !li) return;
  me.own.delete(key);
  li.className = "own failed";
  li.querySelector(".head").textContent = `not sent: ${why}`;
  if (!$("text").value) $("text").value = said.text;
}

// ---- the forms

function enter(name) {
  me.name = sessionStorage.name = name;
  $("enter").hidden = true;
  $("room").hidden = false;
  $("text").focus();
  connect();
}

$("enter").addEventListener("submit", (e) => {
  e.preventDefault();
  const name = $("name").value.trim();
  if (name) enter(name);
});

$("say").addEventListener("submit", (e) => {
  e.preventDefault();
  const text = $("text").value.trim();
  if (!text || me.own.size >= maxUnsent) return;
  $("text").value = "";
  say(text);
});

$("text").addEventListener("keydown", (e) => {
  if (e.key === "Enter" && !e.shiftKey && !e.isComposing) {
    e.preventDefault();
    $("say").requestSubmit();
  }
});

$("transports").addEventListener("change", () => {
  params.set("by", chosen());
  history.replaceState(null, "", `?${params}`);
  connect();
});

const by = document.querySelector(`[name=by][value="${CSS.escape(params.get("by") || "")}"]`);
if (by) by.checked = true;
const name = params.get("name") || sessionStorage.name || "";
if (name.trim()) enter(name.trim());
