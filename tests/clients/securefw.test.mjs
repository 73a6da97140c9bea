// What is special about examples/secure as firmware on an emulated board: three TLS connections in
// 64 KB of RAM, no random generator. What the application does is tests/clients/secure.test.mjs'.
//     RTPUSH_TLS=ec NODE_EXTRA_CA_CERTS=build/cert/ca.pem node tests/clients/securefw.test.mjs
//         '{"board":"lm3s6965evb","elf":...,"seedAt":...}' [PART OF A TEST NAME]
import https from 'node:https';
import net from 'node:net';
import process from 'node:process';
import tls from 'node:tls';
import WebSocket from 'ws';
import {
  afterTest, call, check, equal, EventParser, run as runProgram, runAll, sleep, test, until, within,
} from './harness.mjs';
import { startTarget } from './device.mjs';
import { login, startSecure } from './secure.mjs';

const how = JSON.parse(process.argv[2] ?? '{}');
if (!how.elf) {
  console.log('usage: securefw.test.mjs \'{"board":..., "elf":..., "seedAt":...}\' [PART]');
  process.exit(2);
}
const CA = 'build/cert/ca.pem';
const SLOTS = 3; // TLS_SLOTS
const CUTS = 100;
const FREE = ['slots 0', 'lwip: heap 0, segments 0, pbufs 0, buffers 0']; // all pools

// A device of its own for each test.
const device = (name, use, ms = 60_000) => test(name, async () => {
  const s = await startSecure({ ...how, httpToo: true });
  await use(s);
  s.alive();
  check(!/fault|assert/i.test(s.log()), `the log says: ${s.log().slice(-800)}`);
  await s.stop();
}, ms);

// An emulated device is slow on a busy machine.
const run = (program, args, more) => runProgram(program, args, { ms: 30_000, ...more });

const openssl = (s, args, more) => run('openssl', ['s_client', '-connect', `127.0.0.1:${s.port}`,
  '-CAfile', CA, ...args], more);

const count = (s, words) => s.log().split(words).length - 1;

// The pools, as the device reports them when no connection is left: "lwip: heap 0, ...".
async function pools(s) {
  const found = await until('everybody to be gone', () => (
    /connections 0, .*\n.* tls: (slots \d+), .*\n.* (lwip: .*)\n$/.exec(s.log())
  ), 20_000).catch((e) => { throw new Error(`${e.message}: ${s.log().slice(-500)}`); });
  return found.slice(1);
}

// -- tools ----------------------------------------------------------------------------------------

device('openssl verifies the certificate, agrees on what is intended, and is answered',
  async (s) => {
    const { text } = await openssl(s, ['-alpn', 'h2,http/1.1', '-ign_eof', '-verify_return_error'],
      { input: 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' });
    check(/New, TLSv1\.2, Cipher is ECDHE-ECDSA-CHACHA20-POLY1305/.test(text), text);
    check(/Server Temp Key: X25519/.test(text), 'no X25519');
    check(/Verify return code: 0 \(ok\)/.test(text), 'the certificate does not verify');
    check(/HTTP\/1\.1 200 /.test(text), text.slice(-300));
  });

device('openssl with AES and P-256 alone is served too', async (s) => {
  const { text } = await openssl(s, ['-groups', 'P-256', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256',
    '-ign_eof'], { input: 'GET /app.js HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' });
  check(/Server Temp Key: ECDH, prime256v1/.test(text), 'no P-256');
  check(/HTTP\/1\.1 200 /.test(text), text.slice(-300));
});

device('openssl resumes its session five times of five', async (s) => {
  const { text } = await openssl(s, ['-reconnect'], { wait: 2_000 });
  equal(text.match(/^Reused, TLSv1\.2/gm)?.length, 5, 'resumed');
  await until('the device to say so', () => /resumed 5, failed 0/.test(s.log()));
});

device('curl gets the page over TLS, and from the other port the way to it', async (s) => {
  const { code, text } = await run('curl', ['-sS', '--max-time', '20', '--cacert', CA,
    `${s.url}/`]);
  check(code === 0 && /<!doctype html>/i.test(text), text);
  const plain = await run('curl', ['-sS', '--max-time', '20', '-o', '/dev/null', '-w',
    '%{http_code} %{redirect_url}', `http://127.0.0.1:${s.plain}/`]);
  equal(plain.text, '301 https://127.0.0.1:443/', 'the plain port');
});

// -- streams --------------------------------------------------------------------------------------

// Ids of one stream: events follow without a gap, or a notice reports the gap.
class Ids {
  constructor(name) {
    Object.assign(this, { name, seq: null, events: 0, states: 0, told: 0, wrong: null });
  }

  take(id, topic, data) {
    const seq = parseInt(/^[0-9a-f]{8}-([0-9a-f]{8})/.exec(id)[1], 16);
    if (topic === 'rtpush' && data === '') { // a keep-alive
      this.wrong ??= seq === this.seq ? null : `${this.name}: keep-alive ${seq} at ${this.seq}`;
    } else if (topic === 'rtpush') {
      this.told += Number(/^gap (\d+)/.exec(data)?.[1] ?? 0);
      this.seq = seq;
    } else if (topic !== 'log' && topic !== 'audit') { // a STATE value
      this.states += 1;
    } else {
      this.wrong ??= seq === this.seq + 1 ? null : `${this.name}: ${seq} after ${this.seq}`;
      this.seq = seq;
      this.events += 1;
    }
  }
}

async function openSocket(s, cookie, ids) {
  const ws = new WebSocket(`${s.ws}/ws`, ['rtpush.1'], { headers: cookie });
  afterTest(() => ws.terminate());
  ws.on('error', () => {});
  ws.on('message', (data) => {
    const m = /^([0-9a-f-]+)(?: (\S+)\n([^]*))?$/.exec(String(data));
    if (m) {
      ids.take(m[1], m[2] ?? 'rtpush', m[3] ?? '');
    }
  });
  await until('the WebSocket to open', () => ws.readyState === WebSocket.OPEN);
  return ws;
}

async function openEvents(s, cookie, ids) {
  const parser = new EventParser();
  let taken = 0;
  let over = false;
  const req = https.get(`${s.url}/events`, { headers: cookie, agent: false }, (res) => {
    res.on('data', (d) => {
      parser.push(String(d));
      for (; taken < parser.events.length; taken += 1) {
        const e = parser.events[taken];
        ids.take(e.id, e.event, e.data);
      }
    });
    res.on('close', () => { over = true; });
  });
  req.on('error', () => { over = true; });
  afterTest(() => req.destroy());
  await until('the event stream to open', () => ids.seq !== null);
  return { over: () => over, close: () => req.destroy() };
}

device('two TLS streams get every event and go on, while others come and go', async (s) => {
  const cookie = await login(s, 'admin');
  const first = new Ids('ws');
  const second = new Ids('sse');
  const ws = await openSocket(s, cookie, first);
  const events = await openEvents(s, cookie, second);
  const end = Date.now() + 15_000;
  let sent = 0;
  while (Date.now() < end) {
    ws.send(`on ${sent % 2 ? 0 : 1}`);
    sent += 1;
    if (sent % 20 === 0) {
      const { status } = await call(`${s.url}/session`, { headers: cookie });
      equal(status, 200, 'a third connection');
    }
    await sleep(50);
  }
  await until('the last event', () => first.events >= sent && second.events >= sent);
  check(!first.wrong && !second.wrong, `${first.wrong} ${second.wrong}`);
  check(first.states > 10 && second.states > 10, 'no states');
  equal([first.told, second.told], [0, 0], 'events missed');
  check(ws.readyState === WebSocket.OPEN && !events.over(), 'a stream has ended');
  ws.terminate();
  events.close();
  equal(await pools(s), FREE, 'pools');
});

// -- breaks ---------------------------------------------------------------------------------------

// A handshake through a proxy that cuts after so many bytes, of both directions together.
function handshakeAndCut(s, bytes) {
  return new Promise((done) => {
    let left = bytes;
    const proxy = net.createServer((near) => {
      const far = net.connect(s.port, '127.0.0.1');
      const cut = () => { near.destroy(); (bytes % 2 ? far.resetAndDestroy() : far.destroy()); };
      const pass = (to) => (d) => {
        to.write(d.subarray(0, left));
        left -= d.length;
        if (left <= 0) {
          setTimeout(cut, 5); // what was passed on is on its way
        }
      };
      near.on('data', pass(far));
      far.on('data', pass(near));
      near.on('error', () => {});
      far.on('error', () => {});
      near.on('close', () => far.destroy());
      far.on('close', () => near.destroy());
    });
    proxy.listen(0, '127.0.0.1', () => {
      const c = tls.connect({ port: proxy.address().port, host: '127.0.0.1' });
      c.on('secureConnect', () => c.destroy()); // the cut would come later
      c.on('error', () => {});
      c.on('close', () => proxy.close(done));
      afterTest(() => { c.destroy(); proxy.close(); });
    });
  });
}

device(`${CUTS} handshakes cut at any byte leave all pools as they were`, async (s) => {
  equal(await pools(s), FREE, 'pools before');
  let random = 12345;
  for (let i = 0; i < CUTS; i++) {
    random = (random * 1103515245 + 12345) % 2147483648;
    const bytes = 1 + (random >> 8) % 1400;
    await within(20_000, `a cut after ${bytes} bytes`, handshakeAndCut(s, bytes));
  }
  equal((await call(`${s.url}/`)).status, 200, 'the page afterwards');
  equal(await pools(s), FREE, 'pools afterwards');
  const whole = count(s, 'tls: handshake ');
  check(whole > 0 && whole < CUTS, `${whole} handshakes of ${CUTS} were completed`);
}, 90_000);

device('idle connections give way to others; those that stream do not', async (s) => {
  const cookie = await login(s, 'viewer');
  const ids = new Ids('ws');
  const ws = await openSocket(s, cookie, ids);
  const agents = [...Array(2 * SLOTS).keys()].map(() => new https.Agent({ keepAlive: true }));
  afterTest(() => agents.forEach((agent) => agent.destroy()));
  for (const agent of agents) { // each keeps its connection
    const status = await within(20_000, 'an answer', new Promise((done, fail) => {
      https.get(`${s.url}/session`, { agent, headers: cookie }, (res) => {
        res.resume();
        res.on('end', () => done(res.statusCode));
      }).on('error', fail);
    }));
    equal(status, 200, 'status');
  }
  check(ws.readyState === WebSocket.OPEN && !ids.wrong, 'the stream has ended');
});

// -- no random bytes ------------------------------------------------------------------------------

test('without random bytes there is no TLS, and the device says why', async () => {
  const s = await startTarget({ ...how, seedAt: '', httpToo: true });
  check(/no TLS: no source of random bytes/.test(s.log()), s.log());
  check(!/listening on https/.test(s.log()), 'it listens');
  const refused = await call(`${s.url}/`).then(() => null, (e) => e);
  check(/ECONNRESET|socket (disconnected|hang up)/.test(`${refused?.code} ${refused?.message}`),
    `the TLS port: ${refused?.message}`);
  const { text } = await run('curl', ['-sS', '--max-time', '10', '-w', ' %{http_code}',
    `http://127.0.0.1:${s.plain}/`]);
  check(/no source of random bytes[^]* 503$/.test(text), `the plain port: ${text}`);
  await s.stop();
});

await runAll(process.argv[3]);
