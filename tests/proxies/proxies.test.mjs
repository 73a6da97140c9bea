// Behind real proxies: nginx, HAProxy, Caddy and npm http-proxy, which all compress what they may.
// Requests and bodies pass whole, what is pushed is not held back, and no bytes of a client become
// a request that proxy and server count differently (RFC 9112 11.2).
//     node tests/proxies/proxies.test.mjs build/upload [PART OF A TEST NAME]
import { createRequire } from 'node:module';
import process from 'node:process';
import { gunzipSync } from 'node:zlib';
import {
  afterTest, call, check, connect, equal, parseAnswer, request, runAll, sleep, test, until,
  withServer, within,
} from '../clients/harness.mjs';
import { PROXIES } from './proxies.mjs';

const require = createRequire(new URL('../clients/', import.meta.url));
const WebSocket = require('ws');

const [binary, only] = process.argv.slice(2);
if (!binary) {
  console.log('usage: node tests/proxies/proxies.test.mjs UPLOAD [PART OF A TEST NAME]');
  process.exit(2);
}

const bytes = (n) => Buffer.from(Array.from({ length: n },
  (_, i) => (i * 7 + Math.trunc(i / 251)) & 255));
function digest(data) {
  let sum = 2166136261;
  for (const byte of data) {
    sum = Math.imul(sum ^ byte, 16777619) >>> 0;
  }
  return `${data.length} ${sum.toString(16).padStart(8, '0')}`;
}

const SEEN = ['form', 'image', 'slow', 'echo', 'pull', 'static', 'who', 'events', 'ws', 'poll',
  'publish'];
async function seen(s) {
  const counts = (await call(`${s.url}/seen`)).body.trim().split(' ').map(Number);
  return Object.fromEntries(SEEN.map((name, i) => [name, counts[i]]));
}
const publish = (s, text) => call(`${s.url}/publish`, { method: 'POST', body: text });

// All answers in what a connection received, interim ones left out.
function allAnswers(c) {
  const found = [];
  for (let text = c.text; text;) {
    const a = parseAnswer(text, { closed: c.closed });
    if (!a) {
      break;
    }
    found.push(a);
    text = a.rest;
  }
  return found;
}

// -- what must pass -------------------------------------------------------------------------------

function passes(p, via) {
  via('answers many requests of one client', async (s, port) => {
    const c = connect(port);
    for (let i = 1; i <= 30; i++) {
      const before = c.text.length;
      c.write(request('GET', `/pull/${i * 50}`));
      const a = await c.until('an answer', (t) => parseAnswer(t.slice(before)));
      equal(a.status, 200, `status of ${i}`);
      check(Buffer.from(a.body, 'latin1').equals(bytes(i * 50)), `other bytes in ${i}`);
    }
    equal((await seen(s)).pull, 30, 'requests the server saw');
  });

  via('passes downloads with a length, in chunks and in part', async (s, port) => {
    const url = `http://127.0.0.1:${port}`;
    for (const path of ['/pull/200000', '/pull/200000/chunked', '/static']) {
      const a = await fetch(`${url}${path}`);
      const body = Buffer.from(await a.arrayBuffer());
      check(body.equals(bytes(path === '/static' ? 100_000 : 200_000)), `${path} differs`);
    }
    const a = await fetch(`${url}/static`, { headers: { Range: 'bytes=1000-70000' } });
    equal(a.status, 206, 'status of a range');
    check(Buffer.from(await a.arrayBuffer()).equals(bytes(100_000).subarray(1000, 70_001)),
      'another part');
    const head = await fetch(`${url}/pull/200000`, { method: 'HEAD' });
    equal(head.headers.get('content-length'), '200000', 'Content-Length of HEAD');
  });

  via('passes bodies with a length and in chunks', async (s, port) => {
    const url = `http://127.0.0.1:${port}`;
    for (const n of [1, 4_000, 300_000]) {
      const image = bytes(n);
      const headers = { 'Content-Type': 'application/octet-stream' };
      const sized = await fetch(`${url}/image`, { method: 'POST', body: image, headers });
      equal(await sized.text(), digest(image), `${n} bytes`);
      const body = new ReadableStream({
        async start(c) {
          for (let at = 0; at < n; at += 1000) {
            c.enqueue(new Uint8Array(image.subarray(at, at + 1000)));
          }
          c.close();
        },
      });
      const chunked = await fetch(`${url}/image`, { method: 'PUT', body, headers, duplex: 'half' });
      equal(await chunked.text(), digest(image), `${n} bytes in chunks`);
    }
    const form = new FormData();
    form.append('f', new Blob([bytes(60_000)]), 'x.bin');
    const a = await fetch(`${url}/form`, { method: 'POST', body: form });
    equal(a.status, 200, 'status of a form');
    const refused = await fetch(`${url}/image`, { method: 'POST', body: form });
    equal(refused.status, 415, 'status of a form for /image');
  });

  via('passes small chunks, their extensions and trailers', async (s, port) => {
    const c = connect(port);
    c.write(`${request('POST', '/echo', { 'Transfer-Encoding': 'chunked' })}1\r\na\r\n`);
    await sleep(20);
    c.write('2;x=y\r\nbc\r\n00');
    await sleep(20);
    c.write('0\r\nX-Trailer: 1\r\n\r\n');
    const a = await c.until('an answer', (t) => parseAnswer(t));
    // A proxy may refuse what it does not like; nobody may read it as something else.
    check(a.status === 200 ? a.body === 'abc' : a.status === 400, `${a.status} ${a.body}`);
    equal((await seen(s)).echo, a.status === 200 ? 1 : 0, 'requests the server saw');
  });

  via('continues where the client expects it', async (s, port) => {
    const c = connect(port);
    c.write(request('POST', '/image', { 'Content-Length': 5, Expect: '100-continue',
      'Content-Type': 'application/octet-stream' }));
    await c.until('100 Continue', (t) => t.startsWith('HTTP/1.1 100 '));
    c.write('hello');
    const a = await c.until('an answer', (t) => parseAnswer(t));
    equal(a.body, digest(Buffer.from('hello')), 'the image');
  });

  via('passes an upload that is too large as a refusal', async (s, port) => {
    const a = await fetch(`http://127.0.0.1:${port}/echo`, { method: 'POST',
      body: 'x'.repeat(2_000) });
    equal(a.status, 413, 'status');
    const b = await fetch(`http://127.0.0.1:${port}/who`);
    equal(b.status, 200, 'the next request');
  });
}

// -- who asks -------------------------------------------------------------------------------------

function headers(p, via) {
  via('passes Host with the port of the scheme, and its origin', async (s, port) => {
    for (const [host, origin] of [['127.0.0.1:80', 'http://127.0.0.1'],
      ['127.0.0.1', 'http://127.0.0.1:80'], ['127.0.0.1:443', 'https://127.0.0.1'],
      [`127.0.0.1:${port}`, `http://127.0.0.1:${port}`]]) {
      const c = connect(port);
      c.write(request('GET', '/who', { Host: host, Origin: origin }));
      const a = await c.until('an answer', (t) => parseAnswer(t));
      if (p.name === 'Caddy' && a.status === 200 && a.body === '') {
        continue; // no site of that port
      }
      equal(a.status, 200, `status with Host: ${host} and Origin: ${origin}`);
      check(a.body.startsWith('host=127.0.0.1'), a.body);
      c.destroy();
    }
  });

  via('passes X-Forwarded-For once more', async (s, port) => {
    const c = connect(port);
    c.write('GET /who HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 10.1.1.1\r\n'
      + 'X-Forwarded-For: 10.2.2.2\r\n\r\n');
    const a = await c.until('an answer', (t) => parseAnswer(t));
    equal(a.status, 200, 'status');
    check(/forwarded=.*127\.0\.0\.1\n/.test(a.body), a.body); // the last hop is the proxy's client
  });
}

// -- what is pushed -------------------------------------------------------------------------------

// Some seconds, by patience.mjs; less than the keep-alive that could push out what a proxy holds
// back.
const SOON = 1_000;

// Reads an event stream as it comes, as a browser does: it takes and decodes what is compressed.
async function reading(port, fields = {}) {
  const stop = new AbortController();
  afterTest(() => stop.abort());
  const began = Date.now();
  const answer = await within(SOON, 'the head of the stream', fetch(
    `http://127.0.0.1:${port}/events`, { headers: fields, signal: stop.signal }));
  const stream = { text: '', ms: () => Date.now() - began, end: () => stop.abort() };
  (async () => {
    const decoder = new TextDecoder();
    for await (const part of answer.body) {
      stream.text += decoder.decode(part, { stream: true });
    }
  })().catch(() => {});
  stream.until = (what, probe) => until(what, () => probe(stream.text), SOON);
  return stream;
}

function pushes(p, via) {
  via('gives each event of an event stream at once', async (s, port) => {
    const c = await reading(port);
    await c.until('the notice', (t) => t.includes('data: fresh'));
    for (let i = 0; i < 3; i++) {
      await publish(s, `event ${i}`);
      await c.until('the event', (t) => t.includes(`data: event ${i}\n`));
    }
    c.end();
    await sleep(50);
    const after = await reading(port);
    await after.until('the notice of the next stream', (t) => t.includes('data: fresh'));
  });

  via('resumes an event stream', async (s, port) => {
    const c = await reading(port);
    await c.until('the notice', (t) => t.includes('data: fresh'));
    await publish(s, 'first');
    await c.until('the event', (t) => t.includes('data: first\n'));
    const id = c.text.match(/^id: ?\S+/gm).at(-1).replace(/id: ?/, '');
    c.end();
    await publish(s, 'second');
    const again = await reading(port, { 'Last-Event-ID': id });
    await again.until('what was missed', (t) => t.includes('data: second\n'));
    check(!again.text.includes('data: first'), 'the first event came again');
  });

  via('answers a poll when there is an event', async (s, port) => {
    const first = await call(`http://127.0.0.1:${port}/poll?timeout=1`);
    const ids = first.body.match(/id: ?(\S+)/g);
    check(ids, `no id in ${first.body}`);
    const id = ids.at(-1).replace(/id: ?/, '');
    const c = connect(port);
    c.write(request('GET', `/poll?timeout=20&last_event_id=${id}`, { 'Accept-Encoding': 'gzip' }));
    await sleep(300);
    equal(c.text, '', 'before there is an event');
    await publish(s, 'polled');
    const a = await c.until('the answer', (t) => parseAnswer(t, { closed: c.closed }), SOON);
    const body = a.headers['content-encoding'] === 'gzip'
      ? gunzipSync(Buffer.from(a.body, 'latin1')).toString() : a.body;
    check(body.includes('data: polled\n'), body);
  });

  if (!p.websocket) {
    return;
  }
  via('passes a WebSocket', async (s, port) => {
    const ws = new WebSocket(`ws://127.0.0.1:${port}/ws`);
    afterTest(() => ws.terminate());
    await within(5_000, 'open', new Promise((done, fail) => {
      ws.on('open', done);
      ws.on('error', fail);
    }));
    const got = [];
    ws.on('message', (data) => got.push(data.toString()));
    await publish(s, 'pushed');
    for (const text of ['one', 'x'.repeat(1_500), 'three']) {
      ws.send(text);
    }
    const wanted = 4;
    await within(5_000, 'the echoes', (async () => {
      while (got.length < wanted) {
        await sleep(5);
      }
    })());
    check(got.includes('pushed') && got.includes('one') && got.includes('three'), got.join());
    const closed = new Promise((done) => { ws.on('close', done); });
    ws.close(1000, 'bye');
    equal(await within(5_000, 'close', closed), 1000, 'close code');
  });

  via('passes an upgrade that lists keep-alive too', async (s, port) => {
    const c = connect(port);
    c.write(request('GET', '/ws', { Upgrade: 'websocket', Connection: 'keep-alive, Upgrade',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version': '13' }));
    await c.until('101', (t) => t.startsWith('HTTP/1.1 101 '));
    c.write(Buffer.from('8183000000006f6b21', 'hex')); // "ok!" by a mask of zeros
    await c.until('the echo', (t) => t.endsWith('\x81\x03ok!'));
  });
}

// -- what must not --------------------------------------------------------------------------------

const HIDDEN = 'GET /who HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';
const post = (fields, body) => (
  `POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\n${fields}\r\n\r\n${body}`);
const TE = 'Transfer-Encoding: chunked';

// Each hides a request from one of two parsers that differ.
const SMUGGLING = [
  ['a length that covers it, and chunks that end before it',
    post(`Content-Length: ${5 + HIDDEN.length}\r\n${TE}`, `0\r\n\r\n${HIDDEN}`)],
  ['chunks that end before it, and a length that covers it',
    post(`${TE}\r\nContent-Length: ${5 + HIDDEN.length}`, `0\r\n\r\n${HIDDEN}`)],
  ['a length before it, and a chunk that covers it',
    post(`Content-Length: 4\r\n${TE}`, `${HIDDEN.length.toString(16)}\r\n${HIDDEN}\r\n0\r\n\r\n`)],
  ['a coding that is none', post('Transfer-Encoding: xchunked', `0\r\n\r\n${HIDDEN}`)],
  ['chunked twice', post(`${TE}\r\n${TE}`, `0\r\n\r\n${HIDDEN}`)],
  ['chunked and identity', post('Transfer-Encoding: chunked, identity', `0\r\n\r\n${HIDDEN}`)],
  ['identity and chunked', post('Transfer-Encoding: identity, chunked', `0\r\n\r\n${HIDDEN}`)],
  ['a space before the colon',
    post(`Transfer-Encoding : chunked\r\nContent-Length: ${5 + HIDDEN.length}`,
      `0\r\n\r\n${HIDDEN}`)],
  ['a vertical tab before the coding',
    post(`Transfer-Encoding: \x0Bchunked\r\nContent-Length: ${5 + HIDDEN.length}`,
      `0\r\n\r\n${HIDDEN}`)],
  ['a folded coding',
    post(`Transfer-Encoding:\r\n chunked\r\nContent-Length: ${5 + HIDDEN.length}`,
      `0\r\n\r\n${HIDDEN}`)],
  ['a coding behind a bare LF',
    post(`X: y\n${TE}\r\nContent-Length: ${5 + HIDDEN.length}`, `0\r\n\r\n${HIDDEN}`)],
  ['a coding behind a bare CR',
    post(`X: y\r${TE}\r\nContent-Length: ${5 + HIDDEN.length}`, `0\r\n\r\n${HIDDEN}`)],
  ['chunked in HTTP/1.0', post(`${TE}\r\nConnection: keep-alive`, `0\r\n\r\n${HIDDEN}`)
    .replace('HTTP/1.1', 'HTTP/1.0')],
  ['two lengths', post(`Content-Length: 0\r\nContent-Length: ${HIDDEN.length}`, HIDDEN)],
  ['a list of lengths', post(`Content-Length: 0, ${HIDDEN.length}`, HIDDEN)],
  ['a signed length', post(`Content-Length: +${HIDDEN.length}`, HIDDEN)],
  ['a length in hexadecimal', post('Content-Length: 0x5', `hello${HIDDEN}`)],
  ['a length of 2^64 and more', post('Content-Length: 18446744073709551616', HIDDEN)],
  ['a chunk size of 17 digits', post(TE, `10000000000000000\r\n${HIDDEN}\r\n0\r\n\r\n`)],
  ['a chunk size with 0x', post(TE, `0x5\r\nhello\r\n0\r\n\r\n${HIDDEN}`)],
  ['a negative chunk size', post(TE, `-1\r\n${HIDDEN}\r\n0\r\n\r\n`)],
  ['a chunk size behind a space', post(TE, ` 0\r\n\r\n${HIDDEN}`)],
  ['a chunk size before a space', post(TE, `0 \r\n\r\n${HIDDEN}`)],
  ['a chunk size that ends with a bare LF', post(TE, `5\nhello\r\n0\r\n\r\n${HIDDEN}`)],
  ['an extension that ends with a bare LF', post(TE, `0;x\n\r\n${HIDDEN}`)],
  ['an extension with a line in it',
    post(TE, `1;x\n2c\r\na\r\n0\r\n\r\n${HIDDEN}0\r\n\r\n`)],
  ['an extension with a bare CR', post(TE, `5;\r0\r\nhello\r\n0\r\n\r\n${HIDDEN}`)],
  ['a chunk longer than its size', post(TE, `5\r\nhelloXX0\r\n\r\n${HIDDEN}`)],
  ['a chunk whose CR LF is a bare LF', post(TE, `5\r\nhello\n0\r\n\r\n${HIDDEN}`)],
  ['an end without its empty line', post(TE, `0\r\n${HIDDEN}`)],
  ['an end with a bare LF', post(TE, `0\r\n\n${HIDDEN}`)],
  ['a length in the trailers', post(TE, `0\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`)],
  ['a body for GET', `GET /pull/5 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${
    HIDDEN.length}\r\n\r\n${HIDDEN}`],
  ['chunks for GET', `GET /pull/5 HTTP/1.1\r\nHost: 127.0.0.1\r\n${TE}\r\n\r\n${
    HIDDEN.length.toString(16)}\r\n${HIDDEN}\r\n0\r\n\r\n`],
  ['chunks for a path that is not there',
    post(TE, `${HIDDEN.length.toString(16)}\r\n${HIDDEN}\r\n0\r\n\r\n`).replace('/echo', '/no')],
  ['a body that is too large', post('Content-Length: 500', HIDDEN.padEnd(500, 'x'))],
  ['chunks that are too large',
    post(TE, `1f4\r\n${HIDDEN.padEnd(500, 'x')}\r\n0\r\n\r\n${HIDDEN}`)],
  ['a body of another type', `POST /image HTTP/1.1\r\nHost: 127.0.0.1\r\n${TE}\r\n`
    + `Content-Type: a/b\r\n\r\n${HIDDEN.length.toString(16)}\r\n${HIDDEN}\r\n0\r\n\r\n`],
  ['an upgrade that fails', `GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n`
    + `Connection: Upgrade\r\nSec-WebSocket-Version: 8\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${
      HIDDEN}`],
  ['an expectation', post(`Content-Length: ${HIDDEN.length}\r\nExpect: 100-continue`, HIDDEN)],
];

// The request in what the client sent is data, or one that the proxy knows of: if the server read a
// request that the proxy did not send as one, its answer would go to somebody else. So both must
// have counted the same, and others who ask through the same connections get their own answers.
async function smuggle(s, proxy, payload) {
  const c = connect(proxy.port);
  c.write(payload);
  let quiet = 0;
  for (let length = -1; quiet < 8 && !c.closed;) {
    quiet = c.text.length === length ? quiet + 1 : 0;
    length = c.text.length;
    await sleep(10);
  }
  c.destroy();
  let counts = [];
  await until('both to count the same', async () => {
    counts = [(await seen(s)).who, await proxy.sent('/who')];
    return counts[0] === counts[1];
  }, 2_000).catch(() => {
    throw new Error(`the server saw ${counts[0]} hidden requests, the proxy sent ${counts[1]}; the `
      + `client got ${JSON.stringify(c.text.slice(0, 400))}`);
  });
}

function smuggling(p, via) {
  via('agrees with the server about every request', async (s, port, proxy) => {
    const whole = bytes(40).toString('latin1');
    for (const [what, payload] of SMUGGLING) {
      try {
        await smuggle(s, proxy, payload);
        for (let i = 0; i < 3; i++) {
          const victim = connect(port);
          victim.write(request('GET', '/pull/40'));
          const a = await victim.until('the answer of somebody else', (t) => parseAnswer(t,
            { closed: victim.closed }), 5_000);
          equal(a.status, 200, 'status of somebody else');
          equal(a.body, whole, 'the answer of somebody else');
          equal(allAnswers(victim).length, 1, 'answers of somebody else');
          victim.destroy();
        }
      } catch (error) {
        throw new Error(`${what}: ${error.message}`);
      }
    }
  }, 60_000);
}

for (const p of PROXIES) {
  const via = (name, use, ms = undefined) => test(`${p.name}: ${name}`, () => (
    withServer(binary, ['--port', 0], async (s) => {
      const proxy = await p.start(s.port);
      await use(s, proxy.port, proxy);
    })), ms);
  passes(p, via);
  headers(p, via);
  pushes(p, via);
  smuggling(p, via);
}

runAll(only);
