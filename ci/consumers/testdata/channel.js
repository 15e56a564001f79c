// A WebSocket client of Node's against a server of channels that echo.
// Usage: node channel.js built-in|ws ws://host:port converse|away
'use strict';

const assert = require('node:assert');
const [, , kind, base, what] = process.argv;
const WS = kind === 'ws' ? require('ws') : globalThis.WebSocket;

const pattern = (n) => {
  let s = '';
  while (s.length < n) s += s.length.toString(16) + ',';
  return s.slice(0, n);
};

// open opens a WebSocket; next gives its messages in turn, closed how it ended.
function open(path, name, protocols = []) {
  const ws = new WS(`${base}${path}?${name}`, protocols);
  ws.binaryType = 'arraybuffer';
  const messages = [];
  let arrived = () => {};
  ws.addEventListener('message', (e) => { messages.push(e.data); arrived(); });
  const closed = new Promise((done) => ws.addEventListener('close', (e) => {
    done({ code: e.code, reason: e.reason, wasClean: e.wasClean });
    arrived();
  }));
  const next = async () => {
    if (messages.length === 0) await new Promise((done) => { arrived = done; });
    assert(messages.length > 0, 'it was closed instead');
    return messages.shift();
  };
  const failed = new Promise((_, no) => ws.addEventListener('error', (e) => no(new Error(e.message || 'error'))));
  failed.catch(() => {}); // where it is expected
  const opened = new Promise((done) => ws.addEventListener('open', done));
  return Promise.race([opened, failed]).then(() => ({ ws, next, closed }));
}

async function finish(c, code = 1000, reason = 'done') {
  c.ws.close(code, reason);
  assert.deepStrictEqual((await c.closed).code, code);
}

const bytes = (n) => Uint8Array.from({ length: n }, (_, i) => i * 7);

const cases = {
  async text() {
    const c = await open('/default', 'text');
    for (const n of [0, 1, 125, 126, 600, 65535, 65536, 1 << 20]) {
      c.ws.send(pattern(n));
      assert.strictEqual(await c.next(), pattern(n));
    }
    c.ws.send('žluťoučký 🐎');
    assert.strictEqual(await c.next(), 'žluťoučký 🐎');
    await finish(c);
  },
  async binary() {
    const c = await open('/takeover', 'binary');
    for (const n of [0, 1, 126, 65536, 1 << 20]) {
      c.ws.send(bytes(n));
      assert(Buffer.from(await c.next()).equals(Buffer.from(bytes(n))), `${n} bytes`);
    }
    await finish(c);
  },
  async burst() {
    const c = await open('/plain', 'burst');
    for (let i = 0; i < 500; i++) c.ws.send(`message ${i}`);
    for (let i = 0; i < 500; i++) assert.strictEqual(await c.next(), `message ${i}`);
    await finish(c);
  },
  async subprotocol() {
    const c = await open('/takeover', 'subprotocol', ['other', 'chat.v2', 'chat.v1']);
    assert.strictEqual(c.ws.protocol, 'chat.v2');
    await finish(c);
  },
  async codes() {
    for (const code of [1000, 3000, 4999]) await finish(await open('/default', `code=${code}`), code, 'enough');
  },
  async withoutCode() {
    const c = await open('/default', 'code=1005');
    c.ws.close();
    assert.strictEqual((await c.closed).code, 1005);
  },
  async serverCloses() {
    const c = await open('/default', 'server');
    c.ws.send('please close');
    assert.deepStrictEqual(await c.closed, { code: 4001, reason: 'bye', wasClean: true });
  },
  async tooLong() {
    const c = await open('/small', 'code=1009');
    c.ws.send(pattern(50000));
    assert.strictEqual((await c.closed).code, 1009);
  },
  async answersPings() {
    const c = await open('/pinged', 'pinged');
    await new Promise((done) => setTimeout(done, 2500)); // longer than the server waits for a Pong
    c.ws.send('still here');
    assert.strictEqual(await c.next(), 'still here');
    await finish(c);
  },
  async many() {
    await Promise.all(Array.from({ length: 100 }, async (_, i) => {
      const c = await open('/default', 'many');
      for (let j = 0; j < 5; j++) {
        c.ws.send(`${i}/${j} ${pattern(i * j)}`);
        assert.strictEqual(await c.next(), `${i}/${j} ${pattern(i * j)}`);
      }
      await finish(c);
    }));
  },
};

// What a page cannot do, and the library can.
const more = {
  async compression() {
    for (const [path, wanted, related] of [['/default', true, false], ['/takeover', true, true], ['/plain', false, false]]) {
      const c = await open(path, 'compression');
      assert.strictEqual(c.ws.extensions.includes('permessage-deflate'), wanted);
      const socket = c.ws._socket;
      const over = async (p, times) => {
        const before = [socket.bytesRead, socket.bytesWritten];
        for (let i = 0; i < times; i++) {
          c.ws.send(p);
          assert.strictEqual(await c.next(), p);
        }
        return [socket.bytesRead - before[0], socket.bytesWritten - before[1]];
      };
      for (const n of await over('ring'.repeat(25000), 1)) assert.strictEqual(n < 10000, wanted, `${path}: 100000 bytes took ${n}`);
      const noise = Array.from({ length: 100 }, () => `{"key": "${Math.random()}"}\n`).join('');
      for (const n of await over(noise, 30)) {
        assert.strictEqual(n < noise.length * 30 / 4, related, `${path}: ${noise.length} bytes 30 times took ${n}`);
      }
      await finish(c);
    }
  },
  async fragments() {
    for (const path of ['/default', '/plain']) {
      const c = await open(path, 'fragments');
      c.ws.send('in ', { fin: false });
      c.ws.ping('between');
      c.ws.send('', { fin: false });
      c.ws.send(pattern(5000), { fin: true });
      const [data] = await new Promise((done) => c.ws.once('pong', (...args) => done(args)));
      assert.strictEqual(String(data), 'between');
      assert.strictEqual(await c.next(), 'in ' + pattern(5000));
      await finish(c);
    }
  },
  async badText() {
    const c = await open('/default', 'code=1007');
    c.ws.send(Buffer.from([0x63, 0xe9]), { binary: false });
    assert.strictEqual((await c.closed).code, 1007);
  },
};

// The server is stopped while there are channels.
async function away() {
  const all = await Promise.all([1, 2, 3].map(() => open('/default', 'away')));
  console.log('ready');
  for (const c of all) assert.deepStrictEqual(await c.closed, { code: 1001, reason: 'the server is stopping', wasClean: true });
}

async function main() {
  if (what === 'away') return away();
  const all = kind === 'ws' ? { ...cases, ...more } : cases;
  await Promise.all(Object.entries(all).map(async ([name, run]) => {
    try {
      await run();
      console.log(`ok ${name}`);
    } catch (e) {
      console.log(`FAILED ${name}: ${e.message}`);
      process.exitCode = 1;
    }
  }));
  return undefined;
}

main().then(() => process.exit(), (e) => { console.log(`FAILED ${e.stack}`); process.exit(1); });
