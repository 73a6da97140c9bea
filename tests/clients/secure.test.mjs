// examples/secure over TLS, as its users and as an attacker: openssl, curl, ws and node's own
// clients against the program, or against the firmware of the same application.
//     RTPUSH_TLS=ec NODE_EXTRA_CA_CERTS=build/cert/ca.pem \
//         node tests/clients/secure.test.mjs build/secure-asan [PART OF A TEST NAME]
//     ... node tests/clients/secure.test.mjs '{"board":"lm3s6965evb","elf":...,"seedAt":...}'
// No test holds more than three connections at a time open to an emulated device: a small one has
// memory for three over TLS.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import process from 'node:process';
import WebSocket from 'ws';
import {
  afterTest, ask, call, check, equal, openEvents, request, run, runAll, sleep, test, until, within,
} from './harness.mjs';
import {
  COOKIE, ORIGIN, bearer, login, now, post, session, setClock, startSecure, ticketOf, token,
  tryPassword, wait,
} from './secure.mjs';

const [target, only] = process.argv.slice(2);
if (!target || !process.env.NODE_EXTRA_CA_CERTS) {
  console.log('usage: node tests/clients/secure.test.mjs SECURE [PART OF A TEST NAME]');
  process.exit(2);
}
const how = target.startsWith('{') ? JSON.parse(target) : { binary: target };
const CA = process.env.NODE_EXTRA_CA_CERTS;

// A device of its own for each test. At its end its log must not hold a secret.
const device = (name, use, { args, env, ms = 40_000 } = {}) => test(name, async () => {
  const s = await startSecure(how, args, env);
  await use(s);
  check(!/ticket=|session=|eyJ|[0-9a-f]{32}/.test(s.log()), `a secret in the log: ${s.log()}`);
  await s.stop();
}, ms);
const onHost = (...test_) => how.binary && device(...test_);

const curl = (...args) => run('curl', ['-sS', '--max-time', '10', '--cacert', CA, ...args]);

// A WebSocket with the messages it got, and its end: { ws, seen, over }.
async function openSocket(s, query, headers = {}) {
  const ws = new WebSocket(`${s.ws}/ws${query}`, ['rtpush.1'], { headers });
  const c = { ws, seen: [], code: 0, closed: false };
  afterTest(() => ws.terminate());
  ws.on('message', (data) => c.seen.push(String(data)));
  ws.on('close', (code) => { c.code = code; c.closed = true; });
  c.status = await within(15_000, 'the WebSocket', new Promise((done, fail) => {
    ws.on('open', () => done(101));
    ws.on('unexpected-response', (_, res) => { ws.terminate(); done(res.statusCode); });
    ws.on('error', (error) => /before the/.test(error.message) || fail(error));
  }));
  c.sees = (words) => until(`"${words}"`, () => c.seen.some((m) => m.includes(words)));
  c.answer = async (text) => {
    const before = c.seen.length;
    const wanted = (m) => m.startsWith('=error ') || m.startsWith('=pong');
    ws.send(text);
    await until('an answer', () => c.seen.slice(before).some(wanted));
    return c.seen.slice(before).find(wanted).slice(1); // rtpush.1: what rtpush_send gave
  };
  return c;
}

// A poll that has nothing to tell and would wait for 20 s.
async function waitingPoll(s, headers) {
  const first = await call(`${s.url}/poll?topics=audit,log&timeout=1`, { headers });
  const [id] = first.body.match(/[0-9a-f]{8}-[0-9a-f-]+(?=\n)/g).slice(-1);
  return call(`${s.url}/poll?topics=log&timeout=20&last_event_id=${id}`, { headers });
}

const UPGRADE = {
  Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
};
const get = (s, path, headers = {}) => (
  ask(s.port, request('GET', path, { ...(path.startsWith('/ws') ? UPGRADE : {}), ...headers })));

// -- TLS and its tools ----------------------------------------------------------------------------

device('openssl verifies the certificate and is given the login page', async (s) => {
  const hello = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
  const { text } = await run('openssl', ['s_client', '-connect', `127.0.0.1:${s.port}`, '-CAfile',
    CA, '-verify_return_error', '-ign_eof'], { input: hello });
  check(/Verify return code: 0 \(ok\)/.test(text), 'the certificate does not verify');
  check(/New, TLSv1\.(2, Cipher is ECDHE-ECDSA|3, Cipher is TLS)_?-?CHACHA20/.test(text),
    `the suite: ${/New, .*/.exec(text)}`);
  check(/HTTP\/1\.1 200 OK/.test(text) && /type="password"/.test(text), text.slice(-300));
  check(/Content-Security-Policy: default-src 'none'/.test(text), 'no policy');
});

device('curl logs in, follows the stream and logs out', async (s) => {
  const jar = `build/log/secure-${process.pid}.jar`;
  afterTest(() => run('rm', ['-f', jar]));
  const login_ = await curl('-c', jar, '-d', `password=${s.secrets.viewer}`, '-w', '%{http_code}',
    `${s.url}/login`);
  equal(login_.text, '303', 'login');
  const page = await curl('-b', jar, `${s.url}/`);
  check(/id="switch"/.test(page.text), 'the dashboard');
  const poll = await curl('-b', jar, `${s.url}/poll?topics=reading&timeout=1`);
  check(/event: reading\ndata: \{"up":\d+/.test(poll.text), `poll: ${poll.text}`);
  let events;
  for (const seconds of ['3', '15']) { // an emulated board's second may take longer
    events = await run('curl', ['-sSN', '--max-time', seconds, '--cacert', CA, '-b', jar,
      `${s.url}/events`]);
    if ((events.text.match(/event: reading/g) ?? []).length >= 2) {
      break;
    }
  }
  check((events.text.match(/event: reading/g) ?? []).length >= 2, `events: ${events.text}`);
  check(/event: switch\ndata: \{"on":false\}/.test(events.text), 'no switch');
  const script = await curl('--compressed', '-i', `${s.url}/rtpush.js`);
  check(/export function connect/.test(script.text), 'rtpush.js');
  await curl('-b', jar, '-X', 'POST', `${s.url}/logout`);
  const after = await curl('-b', jar, '-w', '%{http_code}', `${s.url}/events`);
  check(/401$/.test(after.text), `after the logout: ${after.text}`);
});

device('http to the TLS port is answered with a 400 that says why', async (s) => {
  const { text } = await curl('-i', `http://127.0.0.1:${s.port}/`);
  check(/^HTTP\/1\.1 400 /.test(text) && /https:/.test(text), text);
});

onHost('the plain port sends browsers to https, and serves nothing', async (s) => {
  const port = /http port (\d+)/.exec(s.log())[1];
  for (const [url, host] of [['127.0.0.1', '127.0.0.1'], ['localhost', 'localhost']]) {
    const { text } = await curl('-i', `http://${url}:${port}/`);
    check(text.startsWith('HTTP/1.1 301') && text.includes(`Location: https://${host}:${s.port}/`),
      text);
  }
  const cookie = await login(s, 'admin');
  for (const path of ['/session', '/events', '/poll', '/app.js']) {
    const { text } = await curl('-i', '-H', `Cookie: ${cookie.Cookie}`,
      `http://127.0.0.1:${port}${path}`);
    check(text.startsWith('HTTP/1.1 403'), `${path}: ${text}`);
  }
  const post_ = await curl('-i', '-d', `password=${s.secrets.admin}`,
    `http://127.0.0.1:${port}/login`);
  check(post_.text.startsWith('HTTP/1.1 403') && !/set-cookie/i.test(post_.text), post_.text);
}, { args: ['--plain', 0] });

// -- login and cookie -----------------------------------------------------------------------------

device('the right password gives a cookie that scripts and other sites cannot use', async (s) => {
  for (const role of ['viewer', 'admin']) {
    const answer = await tryPassword(s, s.secrets[role]);
    equal(answer.status, 303, 'status');
    equal(answer.headers.location, '/', 'location');
    equal(answer.headers['cache-control'], 'no-store', 'cache');
    const [cookie, ...attributes] = answer.headers['set-cookie'][0].split('; ');
    check(cookie.startsWith(`${COOKIE}=`), cookie);
    equal(attributes.sort(), ['HttpOnly', 'Max-Age=3600', 'Path=/', 'SameSite=Strict', 'Secure'],
      'attributes');
    const me = await session(s, { Cookie: cookie });
    equal([me.status, JSON.parse(me.body).role], [200, role], 'session');
  }
  const short = await tryPassword(s, s.secrets.viewer, '&seconds=900');
  check(/Max-Age=900;/.test(short.headers['set-cookie'][0]), 'asked for 15 minutes');
  const long = await tryPassword(s, s.secrets.viewer, '&seconds=999999');
  check(/Max-Age=7200;/.test(long.headers['set-cookie'][0]), 'asked for ever');
});

device('a wrong password gives nothing, whatever it looks like', async (s) => {
  const right = s.secrets.admin;
  for (const form of [
    `password=${right.slice(0, -1)}`, `password=${right}x`, `password=${right.toUpperCase()}`,
    `passwor=${right}`,
  ]) {
    const answer = await post(s, '/login', form);
    equal(answer.status, 401, form);
    check(!answer.headers['set-cookie'], `a cookie for ${form}`);
  }
  equal((await post(s, '/login', 'x'.repeat(129))).status, 413, 'a long form');
  equal((await get(s, '/login')).status, 405, 'GET');
  equal((await tryPassword(s, right)).status, 303, 'the right one after them');
});

onHost('empty and malformed forms are wrong passwords', async (s) => {
  for (const form of ['', 'password=', 'password=a%00', 'password=%zz', '\0password=a']) {
    equal((await post(s, '/login', form)).status, 401, JSON.stringify(form));
  }
}, { env: { RTPUSH_ADMIN: 'a', RTPUSH_VIEWER: 'v' } });

// 106 bytes as the page sends them, all that its "password=" and "&seconds=7200" leave.
const LONG = `${'\u00fc'.repeat(15)}${'x'.repeat(16)}`;
onHost('a long password is compared to its end', async (s) => {
  equal((await tryPassword(s, `${LONG}y`)).status, 401, 'a longer one');
  equal((await tryPassword(s, `${LONG.slice(0, -1)}y`)).status, 401, 'another end');
  equal((await tryPassword(s, LONG, '&seconds=7200')).status, 303, 'the right one');
}, { env: { RTPUSH_ADMIN: LONG, RTPUSH_VIEWER: 'v' } });

device('guessing is stopped with 429, others are not, and it ends', async (s) => {
  const inside = await login(s, 'admin');
  const statuses = [];
  for (let i = 0; i < 7; i++) {
    statuses.push((await tryPassword(s, `guess ${i}`)).status);
  }
  equal(statuses, [401, 401, 401, 401, 401, 429, 429], 'statuses');
  const wrong = await tryPassword(s, 'guess');
  equal([wrong.status, wrong.headers['retry-after']], [429, '1'], 'one more');
  check(/wait/.test(wrong.body), `the words: ${wrong.body}`);
  equal((await session(s, inside)).status, 200, 'who is inside');
  if (how.binary) {
    const others = await Promise.all(['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5'].map(
      (from) => curl('--interface', from, '-d', `password=${s.secrets.viewer}`, '-o', '/dev/null',
        '-w', '%{http_code}', `${s.url}/login`)));
    check(others.filter(({ text }) => text === '303').length >= 2,
      `other addresses: ${others.map(({ text }) => text)}`); // some may share the bucket
  }
  await wait(s, 1.5);
  equal((await tryPassword(s, s.secrets.admin)).status, 303, 'the right one, a second later');
  equal((await tryPassword(s, 'guess')).status, 429, 'a wrong one after it');
  await wait(s, 11);
  equal((await tryPassword(s, 'guess')).status, 401, 'ten seconds later');
}, { ms: 90_000 });

// Behind the same address somebody guesses all the time, as often as a password is checked.
device('the right password comes in while others behind the same address guess', async (s) => {
  for (let i = 0; i < 6; i++) {
    await tryPassword(s, `guess ${i}`);
  }
  for (let i = 0; i < 3; i++) {
    await wait(s, i % 2 ? 0.6 : 1.2);
    await tryPassword(s, 'guess');
    await until('the right one to come in', async () => {
      const { status } = await tryPassword(s, s.secrets.admin);
      check(status === 303 || status === 429, `status ${status}`);
      await sleep(200);
      return status === 303;
    });
  }
}, { ms: 90_000 });

// So many tries, of which one a second may be judged.
onHost('no more than a try a second is judged beyond the first ones', async (s) => {
  const began = Date.now();
  let judged = 0;
  while (Date.now() - began < 5_000) {
    const { status } = await tryPassword(s, 'guess');
    check(status === 401 || status === 429, `status ${status}`);
    judged += status === 401;
  }
  check(judged === 5, `${judged} answers of 401`);
  await until('the number of the rest', () => /wrong passwords: \d+ more|wrong password/.test(
    s.log()));
  const lines = s.log().match(/wrong password from/g).length;
  const seconds = Math.ceil((Date.now() - began) / 1000) + 1;
  check(lines <= 5 + seconds, `${lines} tries were judged in ${seconds} s`);
});

onHost('of many refusals the number alone is printed', async (s) => {
  const before = s.log().length;
  const began = Date.now();
  let sent = 0;
  while (sent < 100) {
    await Promise.all([...Array(10).keys()].map(() => get(s, '/nothing')));
    sent += 10;
  }
  const rest = await until('the number', () => /refused: (\d+) more in 10 s/.exec(s.log()), 15_000);
  const lines = s.log().slice(before).match(/^refused \d/gm).length;
  const periods = Math.ceil((Date.now() - began) / 10_000) + 1;
  check(lines >= 20 && lines <= 20 * periods, `${lines} lines`);
  check(Number(rest[1]) > 0 && Number(rest[1]) <= 80, `${rest[0]}`);
}, { ms: 60_000 });

device('a cookie that was not given is refused', async (s) => {
  const { Cookie } = await login(s, 'viewer');
  const good = Cookie.slice(COOKIE.length + 1);
  const [expiry, serial, signature] = good.split('.');
  const ticket = await ticketOf(s, { Cookie });
  for (const [what, value] of [
    ['empty', ''], ['a cut signature', good.slice(0, -1)], ['a longer one', `${good}A`],
    ['another session', `${expiry}.00000002.${signature}`],
    ['a later end', `ffffffff.${serial}.${signature}`],
    ['no session', `${expiry}..${signature}`], ['no signature', `${expiry}.${serial}.`],
    ['of another key', `${expiry}.${serial}.${signature.split('').reverse().join('')}`],
    ['a ticket', ticket], ['a token', token(s.secrets.token)], ['quoted', `"${good}"`],
  ]) {
    equal((await get(s, '/session', { Cookie: `${COOKIE}=${value}` })).status, 401, what);
  }
  // As many others beside it as a record of the device may hold.
  const many = [...Array(how.binary ? 200 : 100).keys()].map((i) => `c${i}=${i}`).join('; ');
  for (const [what, value, status] of [
    ['another name', `session=${good}`, 401], ['many before it', `${many}; ${Cookie}`, 200],
    ['twice, the first is good', `${Cookie}; ${COOKIE}=evil`, 200],
    ['twice, the first is evil', `${COOKIE}=evil; ${Cookie}`, 401],
    ['of 1 KB', `${COOKIE}=${'x'.repeat(1024)}`, 431],
    ...(how.binary ? [['of 8 KB', `${COOKIE}=${'x'.repeat(8192)}`, 431]] : []),
  ]) {
    equal((await get(s, '/session', { Cookie: value })).status, status, what);
  }
  for (const path of ['/events', '/poll', '/ws', '/session']) {
    const answer = await get(s, path, { Cookie: `${COOKIE}=${good}x` });
    equal([answer.status, answer.headers['www-authenticate']], [401, 'Bearer'], path);
  }
  for (const [path, body] of [['/ticket', ''], ['/control', 'on 1']]) {
    equal((await post(s, path, body)).status, 401, path);
  }
});

device('a cookie of an earlier boot, or of nine logins ago, is worth nothing', async (s) => {
  const first = await login(s, 'viewer');
  const r = await openEvents(`${s.url}/events`, { headers: first });
  await r.wait('the notice', () => r.notices.length);
  const others = [];
  for (let i = 0; i < 8; i++) {
    others.push(await login(s, 'viewer', 700));
  }
  await until('the end of the first stream', () => r.closed || r.response.complete);
  equal((await session(s, first)).status, 401, 'the first of nine');
  equal((await session(s, others[0])).status, 200, 'the second');
  const again = await startSecure(how);
  equal((await session(again, others[7])).status, 401, 'of another boot');
  await again.stop();
});

// -- streams and roles ----------------------------------------------------------------------------

device('an admin switches, a viewer sees it and may not', async (s) => {
  const viewer = await login(s, 'viewer');
  const admin = await login(s, 'admin');
  const a = await openSocket(s, '', viewer);
  await a.sees('switch\n{"on":false}');
  equal(await a.answer('on 1'), 'error only an admin may do that', 'by WebSocket');
  const refused = await post(s, '/control', 'on 1', viewer);
  equal([refused.status, refused.body], [403, 'only an admin may do that'], 'by POST');
  equal((await post(s, '/control', 'on 1', admin)).status, 204, 'by an admin');
  await a.sees('switch\n{"on":true}');
  await a.sees('switched on');
  equal((await post(s, '/control', 'of 1', admin)).status, 400, 'no such command');
  equal((await post(s, '/control', '', admin)).status, 400, 'no command');
  equal((await post(s, '/control', 'x'.repeat(65), admin)).status, 413, 'a long command');
  await until('the output', () => /output on/.test(s.log()));
  const b = await openSocket(s, '', admin);
  b.ws.send('on 0');
  await a.sees('switched off');
  await tryPassword(s, 'wrong');
  await b.sees(' audit\n');
  check(!a.seen.some((m) => / audit\n/.test(m)), 'a viewer read the audit');
});

device('topics are granted by role', async (s) => {
  const viewer = await login(s, 'viewer');
  for (const path of ['/events', '/poll', '/ws']) {
    equal((await get(s, `${path}?topics=audit`, viewer)).status, 403, path);
  }
  const both = await openEvents(`${s.url}/events?topics=audit,switch`, { headers: viewer });
  await both.wait('the switch', () => both.events.some((e) => e.event === 'switch'));
  const admin = await login(s, 'admin');
  const audit = await openEvents(`${s.url}/events?topics=audit`, { headers: admin });
  await tryPassword(s, 'wrong');
  await audit.wait('the audit', () => audit.events.some((e) => /wrong password/.test(e.data)));
  equal(both.events.filter((e) => e.event === 'audit'), [], 'what the viewer sees of it');
});

for (const kind of ['ws', 'events', 'poll']) {
  device(`at its end a session ends its stream: ${kind}`, async (s) => {
    const short = await login(s, 'viewer', 3);
    if (kind === 'ws') {
      const c = await openSocket(s, '', short);
      await until('the close', () => c.closed);
      equal(c.code, 4401, 'code');
    } else if (kind === 'events') {
      const r = await openEvents(`${s.url}/events`, { headers: short });
      await r.wait('the event', () => r.notices.includes('expired'));
    } else {
      equal((await waitingPoll(s, short)).status, 200, 'the poll under way');
    }
    await until('401', async () => (await session(s, short)).status === 401);
    const page = await call(`${s.url}/`, { headers: short });
    check(/type="password"/.test(page.body), 'no login page');
  });

  device(`a logout ends its streams and nobody else's: ${kind}`, async (s) => {
    const me = await login(s, 'viewer');
    const other = await login(s, 'viewer');
    const stays = await openEvents(`${s.url}/events`, { headers: other });
    let over;
    if (kind === 'ws') {
      const c = await openSocket(s, '', me);
      over = () => c.closed && equal(c.code, 4401, 'code') === undefined;
    } else if (kind === 'events') {
      const r = await openEvents(`${s.url}/events`, { headers: me });
      over = () => r.closed || r.response.complete;
    } else {
      let done = false;
      waitingPoll(s, me).then(() => { done = true; });
      await sleep(500);
      check(!done, 'the poll does not wait');
      over = () => done;
    }
    const out = await post(s, '/logout', '', me);
    equal(out.status, 303, 'status');
    check(/Max-Age=0;/.test(out.headers['set-cookie'][0]), 'the cookie stays');
    await until('the end of the stream', over);
    equal((await session(s, me)).status, 401, 'afterwards');
    equal((await session(s, other)).status, 200, 'the other');
    const before = stays.events.length;
    await stays.wait('more of the other stream', () => stays.events.length > before + 1);
  });
}

// -- notifications --------------------------------------------------------------------------------

const inbox = async (s, headers) => JSON.parse((await call(`${s.url}/inbox`, { headers })).body);
const lines = (notes) => notes.map((n) => `${n.id}${n.read ? '' : ' unread'} ${n.text}`);
const say = async (s, headers, ...commands) => {
  for (const words of commands) {
    equal((await post(s, '/control', words, headers)).status, 204, words);
  }
};

device('a notification is for its user or for all, and each has read it or not', async (s) => {
  const admin = await login(s, 'admin');
  const viewer = await login(s, 'viewer');
  equal(await inbox(s, viewer), [], 'at first');
  const v = await openSocket(s, '?topics=inbox.viewer', viewer);
  await v.sees('inbox.viewer\n{"last":0,"unread":0,"lost":0}');
  await say(s, admin, 'note all Tür "1" \\', 'note viewer v', 'note admin a');
  await v.sees('{"last":2,"unread":2,"lost":0}');
  equal(lines(await inbox(s, viewer)), ['2 unread v', '1 unread Tür "1" \\'], 'of the viewer');
  equal(lines(await inbox(s, admin)), ['3 unread a', '1 unread Tür "1" \\'], 'of the admin');
  v.ws.send('read 1 1');
  await v.sees('"unread":1,"lost":0}');
  await say(s, viewer, 'read 3 9', 'read 7 2');
  equal(lines(await inbox(s, await login(s, 'viewer'))), ['2 unread v', '1 Tür "1" \\'],
    'elsewhere');
  equal(lines(await inbox(s, admin)), ['3 unread a', '1 unread Tür "1" \\'], 'still');
  await say(s, admin, 'on 1'); // what the device itself tells
  equal(lines(await inbox(s, viewer))[0], '4 unread The output was switched on', 'to all');
});

device('notifications are read by their user alone', async (s) => {
  const admin = await login(s, 'admin');
  const viewer = await login(s, 'viewer');
  await say(s, admin, 'note all one');
  equal((await get(s, '/events?topics=inbox.admin', viewer)).status, 403, 'the topic');
  equal((await get(s, '/inbox')).status, 401, 'the list, without a login');
  equal((await post(s, '/control', 'note all x', viewer)).status, 403, 'a viewer writes');
  await setClock(s);
  const ticket = await ticketOf(s, bearer(token(s.secrets.token)));
  const other = await get(s, `/events?topics=inbox.viewer&ticket=${ticket}`, { Origin: ORIGIN });
  equal(other.status, 403, 'another site');
  const c = await openSocket(s, `?ticket=${await ticketOf(s, viewer)}`);
  equal(await c.answer('read 1 1'), 'error only an admin may do that', 'a stream that only looks');
  equal(lines(await inbox(s, viewer)), ['1 unread one'], 'unread');
});

device('notifications take fixed memory: the oldest make room, those that are read first',
  async (s) => {
    const admin = await login(s, 'admin');
    const viewer = await login(s, 'viewer');
    const long = (i) => `${i}${'"'.repeat(48)}`; // escaped they are twice as long
    await say(s, admin, ...[1, 2, 3, 4, 5, 6, 7, 8].map((i) => `note all ${long(i)}`));
    equal((await inbox(s, viewer)).map((n) => n.text), [8, 7, 6, 5, 4, 3, 2, 1].map(long), 'all');
    await say(s, admin, `note all ${long(8)}`);
    equal((await inbox(s, viewer)).map((n) => n.id), [9, 7, 6, 5, 4, 3, 2, 1], 'the same again');
    await say(s, admin, 'read 3 3');
    await say(s, viewer, 'read 3 3');
    await say(s, admin, 'note viewer nine');
    equal((await inbox(s, viewer)).map((n) => n.id), [10, 9, 7, 6, 5, 4, 2, 1], 'one has left');
    await say(s, admin, 'note viewer ten');
    const v = await openSocket(s, '?topics=inbox.viewer', viewer);
    await v.sees('{"last":11,"unread":8,"lost":1}');
    v.ws.send('read 0 11');
    await v.sees('{"last":11,"unread":0,"lost":0}');
    for (const text of ['x'.repeat(50), '', 'a\nb', 'a\u007f']) {
      const answer = await post(s, '/control', `note all ${text}`, admin);
      equal([answer.status, answer.body], [400, 'a notification has 1 to 49 bytes'], text);
    }
    for (const words of ['note nobody x', 'note allx', 'note all', 'read 1', 'note ']) {
      equal((await post(s, '/control', words, admin)).status, 400, words);
    }
    for (let i = 0; i < 7; i++) { // an attacker fills no more than one entry
      await tryPassword(s, 'guess');
    }
    equal((await inbox(s, admin)).filter((n) => /guessing/.test(n.text)).length, 1, 'guesses');
    equal((await inbox(s, viewer)).filter((n) => /guessing/.test(n.text)).length, 0, 'to admins');
  });

// -- tickets --------------------------------------------------------------------------------------

device('a ticket opens one stream, once, and may only look', async (s) => {
  const admin = await login(s, 'admin');
  const ticket = await ticketOf(s, admin);
  const c = await openSocket(s, `?ticket=${ticket}`);
  await c.sees('switch\n{"on":false}');
  equal(await c.answer('on 1'), 'error only an admin may do that', 'a command');
  for (const path of ['/events', '/poll', '/ws']) {
    equal((await get(s, `${path}?ticket=${ticket}`)).status, 401, `again at ${path}`);
    equal((await get(s, `${path}?ticket=${ticket}`, admin)).status, 401, `${path} with a cookie`);
  }
  for (const path of ['/session', '/control', '/ticket']) {
    const method = path === '/session' ? 'GET' : 'POST';
    const answer = await ask(s.port, request(method, `${path}?ticket=${await ticketOf(s, admin)}`));
    equal(answer.status, 401, path);
  }
  await post(s, '/logout', '', admin);
  await until('the end with the session', () => c.closed);
  equal(c.code, 4401, 'code');
});

device('a ticket that is changed, late, or of another boot or role is refused', async (s) => {
  const viewer = await login(s, 'viewer');
  const good = await ticketOf(s, viewer);
  const late = await ticketOf(s, await login(s, 'viewer'));
  for (const t of ['', 'x', good.slice(0, -1), `${good}A`, `0${good}`, `ffffffff${good.slice(8)}`,
    `${good.slice(0, 8)}ffffffff${good.slice(16)}`,
    `${good.slice(0, 16)}0000000f${good.slice(24)}`, // all topics
    `${good.slice(0, 24)}80ffffff${good.slice(32)}`, token(s.secrets.token),
    viewer.Cookie.slice(COOKIE.length + 1)]) {
    equal((await get(s, `/events?ticket=${encodeURIComponent(t)}`)).status, 401, t);
  }
  equal((await get(s, `/events?topics=audit&ticket=${good}`)).status, 403, 'for another topic');
  const again = await startSecure(how);
  equal((await get(again, `/events?ticket=${await ticketOf(s, viewer)}`)).status, 401, 'boot');
  await again.stop();
  const dead = await ticketOf(s, viewer);
  await post(s, '/logout', '', viewer);
  equal((await get(s, `/events?ticket=${dead}`)).status, 401, 'of a session that is over');
  await wait(s, 11.5);
  equal((await get(s, `/events?ticket=${late}`)).status, 401, 'late');
}, { ms: 90_000 });

// -- other sites ----------------------------------------------------------------------------------

device('a page of a listed origin gets a ticket by its token, and reads its stream', async (s) => {
  await setClock(s);
  const preflight = await ask(s.port, request('OPTIONS', '/ticket', {
    Origin: ORIGIN, 'Access-Control-Request-Method': 'POST',
    'Access-Control-Request-Headers': 'authorization' }));
  equal(preflight.status, 204, 'preflight');
  equal(preflight.headers['access-control-allow-origin'], ORIGIN, 'origin');
  check(/\bPOST\b/.test(preflight.headers['access-control-allow-methods']), 'methods');
  check(/\bAuthorization\b/.test(preflight.headers['access-control-allow-headers']), 'headers');
  const answer = await post(s, '/ticket', '',
    { Origin: ORIGIN, ...bearer(token(s.secrets.token)) });
  equal([answer.status, answer.headers['access-control-allow-origin']], [200, ORIGIN], 'ticket');
  const r = await openEvents(`${s.url}/events?ticket=${answer.body}`,
    { headers: { Origin: ORIGIN } });
  equal(r.headers['access-control-allow-origin'], ORIGIN, 'of the stream');
  await r.wait('a reading', () => r.events.some((e) => e.event === 'reading'));
  r.close();
  const end = token(s.secrets.token, { exp: now() + 3 });
  const c = await openSocket(s, `?ticket=${await ticketOf(s, bearer(end))}`, { Origin: ORIGIN });
  equal(await c.answer('on 1'), 'error only an admin may do that', 'a command');
  await until('the end with the token', () => c.closed);
  equal(c.code, 4401, 'code');
});

device('a token of token.sh is good, until it is over', async (s) => {
  await setClock(s);
  const made = async (...args) => (await run('env', [`RTPUSH_TOKEN_KEY=${s.secrets.token}`, 'sh',
    'examples/secure/token.sh', ...args])).text.trim();
  equal((await post(s, '/ticket', '', bearer(await made()))).status, 200, 'status');
  const alice = await made('alice', 60);
  equal(alice, token(s.secrets.token, { exp: JSON.parse(Buffer.from(alice.split('.')[1],
    'base64url')).exp }), 'as node signs it');
  equal((await post(s, '/ticket', '', bearer(await made('alice', -60)))).status, 401, 'over');
  const keyless = await run('env', ['-u', 'RTPUSH_TOKEN_KEY', 'sh', 'examples/secure/token.sh']);
  check(keyless.code !== 0 && !keyless.text.includes('eyJ'), `without a key: ${keyless.text}`);
});

device('viewers who log in again and again push no admin out', async (s) => {
  const admin = await login(s, 'admin', 900); // ends before theirs
  for (let i = 0; i < 9; i++) {
    await login(s, 'viewer', 7200);
  }
  equal((await session(s, admin)).status, 200, 'the admin');
  equal((await session(s, await login(s, 'admin'))).status, 200, 'another one');
});

device('the name in a token forges no line of the audit', async (s) => {
  await setClock(s);
  const sub = 'a\nan admin logged in\u001b[2J\u009b';
  equal((await post(s, '/ticket', '', bearer(token(s.secrets.token, { sub })))).status, 200, 'sub');
  await until('the audit', () => /a ticket for a\?an admin logged in\?\[2J/.test(s.log()));
  check(!/[\u001b\u009b]/.test(s.log()), 'a terminal would act on it');
});

device('a token that is not one is refused', async (s) => {
  await setClock(s);
  const key = s.secrets.token;
  const good = token(key);
  const [head, payload, signature] = good.split('.');
  const none = (alg) => Buffer.from(JSON.stringify({ alg })).toString('base64url');
  for (const [what, text] of [
    ['empty', ''], ['one dot', `${head}.${payload}`], ['no signature', `${head}.${payload}.`],
    ['three dots', `${good}.`], ['a cut one', good.slice(0, -1)], ['padding', `${good}=`],
    ['alg none', `${none('none')}.${payload}.`],
    ['alg none, signed', token(key, {}, { alg: 'none' })],
    ['HS512', token(key, {}, { alg: 'HS512' })], ['another key', token('x'.repeat(32))],
    ['the empty key', token('')], ['the password', token(s.secrets.admin)],
    ['expired', token(key, { exp: now() - 60 })], ['no end', token(key, { exp: undefined })],
    ['early', token(key, { nbf: now() + 60 })], ['another audience', token(key, { aud: 'x' })],
    ['changed', `${head}.${Buffer.from('{"sub":"a","exp":9}').toString('base64url')}.${signature}`],
  ]) {
    equal((await post(s, '/ticket', '', bearer(text))).status, 401, what);
  }
  for (const value of ['Bearer', `Basic ${good}`, good]) {
    equal((await post(s, '/ticket', '', { Authorization: value })).status, 401, value.slice(0, 9));
  }
  for (const path of ['/session', '/events', '/poll', '/ws']) { // a token gets tickets, no more
    equal((await get(s, path, bearer(good))).status, 401, path);
  }
  equal((await post(s, '/ticket', '', bearer(good))).status, 200, 'the good one');
});

device('foreign sites get nothing, with or without the cookie of their visitor', async (s) => {
  const admin = await login(s, 'admin');
  const evil = [`https://evil.example`, 'null', `https://127.0.0.1:${s.port}.evil.example`,
    `${ORIGIN}.evil.example`, `http://127.0.0.1:${s.port}`, ORIGIN.replace('https', 'http')];
  for (const Origin of evil) {
    for (const [method, path] of [['POST', '/login'], ['POST', '/logout'], ['POST', '/ticket'],
      ['POST', '/control'], ['GET', '/session'], ['GET', '/events'], ['GET', '/ws'],
      ['OPTIONS', '/ticket']]) {
      if (path !== '/session' && Origin !== evil[0]) {
        continue; // one path is enough for the others
      }
      const answer = await ask(s.port, request(method, path,
        { ...(path === '/ws' ? UPGRADE : {}), Origin, ...admin }));
      equal(answer.status, 403, `${method} ${path} of ${Origin}`);
      check(!('access-control-allow-origin' in answer.headers), `${path} may be read`);
    }
  }
  // A listed one may ask for tickets with a token. The cookie is not for it.
  for (const [method, path, status] of [['POST', '/login', 403], ['POST', '/logout', 403],
    ['POST', '/ticket', 401], ['POST', '/control', 401], ['GET', '/session', 401],
    ['GET', '/events', 401], ['GET', '/ws', 401]]) {
    const answer = await ask(s.port, request(method, path,
      { ...(path === '/ws' ? UPGRADE : {}), Origin: ORIGIN, ...admin }));
    equal(answer.status, status, `${method} ${path} of a listed origin`);
  }
  for (const Host of ['evil.example', `127.0.0.1.evil.example:${s.port}`]) {
    equal((await get(s, '/session', { Host, ...admin })).status, 421, Host);
  }
  equal((await session(s, admin)).status, 200, 'and the session goes on');
});

const clockless = async (s) => {
  const viewer = await login(s, 'viewer');
  const admin = await login(s, 'admin');
  const good = bearer(token(s.secrets.token));
  if (!JSON.parse((await session(s, admin)).body).clock) {
    equal((await post(s, '/ticket', '', good)).status, 401, 'before the time is known');
    equal((await post(s, '/control', `clock ${now()}`, viewer)).status, 403, 'by a viewer');
    for (const text of ['clock', 'clock ', 'clock 0', 'clock -1', 'clock 1e9', 'clock 12x',
      'clock 4294967295', `clock ${now()}000`]) { // soon it would begin again, and old tokens too
      equal((await post(s, '/control', text, admin)).status, 400, text);
    }
    equal((await post(s, '/control', `clock ${now()}`, admin)).status, 204, 'by an admin');
  } else {
    check(!how.binary, 'there is a clock');
  }
  const old = token(s.secrets.token, { exp: now() - 3600 });
  const again = await post(s, '/control', `clock ${now() - 7200}`, admin);
  equal([again.status, again.body], [400, 'the clock is set'], 'set back');
  equal((await post(s, '/ticket', '', bearer(old))).status, 401, 'an old token');
  equal((await post(s, '/ticket', '', good)).status, 200, 'a good one');
};
device('a device without a clock takes no token until an admin set it, once', clockless,
  { args: ['--clock', 'no'] });

// -- the program ----------------------------------------------------------------------------------

onHost('given secrets are used and not printed, and a short key is refused', async (s) => {
  await login(s, 'admin');
  await login(s, 'viewer');
  equal((await post(s, '/ticket', '', bearer(token(s.secrets.token)))).status, 200, 'a token');
  Object.values(s.secrets).forEach((text) => check(!s.log().includes(text), s.log()));
  const { code, text } = await run('env', ['RTPUSH_TOKEN_KEY=short', how.binary, '--port', '0']);
  check(code === 1 && /32 characters/.test(text), `${code}: ${text}`);
}, { env: { RTPUSH_ADMIN: 'open sesame', RTPUSH_VIEWER: 'let me see', RTPUSH_TOKEN_KEY:
  'a key that two servers share, in the open' } });

onHost('what cannot be used ends the program with a message', async () => {
  for (const [args, status, words] of [
    [['--port', 'x'], 2, /cannot use "--port"/], [['--nothing', '1'], 2, /cannot use/],
    [['--cert', '/dev/null'], 1, /TLS: .*|PEM/],
    [['--key', '/nowhere'], 1, /No such file.*make cert/],
    [['--key', 'build/cert/client.key', '--cert', 'build/cert/ca.key'], 1, /TLS/],
    [['--host', '203.0.113.1', '--port', '0'], 1, /cannot listen/],
  ]) {
    const { code, text } = await run(how.binary, args);
    check(code === status && words.test(text), `${args}: ${code} ${text}`);
  }
});

onHost('a certificate gets the names that are given later, from the same CA', async () => {
  const at = await mkdtemp(`${tmpdir()}/rtpush-cert-`);
  afterTest(() => rm(at, { recursive: true, force: true }));
  const make = async (names) => {
    const { code, text } = await run('env', [`NAMES=${names}`, 'sh', 'ports/cert.sh', at]);
    equal(code, 0, text);
    return run('openssl', ['x509', '-in', `${at}/ec.pem`, '-noout', '-ext', 'subjectAltName']);
  };
  check(!/device/.test((await make('')).text), 'names that nobody gave');
  const ca = await readFile(`${at}/ca.pem`, 'latin1');
  check(/DNS:device.lan, IP Address:192.168.1.5/.test(
    (await make('DNS:device.lan,IP:192.168.1.5')).text), 'the names');
  check(/device.lan/.test((await make('')).text), 'what exists is kept');
  equal(await readFile(`${at}/ca.pem`, 'latin1'), ca, 'the CA');
  const { text } = await run('openssl', ['verify', '-CAfile', `${at}/ca.pem`, `${at}/ec.pem`,
    `${at}/rsa.pem`]);
  equal(text.match(/OK/g)?.length, 2, text);
  equal((await run('env', ['NAMES=x', 'sh', 'ports/cert.sh', at])).code, 1, 'no such name');
});

await runAll(only);
