// Authentication and authorization on real sockets (access.c): what an attacker would send, other
// programs' signatures, tickets with rtpush.js, decisions that come later, floods.
//     node tests/clients/access.test.mjs build/access [PART OF A TEST NAME]
import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import process from 'node:process';
import { EventSource } from 'eventsource';
import WebSocket from 'ws';
import {
  afterTest, ask, call, check, connect, equal, openEvents, parseAnswer, request, runAll, sleep,
  startProxy, test, until, withServer, within,
} from './harness.mjs';

const [binary, only] = process.argv.slice(2);
if (!binary) {
  console.log('usage: node tests/clients/access.test.mjs ACCESS [PART OF A TEST NAME]');
  process.exit(2);
}
const server = (name, use, args = [], ms = undefined) => (
  test(name, () => withServer(binary, ['--port', 0, ...args], use), ms));

// -- what the other side computes -----------------------------------------------------------------

const KEY = 'the key of the tests has 32 byte';
const base64url = (data) => Buffer.from(data).toString('base64url');
const hmac = (text, key = KEY) => createHmac('sha256', key).update(text, 'latin1').digest();
const now = () => Math.floor(Date.now() / 1000);

function token(claims = {}, header = { alg: 'HS256', typ: 'JWT' }, key = KEY) {
  const payload = { sub: 'alice', aud: 'device', exp: now() + 60, ...claims };
  const text = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(payload))}`;
  return `${text}.${base64url(hmac(text, key))}`;
}

function cookie(value = 'alice', until_s = now() + 60, purpose = 'session', key = KEY) {
  const text = `${until_s.toString(16).padStart(8, '0')}.${value}`;
  return `${text}.${base64url(hmac(`rtpush.sign\0${purpose}\0${text}`, key))}`;
}

const opened = (ws) => within(5_000, 'open', new Promise((done, fail) => {
  ws.on('open', done);
  ws.on('error', fail);
}));
const bearer = (text) => ({ Authorization: `Bearer ${text}` });
const me = (s, headers) => ask(s.port, request('GET', '/me', headers));
const ticketOf = async (s, headers = bearer(token())) => (
  (await call(`${s.url}/ticket`, { method: 'POST', headers })).body);

// -- Basic ----------------------------------------------------------------------------------------

server('Basic lets in the right password alone, and 401 says what is wanted', async (s) => {
  const basic = (text) => `Basic ${Buffer.from(text).toString('base64')}`;
  const good = basic('alice:open sesame');
  const inside = await ask(s.port, request('GET', '/login', { Authorization: good }));
  equal(inside.status, 200, 'status');
  for (const value of [
    null, '', 'Basic', 'Basic ', 'Basic !!!!', 'Basic Og==', good.slice(0, -1), good.slice(0, -2),
    good.slice(0, -4), `${good}A`, `${good}====`, good.replace('Basic', 'Bearer'), good.slice(6),
    basic('alice:open sesam'), basic('alice:open sesame1'), basic('alice:OPEN SESAME'),
    basic('alice:'), basic('alice'), basic(':open sesame'), basic('alic:open sesame'),
    basic('alice\0:open sesame'), basic('alice:open sesame\0'), basic('alice:open sesame\n'),
    basic(`alice:${'x'.repeat(400)}`), good.replace('Basic ', 'Basic\u00a0'),
  ]) {
    const answer = await ask(s.port, request('GET', '/login', { Authorization: value }));
    equal(answer.status, 401, `status of ${value}`);
    equal(answer.headers['www-authenticate'], 'Basic realm="device", charset="UTF-8"', 'challenge');
    check(!('set-cookie' in answer.headers), `a cookie for ${value}`);
  }
  const twice = request('GET', '/login', { Authorization: 'x', authorization: good });
  equal((await ask(s.port, twice)).status, 400, 'two of them');
  const long = request('GET', '/login', { Authorization: `Basic ${'A'.repeat(8192)}` });
  equal((await ask(s.port, long)).status, 431, 'of 8 KB');
});

// -- cookies --------------------------------------------------------------------------------------

server('a login gives a cookie that lets in, and that scripts and other sites cannot use',
  async (s) => {
    const Authorization = `Basic ${Buffer.from('alice:open sesame').toString('base64')}`;
    const login = await call(`${s.url}/login`, { headers: { Authorization } });
    const set = login.headers['set-cookie'][0];
    check(/^sid=[!-~]+; Max-Age=4; Path=\/; HttpOnly; SameSite=Strict$/.test(set), set);
    const sid = set.split(';')[0];
    equal((await me(s, { Cookie: sid })).body, 'alice', 'who');
    // After SESSION_S seconds it does not, whatever the browser keeps.
    await until('the end of the session', async () => (
      (await me(s, { Cookie: sid })).status === 401), 15_000);
  }, [], 40_000);

server('a cookie is taken as others sign it, and not otherwise', async (s) => {
  const good = cookie();
  equal((await me(s, { Cookie: `sid=${good}` })).body, 'alice', 'who');
  for (const [what, value] of [
    ['empty', ''], ['no signature', good.slice(0, 15)], ['a cut signature', good.slice(0, -1)],
    ['a longer one', `${good}A`], ['a changed name', good.replace('alice', 'mallo')],
    ['a changed time', `f${good.slice(1)}`], ['expired', cookie('alice', now() - 1)],
    ['for a ticket', cookie('alice', now() + 60, 'ticket')],
    ['for nothing', cookie('alice', now() + 60, '')],
    ['of another key', cookie('alice', now() + 60, 'session', 'x'.repeat(32))],
    ['a token', token()], ['quoted', `"${good}"`],
  ]) {
    equal((await me(s, { Cookie: `sid=${value}` })).status, 401, what);
  }
  // Cookie tossing: the first of the name counts, and 200 others do not matter.
  const many = [...Array(200).keys()].map((i) => `c${i}=${i}`).join('; ');
  equal((await me(s, { Cookie: `${many}; sid=${good}` })).status, 200, '200 pairs before it');
  equal((await me(s, { Cookie: `sid=${good}; ${many}; sid=evil` })).status, 200, 'twice');
  equal((await me(s, { Cookie: `sid=evil; sid=${good}` })).status, 401, 'the first counts');
  equal((await me(s, { Cookie: `sid=${'x'.repeat(8192)}` })).status, 431, 'of 8 KB');
  equal((await me(s, { Cookie: `sid=evil; x=${'x'.repeat(8192)}` })).status, 401, '8 KB behind');
});

// -- tokens ---------------------------------------------------------------------------------------

server('a token of another program lets in', async (s) => {
  equal((await me(s, bearer(token()))).body, 'alice', 'who');
  equal((await me(s, bearer(token({ aud: ['x', 'device'], sub: 'b\u00f6b' })))).body,
    Buffer.from('b\u00f6b').toString('latin1'), 'who');
  equal((await me(s, { authorization: `bearer  ${token({ nbf: now() - 5 })}` })).status, 200,
    'the scheme in lower case');
});

server('a token that is not one is refused', async (s) => {
  const good = token();
  const [head, payload, signature] = good.split('.');
  const none = (alg) => base64url(JSON.stringify({ alg }));
  for (const [what, text] of [
    ['empty', ''], ['no dot', head], ['one dot', `${head}.${payload}`], ['two dots alone', '..'],
    ['no signature', `${head}.${payload}.`], ['three dots', `${good}.`],
    ['four dots', `${good}..`], ['five parts', `${head}.${head}.${payload}.${payload}.x`],
    ['a cut one', good.slice(0, -1)], ['a prefix', good.slice(0, 20)], ['padding', `${good}=`],
    ['alg none', `${none('none')}.${payload}.`], ['alg None', `${none('None')}.${payload}.`],
    ['alg none, signed', token({}, { alg: 'none' })], ['HS512', token({}, { alg: 'HS512' })],
    ['crit', token({}, { alg: 'HS256', crit: ['x'], x: 1 })],
    ['another key', token({}, undefined, 'x'.repeat(32))],
    ['the empty key', token({}, undefined, '')],
    ['expired', token({ exp: now() - 1 })], ['no exp', token({ exp: undefined })],
    ['early', token({ nbf: now() + 60 })], ['another audience', token({ aud: 'other' })],
    ['no audience', token({ aud: undefined })], ['no name', token({ sub: undefined })],
    ['a name of 32', token({ sub: 'x'.repeat(32) })], ['a number for a name', token({ sub: 7 })],
    ['changed payload', `${head}.${base64url('{"sub":"root","exp":9999999999}')}.${signature}`],
  ]) {
    const answer = await me(s, bearer(text));
    equal(answer.status, 401, what);
    equal(answer.headers['www-authenticate'], 'Bearer', `challenge: ${what}`);
  }
  equal((await me(s, bearer('x'.repeat(8192)))).status, 431, 'of 8 KB');
});

// -- tickets --------------------------------------------------------------------------------------

server('a ticket opens one stream, once, and what it grants', async (s) => {
  const ticket = await ticketOf(s);
  const r = await openEvents(`${s.url}/events?ticket=${ticket}`);
  await r.wait('the notice', () => r.notices.length);
  await call(`${s.url}/publish/b`, { method: 'POST', body: 'for alice' });
  await r.wait('the event', () => r.events.length);
  r.close();
  for (const path of ['events', 'poll', 'ws']) {
    const again = await ask(s.port, request('GET', `/${path}?ticket=${ticket}`, path === 'ws' ? {
      Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' } : {}));
    equal(again.status, 401, `again at /${path}`);
  }
  const other = await ticketOf(s, bearer(token({ sub: 'bob' })));
  const bob = await openEvents(`${s.url}/events?ticket=${other}`);
  await bob.wait('the notice', () => bob.notices.length);
  await call(`${s.url}/publish/b`, { method: 'POST', body: 'not for bob' });
  await call(`${s.url}/publish/a`, { method: 'POST', body: 'for all' });
  await bob.wait('the event', () => bob.events.length);
  equal(bob.events.map((e) => e.data), ['for all'], 'what bob sees');
  bob.close();
});

server('a ticket that is changed, forged, late, or of an earlier boot is refused', async (s) => {
  const good = await ticketOf(s);
  const open = (t) => ask(s.port, request('GET', `/events?ticket=${encodeURIComponent(t)}`));
  const swapped = `${good.slice(0, 16)}ffffffff${good.slice(24)}`;
  for (const t of ['', 'x', good.slice(0, -1), `${good}A`, swapped, token(), cookie(),
    '0'.repeat(32) + 'A'.repeat(22), `ffffffff${good.slice(8)}`]) {
    equal((await open(t)).status, 401, t);
  }
  let earlier;
  await withServer(binary, ['--port', 0], async (before) => { earlier = await ticketOf(before); });
  equal((await open(earlier)).status, 401, 'of another boot');
  const late = await ticketOf(s);
  await sleep(6_500); // TICKET_S and a second
  equal((await open(late)).status, 401, 'late');
}, [], 40_000);

server('without cookie, token or ticket no stream opens', async (s) => {
  for (const path of ['/events', '/poll', '/events?topics=a', '/events?tickets=x']) {
    equal((await ask(s.port, request('GET', path))).status, 401, path);
  }
  const ws = new WebSocket(`${s.ws}/ws`);
  const error = await opened(ws).then(() => null, (e) => e);
  check(/401/.test(error?.message), `the WebSocket: ${error?.message}`);
});

server('a WebSocket may subscribe later to what was granted, and to nothing else', async (s) => {
  for (const [sub, answer] of [['alice', 'yes'], ['bob', 'no']]) {
    const ws = new WebSocket(`${s.ws}/ws?topics=a`, { headers: bearer(token({ sub })) });
    const seen = [];
    ws.on('message', (data) => seen.push(String(data)));
    afterTest(() => ws.terminate());
    await opened(ws);
    ws.send('subscribe b');
    await until('an answer', () => seen.length);
    await call(`${s.url}/publish/b`, { method: 'POST', body: 'on b' });
    await call(`${s.url}/publish/a`, { method: 'POST', body: 'on a' });
    await until('an event', () => seen.includes('on a'));
    equal(seen, answer === 'yes' ? ['yes', 'on b', 'on a'] : ['no', 'on a'], `what ${sub} sees`);
    ws.terminate();
  }
});

server('a stream ends when its authorisation does: 4401, and an event', async (s) => {
  const short = () => bearer(token({ exp: now() + 3 }));
  const ws = new WebSocket(`${s.ws}/ws`, { headers: short() });
  const over = new Promise((done) => {
    ws.on('close', (code) => done(code));
    ws.on('error', done);
  });
  const r = await openEvents(`${s.url}/events`, { headers: short() });
  equal(await within(15_000, 'the close', over), 4401, 'close code');
  await r.wait('the event', () => r.notices.includes('expired'), 15_000);
}, [], 40_000);

// -- decisions ------------------------------------------------------------------------------------

server('a decision that takes a while is the answer it would have been', async (s) => {
  const c = connect(s.port); // pipelined: the answers come in order
  for (const n of [6, 3, 0, 4]) {
    c.write(request('GET', `/later/${n}`));
  }
  const seen = [];
  await c.until('four answers', (text) => {
    let rest = text;
    seen.length = 0;
    for (let a = parseAnswer(rest); a; a = parseAnswer(rest)) {
      seen.push(`${a.status} ${a.body}`);
      rest = a.rest;
      if (rest === '') {
        break;
      }
    }
    return seen.length === 4;
  });
  equal(seen.map((t) => t.slice(0, 5)), ['200 6', '403 F', '200 0', '200 4'], 'answers');
  c.destroy();
});

server('clients that leave before the decision leave nothing behind', async (s) => {
  for (let round = 0; round < 5; round++) {
    const storm = [...Array(10).keys()].map(() => connect(s.port));
    storm.forEach((c) => c.write(request('GET', '/later/4')));
    await sleep(30);
    storm.forEach((c, i) => (i % 2 ? c.socket.resetAndDestroy() : c.socket.end()));
    await until('all to be gone', () => storm.every((c) => c.closed));
  }
  await until('free slots', async () => {
    const a = await call(`${s.url}/stats`).catch(() => null);
    return a?.status === 200 && JSON.parse(a.body).slots === 1;
  });
});

// -- floods ---------------------------------------------------------------------------------------

server('a flood of connections from one address meets its cap', async (s) => {
  const all = [...Array(20).keys()].map(() => connect(s.port));
  all.forEach((c) => c.write('GET /st'));
  await until('resets', () => all.filter((c) => c.closed).length >= 15);
  equal(all.filter((c) => !c.closed).length, 5, 'connections left');
  all.forEach((c) => c.destroy());
  const stats = await until('an answer', () => call(`${s.url}/stats`).catch(() => null));
  equal(stats.status, 200, 'status');
  check(JSON.parse(stats.body)['too many connections of this peer'] >= 15, stats.body);
}, ['--per-peer', 5]);

server('more slow heads than slots do not keep others out', async (s) => {
  const slow = [...Array(40).keys()].map(() => connect(s.port));
  slow.forEach((c) => c.write('GET /stats HTTP/1.1\r\nX-Slow: '));
  await sleep(100);
  // Nobody of the guest's own address is evicted in its first second. The deadline of a head comes
  // later than the guest's last try.
  const guest = () => call(`${s.url}/stats`);
  const first = await until('a guest', () => guest().catch(() => null), 2_000);
  equal(first.status, 200, 'a guest');
  for (let i = 0; i < 5; i++) {
    equal((await guest()).status, 200, 'a later guest');
  }
  check(slow.some((c) => !c.closed), 'no slow head was left');
  await until('the deadline of all', () => slow.every((c) => c.closed), 15_000);
  check(slow.some((c) => / 408 /.test(c.text)), 'nobody was told why');
}, ['--head-ms', 6000], 40_000);

server('message spam is held back, and every message answered in order', async (s) => {
  const ws = new WebSocket(`${s.ws}/ws`, { headers: bearer(token()) });
  const seen = [];
  ws.on('message', (data) => seen.push(String(data)));
  afterTest(() => ws.terminate());
  await opened(ws);
  for (let i = 0; i < 300; i++) {
    ws.send(`message ${i}`);
  }
  await until('all echoes', () => seen.length === 300, 25_000);
  equal(seen, [...Array(300).keys()].map((i) => `message ${i}`), 'echoes');
  ws.terminate();
}, ['--rate', 50], 40_000);

// -- rtpush.js, which asks for a ticket before each connection ------------------------------------
// It runs as it is: Node.js has no window, no document and no location, and need not.

globalThis.WebSocket = WebSocket;
globalThis.EventSource = EventSource;
const source = await readFile(new URL('../../ports/browser/rtpush.js', import.meta.url));
const rtpush = await import(`data:text/javascript;base64,${source.toString('base64')}`);

for (const transport of ['websocket', 'sse', 'poll']) {
  server(`rtpush.js comes back with a new ticket over ${transport}`, async (s) => {
    const proxy = await startProxy(s.port);
    const seen = [];
    let tickets = 0;
    let missed = 0;
    const client = rtpush.connect({
      url: `${proxy.url}/`, topics: ['a'], transports: [rtpush[transport]], backoffMs: 50,
      ticket: async () => {
        tickets += 1;
        if (tickets === 2) {
          throw new Error('none now'); // it asks again
        }
        return ticketOf(s);
      },
      onEvent: (topic, data) => seen.push(data),
      onNotice: (kind, n) => { missed += kind === 'gap' ? n : 0; },
    });
    afterTest(() => client.close());
    const publish = (body) => call(`${s.url}/publish/a`, { method: 'POST', body });
    await until('up', () => client.status.state === 'open');
    await publish('one');
    await until('one', () => seen.includes('one'));
    proxy.cut();
    await publish('two');
    await until('two', () => seen.includes('two'));
    await until('up again', () => client.status.state === 'open');
    await publish('three');
    await until('three', () => seen.includes('three'));
    equal(seen, ['one', 'two', 'three'], 'events');
    equal(missed, 0, 'missed');
    check(tickets >= 3, `${tickets} tickets`);
    client.close();
    const refused = JSON.parse((await call(`${s.url}/stats`)).body)['ended by the application'];
    equal(refused, undefined, 'tickets brought twice');
  });
}

await runAll(only);
