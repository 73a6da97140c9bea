// Every slot is taken by something unfinished, from one address and from as many as there are
// slots: another client still gets a page, within the time that the manual promises.
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import process from 'node:process';
import tls from 'node:tls';
import {
  afterTest, check, equal, openEvents, request, secure, sleep, test, withServer,
} from './harness.mjs';
import { patience } from '../patience.mjs';

const CONNS = 4; // --conns
const SLOTS = CONNS + 8; // the hub keeps eight more for plain requests
const AGAIN_MS = secure ? 80 : 20; // a handshake costs the clients too
const GUEST = '127.0.0.2';
const MALLORY = '127.0.0.66';

const HALF = 'GET /healthz HTTP/1.1\r\nHost: 127';
const body = (length) => request('POST', '/publish/a', { 'Content-Length': length }, 'x');
const KINDS = {
  silence: '',
  'a byte of a head': 'G',
  'half a head': HALF,
  'a withheld body': body(4),
  'an idle connection': request('GET', '/healthz'),
  'half a second head': request('GET', '/healthz') + HALF,
  'a second body withheld': request('GET', '/healthz') + body(4),
};

// A connection from this address that says text, behind a handshake where that is the protocol.
function say(s, from, text) {
  const raw = net.connect({ port: s.port, host: '127.0.0.1', localAddress: from, noDelay: true });
  const socket = secure && text !== null ? tls.connect({ socket: raw, host: '127.0.0.1' }) : raw;
  socket.on('error', () => {});
  raw.on('error', () => {});
  socket.write(text ?? Buffer.from('160301', 'hex')); // null: three bytes of a ClientHello
  socket.resume();
  const end = () => raw.destroy();
  afterTest(end);
  return raw;
}

// Holds that many connections until the end of the test, each opened again when it is lost.
function attack(s, count, from, text) {
  const held = new Set();
  let over = false;
  const hold = (i) => {
    if (over) {
      return;
    }
    const raw = say(s, from(i), text);
    held.add(raw);
    raw.on('close', () => {
      held.delete(raw);
      setTimeout(hold, AGAIN_MS, i);
    });
  };
  for (let i = 0; i < count; i++) {
    hold(i);
  }
  const end = () => {
    over = true;
    held.forEach((raw) => raw.destroy());
  };
  afterTest(end);
  return end;
}

// One request on a connection of its own: its status, or the error's code.
function visit(s) {
  return new Promise((done) => {
    const req = (secure ? https : http).get(`${s.url}/healthz`, {
      localAddress: GUEST, agent: false, timeout: 10_000,
    }, (res) => {
      res.resume();
      res.on('error', () => done('cut'));
      res.on('end', () => done(res.statusCode));
    });
    req.on('timeout', () => req.destroy());
    req.on('error', (error) => done(error.code));
  });
}

// ms until a page is there; one that is refused tries again, as a person would.
async function msUntilAPage(s) {
  const began = Date.now();
  while (await visit(s) !== 200) {
    check(Date.now() - began < 15_000 * patience(), 'no page in time');
    await sleep(50);
  }
  return Date.now() - began;
}

export default function suite(binary) {
  const under = (name, text, from, limit, slots = 64) => test(name, async () => {
    if (secure) {
      process.env.RTPUSH_TLS = `ec slots=${slots}`;
    }
    await withServer(binary, ['--port', 0, '--conns', CONNS, '--topics', 'a'], async (s) => {
      const reader = await openEvents(`${s.url}/events?topics=a`);
      await reader.wait('the notice', () => reader.notices.length);
      const end = attack(s, SLOTS, from, text);
      const times = [];
      for (let i = 0; i < 5; i++) {
        await sleep(300);
        times.push(await msUntilAPage(s));
      }
      end();
      times.sort((a, b) => a - b);
      // On a busy machine one of them may be late.
      check(times[2] <= limit * patience() / 4, `a page took ${times} ms`);
      check(!reader.closed, 'the stream was lost');
      reader.close();
    });
  }, 60_000);

  const kinds = { ...KINDS, ...(secure ? { 'a cut handshake': null } : {}) };
  // Behind a handshake the core sees the same as without TLS: there only what differs.
  const differs = ([what]) => !secure || /silence|handshake|idle/.test(what);
  for (const [what, text] of Object.entries(kinds).filter(differs)) {
    under(`${what} on every slot from one address keeps nobody out`, text, () => MALLORY, 1000);
    under(`${what} on every slot from many addresses keeps nobody out for long`, text,
      (i) => `127.0.1.${i + 1}`, 5000);
  }

  // A stream has one of four TLS slots; three are left for twelve connections.
  for (const what of secure ? Object.keys(kinds) : []) {
    under(`${what} on three TLS slots from one address keeps nobody out`, kinds[what],
      () => MALLORY, 1000, 4);
    under(`${what} on three TLS slots from many addresses keeps nobody out for long`, kinds[what],
      (i) => `127.0.1.${i + 1}`, 5000, 4);
  }

  // 4 streams at most, so 8 are left; a browser opens six connections to a site.
  test('six connections at once do not evict one another', () => (
    withServer(binary, ['--port', 0, '--conns', CONNS, '--topics', 'a'], async (s) => {
      for (let i = 0; i < SLOTS; i++) {
        say(s, `127.0.1.${i + 1}`, KINDS['an idle connection']);
      }
      await sleep(1500);
      const statuses = await Promise.all([...Array(6).keys()].map(() => visit(s)));
      equal(statuses, Array(6).fill(200), 'statuses');
    })));
}
