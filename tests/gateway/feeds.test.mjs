// Feeds of the gateway: MQTT by mosquitto, Redis Pub/Sub, core NATS, standard input. Each message
// becomes an event of the source, or the gateway has no other source and counts itself.
//     node tests/gateway/feeds.test.mjs build/gateway-asan [PART OF A TEST NAME]
import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { BROKERS, certificate, daemon, folder } from './brokers.mjs';
import { healthy, metric, publish as post } from './gateways.mjs';
import {
  afterTest, call, check, equal, freePort, openEvents, run, runAll, sleep, startServer, test, until,
} from '../clients/harness.mjs';

const [binary, only] = process.argv.slice(2);
const TOPICS = 'a,b,c,x.y';

// -- what the tests start -------------------------------------------------------------------------

async function mosquitto({ password = '', tls = null, limits = '' } = {}) {
  const at = await folder('mosquitto');
  const port = await freePort();
  if (password) {
    const { code, text } = await run('mosquitto_passwd', ['-b', '-c', `${at}/users`, 'me',
      password]);
    equal(code, 0, text);
  }
  await writeFile(join(at, 'conf'), `listener ${port} 127.0.0.1
allow_anonymous ${password ? 'false' : 'true'}
${password ? `password_file ${at}/users` : ''}
${tls ? `certfile ${tls.cert}\nkeyfile ${tls.key}` : ''}
user root
persistence true
persistence_location ${at}/
${limits}
`);
  const d = await daemon('mosquitto', ['-c', join(at, 'conf')], port);
  d.at = `mqtt://${password ? `me:${password}@` : ''}127.0.0.1:${port}`;
  const pub = async (args, input = '') => {
    const { code, text } = await run('mosquitto_pub', ['-h', '127.0.0.1', '-p', String(port),
      ...(password ? ['-u', 'me', '-P', password] : []), ...args], { input });
    equal(code, 0, `mosquitto_pub ${args.join(' ')}: ${text}`);
  };
  // QoS 1: it is at the broker when this returns.
  d.put = (topic, data, ...args) => pub(['-q', '1', '-t', topic,
    data.length ? '-s' : '-n', ...args], data);
  d.lines = (topic, lines) => pub(['-q', '1', '-t', topic, '-l'], `${lines.join('\n')}\n`);
  return d;
}

const redis = BROKERS.redis.start;

const gateway = async (...args) => healthy(await startServer(binary, '--port', 0, '--topics',
  TOPICS, '--check-ms', 50, '--drain-s', 0, ...args));

const feeds = (...urls) => urls.flatMap((url) => ['--from', url]);
const connected = (g, n = 1, times = 1) => until(`feed ${n} to be connected`, () => (
  g.output().split(new RegExp(`feed ${n} \\([^)]*\\): connected`)).length > times), 20_000);

async function fresh(g, lastId) {
  const r = await openEvents(`${g.url}/events?topics=${TOPICS}`, { lastId });
  equal(r.status, 200, 'status of a stream');
  await r.wait('the notice', () => r.notices.length);
  return r;
}

const texts = (r) => r.events.map((e) => `${e.event}: ${e.data}`);
const got = (r, text, ms) => r.wait(text, () => r.events.some((e) => e.data === text), ms);

const count = (g, what, n = 1) => metric(g, `feed_${what}{feed="${n}"}`);

// A port that answers what nobody expects.
async function stranger(greet) {
  const server = net.createServer((s) => {
    s.on('error', () => {});
    greet(s);
  });
  const port = await freePort();
  await new Promise((done) => { server.listen(port, '127.0.0.1', done); });
  afterTest(() => server.close());
  return port;
}

// -- MQTT -----------------------------------------------------------------------------------------

test('a message of MQTT becomes an event of the source, at all its gateways', async () => {
  const m = await mosquitto();
  const b = await redis();
  const g = await gateway(b.url, ...feeds(`${m.at}/home/#`));
  const h = await gateway(b.url);
  await connected(g);
  const rs = [await fresh(g), await fresh(h)];
  await m.put('home/a', 'one');
  await m.put('home/x/y', 'two words, \u00e4');
  await m.put('home/b', '');
  await m.put('elsewhere/b', 'not for us');
  const own = await post(h, 'c', 'three');
  for (const r of rs) {
    await r.wait('four events', () => r.events.length >= 4);
    await got(r, 'three');
    equal(texts(r).filter((t) => t !== 'c: three'), ['a: one', 'x.y: two words, \u00e4', 'b: '],
      'events');
    equal(r.notices, ['fresh'], 'notices');
    check(r.events.some((e) => e.id === own), 'the id of a POST');
  }
  equal(rs[0].events.map((e) => e.id), rs[1].events.map((e) => e.id), 'ids');
  equal([await count(g, 'received'), await count(g, 'published')], [3, 3], 'counters');
  await g.stop();
  await h.stop();
});

test('what MQTT has retained is no event, and is not repeated at each connection', async () => {
  const m = await mosquitto();
  await m.put('ev/a', 'retained', '-r');
  const b = await redis();
  const g = await gateway(b.url, ...feeds(`${m.at}/ev/+`));
  const r = await fresh(g);
  await until('it to be counted', async () => await count(g, 'retained') === 1);
  await m.put('ev/a', 'new', '-r'); // it is new now, and retained for others
  await got(r, 'new');
  await m.kill('SIGTERM');
  await m.again();
  await connected(g, 1, 2);
  await until('it to come again', async () => await count(g, 'retained') === 2);
  await m.put('ev/a', 'last');
  await got(r, 'last');
  equal(texts(r), ['a: new', 'a: last'], 'events');
  check(/what came meanwhile is missing/.test(g.output()), g.output());
  await g.stop();
});

test('what MQTT has retained is the value of a STATE topic, and does not undo a newer one',
  async () => {
    const m = await mosquitto();
    await m.put('ev/v', 'one', '-r');
    await m.put('ev/w', 'x'.repeat(300), '-r'); // larger than a value may be
    const b = await redis();
    const from = feeds(`${m.at}/ev/#`);
    const g = await gateway('--state', 'v,w', '--state-max', 256, b.url, ...from);
    const r = await openEvents(`${g.url}/events?topics=v,w`);
    await got(r, 'one');
    await post(g, 'v', 'of a page');
    await got(r, 'of a page');
    await m.kill('SIGTERM');
    await m.again();
    await connected(g, 1, 2);
    await until('it to come again', async () => await count(g, 'retained') === 3);
    const late = await openEvents(`${g.url}/events?topics=v`);
    await late.wait('the value', () => late.events.length);
    equal(texts(late), ['v: of a page'], 'the value');
    await m.put('ev/v', 'two', '-r');
    await got(r, 'two');
    equal(texts(r), ['v: one', 'v: of a page', 'v: two'], 'values');
    await g.stop();
    const h = await gateway('--state', 'v', `${m.at}/ev/#`); // alone
    const own = await openEvents(`${h.url}/events?topics=v`);
    await got(own, 'two');
    await m.put('ev/v', 'three');
    await got(own, 'three');
    await h.stop();
  });

test('a filter without a wildcard, or topic= of the URL, names the topic', async () => {
  const m = await mosquitto();
  const b = await redis();
  const g = await gateway(b.url, ...feeds(`${m.at}/ev/a`, `${m.at}/%23?topic=b&qos=0`));
  await connected(g, 1);
  await connected(g, 2);
  const r = await fresh(g);
  await m.put('ev/a', 'one');
  await r.wait('both', () => r.events.length >= 2);
  equal(texts(r).sort(), ['a: one', 'b: one'], 'events');
  await g.stop();
});

test('a message that cannot be an event is counted and told in one line, the others go on',
  async () => {
    const m = await mosquitto();
    const b = await redis();
    const g = await gateway(b.url, ...feeds(`${m.at}/ev/#`));
    await connected(g);
    const r = await fresh(g);
    for (let i = 0; i < 3; i++) {
      await m.put('ev/a', 'x'.repeat(4097));
      await m.put('ev/a', Buffer.from([0x61, 0xff]));
      await m.put('ev/nobody\u00e4', 'x');
      await m.put('ev', 'x'); // MQTT 4.7.1.2: "ev/#" matches it
      await m.put(`ev/${'t'.repeat(300)}`, 'x');
    }
    await m.put('ev/a', 'x'.repeat(4096));
    await r.wait('the event', () => r.events.length);
    equal(r.events.map((e) => e.data.length), [4096], 'events');
    for (const [why, words, n] of [['too_large', 'too large', 3], ['not_utf8', 'not UTF-8', 3],
      ['topic', 'not in --topics: ev/nobody[?]+ ', 9]]) {
      equal(await count(g, why), n, why);
      equal(g.output().split(new RegExp(words)).length, 2, `lines that say ${words}`);
    }
    equal(r.notices, ['fresh'], 'notices');
    await g.stop();
  });

test('while the source is away a feed is kept, and published in order, once', async () => {
  const m = await mosquitto();
  const b = await redis({ durable: true });
  const g = await gateway(b.url, ...feeds(`${m.at}/ev/#`));
  await connected(g);
  const r = await fresh(g);
  const lines = [...Array(400).keys()].map((i) => `message ${i}`);
  const all = m.lines('ev/a', lines.slice(0, 200)); // Redis ends in the middle of these
  await r.wait('some', () => r.events.length >= 20);
  await b.kill();
  await all;
  await m.lines('ev/a', lines.slice(200));
  await until('the feed to wait', async () => await count(g, 'queued') >= 200);
  await b.again();
  await got(r, 'message 399', 30_000);
  equal(r.events.map((e) => e.data), lines, 'events');
  equal([await count(g, 'published'), await count(g, 'dropped')], [400, 0], 'counters');
  await g.stop();
}, 60_000);

test('a feed that is faster than the source drops the oldest, counts and says so once',
  async () => {
    const m = await mosquitto({ limits: 'max_queued_messages 0' });
    const b = await redis(); // it comes back without the stream: a reset, and all that was kept
    const g = await gateway(b.url, ...feeds(`${m.at}/ev/#`));
    await connected(g);
    const r = await fresh(g);
    await b.kill();
    await until('the gateway to notice', async () => await metric(g, 'source_up') === 0);
    await m.lines('ev/a', [...Array(6000).keys()].map(String));
    await until('all to come', async () => await count(g, 'received') === 6000 || sleep(200),
      20_000);
    equal([await count(g, 'queued'), await count(g, 'dropped')], [4096, 1904], 'counters');
    equal(g.output().split('dropped, the source').length, 2, 'lines');
    equal((await call(`${g.url}/healthz`)).status, 200, 'healthz');
    await b.again();
    await got(r, '5999', 30_000);
    equal(r.events.length, 4096, 'events');
    equal(r.events.map((e) => e.data), [...Array(4096).keys()].map((i) => String(i + 1904)),
      'events');
    await g.stop();
  }, 60_000);

test('two gateways: with MQTT 5 the property message-id, else a shared subscription, so that a '
  + 'message is one event', async () => {
  const m = await mosquitto();
  const b = await redis();
  const from = feeds(`${m.at}/ev/#?v=5`, `${m.at}/$share/all/work/#`);
  const g = await gateway(b.url, ...from);
  const h = await gateway(b.url, ...from);
  for (const n of [1, 2]) {
    await connected(g, n);
    await connected(h, n);
  }
  const r = await fresh(g);
  for (const n of [1, 2, 3]) {
    await m.put('ev/a', `message ${n}`, '-V', '5', '-D', 'publish', 'user-property', 'other', 'x',
      '-D', 'publish', 'user-property', 'message-id', `id-${n}`);
  }
  const lines = [...Array(20).keys()].map((i) => `work ${i}`);
  await m.lines('work/b', lines);
  const sum = async (n) => await count(g, 'published', n) + await count(h, 'published', n);
  await until('all to be published', async () => (
    await sum(1) + await count(g, 'duplicate') + await count(h, 'duplicate') === 6
    && await sum(2) === 20));
  await post(g, 'c', 'end');
  await got(r, 'end');
  equal(texts(r).filter((t) => t.startsWith('a')), [1, 2, 3].map((n) => `a: message ${n}`), 'ids');
  equal(texts(r).filter((t) => t.startsWith('b')).sort(), lines.map((l) => `b: ${l}`).sort(),
    'shared');
  check(await count(g, 'published', 2) > 0 && await count(h, 'published', 2) > 0, 'one got all');
  await g.stop();
  await h.stop();
});

// A device with MQTT 5 that sends numbered messages with ids, each until PUBACK has come.
async function device(port, topic, total) {
  const text = (s) => Buffer.concat([Buffer.from([s.length >> 8, s.length & 255]), Buffer.from(s)]);
  const packet = (type, ...parts) => {
    const body = Buffer.concat(parts);
    check(body.length < 128, 'a length of one byte');
    return Buffer.concat([Buffer.from([type, body.length]), body]);
  };
  let socket = null;
  let said = new Set();
  for (let n = 0; n < total;) {
    if (!socket || socket.closed) {
      socket = net.connect(port, '127.0.0.1');
      said = new Set();
      const heard = said;
      socket.on('error', () => {});
      socket.on('data', (d) => { // CONNACK and PUBACK, none of which is cut here
        for (let at = 0; at < d.length; at += 2 + d[at + 1]) {
          heard.add(d[at] === 0x40 ? d.readUInt16BE(at + 2) : 0);
        }
      });
      afterTest(() => socket.destroy());
      socket.write(packet(0x10, text('MQTT'), Buffer.from([5, 2, 0, 60, 0]), text('')));
    }
    const id = n + 1;
    const props = Buffer.concat([Buffer.from([38]), text('message-id'), text(`id-${n}`)]);
    socket.write(packet(0x32, text(topic), Buffer.from([id >> 8, id & 255, props.length]), props,
      Buffer.from(`message ${n}`)));
    const end = Date.now() + 1000;
    while (!said.has(id) && !socket.closed && Date.now() < end) {
      await sleep(5);
    }
    if (said.has(id)) {
      n += 1;
    } else {
      socket.destroy();
      await sleep(50);
    }
  }
  socket.destroy();
}

test('two gateways with one feed lose and double nothing while all that they need fails',
  async () => {
    const m = await mosquitto();
    const b = await redis({ durable: true });
    const total = 400;
    const boot = (name) => gateway(b.url, ...feeds(`${m.at}/ev/#?v=5&session=${name}`));
    const g = await boot('g');
    let h = await boot('h');
    await connected(g);
    await connected(h);
    const r = await fresh(g);
    let done = false;
    const all = device(m.port, 'ev/a', total).then(() => { done = true; });
    const some = (n) => r.wait(`${n} events`, () => r.events.length >= n || done, 30_000);
    await some(50);
    await b.kill();
    await sleep(300);
    await b.again();
    await some(120);
    h.child.kill('SIGKILL');
    await h.ended;
    await some(200);
    h = await boot('h');
    await some(250);
    await b.signal('SIGSTOP');
    await sleep(500);
    b.signal('SIGCONT');
    await some(300);
    await all;
    await r.wait('all', () => new Set(r.events.map((e) => e.data)).size === total, 30_000);
    // In order only while none is killed: what that one had taken over it does not publish, so the
    // other may be behind it.
    equal(r.events.length, total, 'events');
    equal(r.notices, ['fresh'], 'notices');
    await g.stop();
    await h.stop();
  }, 90_000);

test('with session= the broker keeps what comes while no gateway runs', async () => {
  const m = await mosquitto();
  const b = await redis();
  const from = feeds(`${m.at}/ev/#?session=old`, `${m.at}/new/#?session=new&v=5`);
  const g = await gateway(b.url, ...from);
  const put = async (text) => {
    await m.put('ev/a', text);
    await m.put('new/b', text);
  };
  await connected(g, 1);
  await connected(g, 2);
  await put('before');
  await until('it to be stored', async () => (
    await count(g, 'published') + await count(g, 'published', 2) === 2));
  await g.stop();
  await put('meanwhile');
  const h = await gateway(b.url, ...from);
  await connected(h, 1);
  await connected(h, 2);
  await put('after');
  for (const n of [1, 2]) {
    await until('the rest', async () => await count(h, 'published', n) === 2);
  }
  for (const topic of ['a', 'b']) {
    equal((await b.cli(['XRANGE', 'ev', '-', '+'])).split(`t\n${topic}\n`).slice(1)
      .map((l) => l.split('\nd\n')[1].split('\n')[0]), ['before', 'meanwhile', 'after'], topic);
  }
  await h.stop();
});

test('at SIGTERM what waits is still published', async () => {
  const m = await mosquitto();
  const b = await redis();
  const g = await gateway('--publish-ms', 500, '--drain-s', 20, b.url, ...feeds(`${m.at}/ev/#`));
  await connected(g);
  await b.signal('SIGSTOP');
  const lines = [...Array(50).keys()].map((i) => `message ${i}`);
  await m.lines('ev/a', lines);
  await until('them to wait', async () => await count(g, 'queued') === 50);
  g.child.kill('SIGTERM');
  await until('the drain', () => /draining/.test(g.output()));
  b.signal('SIGCONT');
  equal(await g.ended, { code: 0, signal: null }, 'how it ended');
  const all = (await b.cli(['XRANGE', 'ev', '-', '+'])).split('\n');
  equal([...new Set(all.filter((l) => l.startsWith('message ')))], lines, 'events');
  check(!/not published/.test(g.output()), g.output());
}, 60_000);

test('at SIGTERM without a source it says how much of the feeds is lost', async () => {
  const m = await mosquitto();
  const b = await redis();
  const g = await gateway(b.url, ...feeds(`${m.at}/ev/#`));
  await connected(g);
  await b.kill();
  await until('the gateway to notice', async () => await metric(g, 'source_up') === 0);
  await m.lines('ev/a', ['one', 'two', 'three']);
  await until('them to wait', async () => await count(g, 'queued') === 3);
  await g.stop();
  check(/: 3 messages of feeds were not published/.test(g.output()), g.output());
});

test('MQTT over TLS: the certificate is verified', async () => {
  const tls = await certificate(await folder('tls'));
  const m = await mosquitto({ tls });
  const b = await redis();
  const good = `mqtts://127.0.0.1:${m.port}/ev/#`;
  const g = await gateway('--ca', tls.cert, b.url,
    ...feeds(good, `mqtts://localhost:${m.port}/ev/#`));
  await connected(g, 1);
  const r = await fresh(g);
  const { code: sent } = await run('mosquitto_pub', ['-h', '127.0.0.1', '-p', String(m.port),
    '--cafile', tls.cert, '-t', 'ev/a', '-m', 'safe']);
  equal(sent, 0, 'mosquitto_pub');
  await got(r, 'safe');
  await until('a line of the other', () => /feed 2 \(mqtts\): away: /.test(g.output()));
  equal(await count(g, 'up', 2), 0, 'up of the other');
  await g.stop();
  const h = await gateway(b.url, ...feeds(good));
  await until('a line without --ca', () => /feed 1 \(mqtts\): away: /.test(h.output()));
  await h.stop();
});

// -- MQTT as the source ---------------------------------------------------------------------------

test('MQTT alone: the gateway counts, another one and a restart are a reset', async () => {
  const m = await mosquitto();
  const g = await gateway(`${m.at}/ev/#`);
  check(/no history is kept: ids are of this gateway/.test(g.output()), g.output());
  const r = await fresh(g);
  await m.put('ev/a', 'one');
  await m.put('ev/x/y', 'two');
  await m.put('ev/a', 'x'.repeat(5000));
  await m.put('ev/a', 'three');
  await got(r, 'three');
  equal(texts(r), ['a: one', 'x.y: two', 'a: three'], 'events');
  equal(r.notices, ['fresh', 'gap 1'], 'notices');
  const again = await fresh(g, r.events[0].id);
  await got(again, 'three');
  equal(texts(again), ['x.y: two', 'a: three'], 'events after the first');
  equal((await call(`${g.url}/publish/a`, { method: 'POST', body: 'x' })).status, 404, 'POST');
  const h = await gateway(`${m.at}/ev/#`);
  const other = await fresh(h, r.events[0].id);
  equal(other.notices, ['reset'], 'notices of another gateway');
  // While the broker was away something may have come: a gap.
  await m.kill();
  await until('the gateway to notice', async () => await metric(g, 'source_up') === 0);
  await m.again();
  await until('it to be back', async () => await metric(g, 'source_up') === 1, 20_000);
  await m.put('ev/a', 'back');
  await got(r, 'back');
  equal(r.notices, ['fresh', 'gap 1', 'gap 1'], 'notices');
  await g.stop();
  await h.stop();
});

// -- Redis Pub/Sub, core NATS, standard input -----------------------------------------------------

test('a message of Redis Pub/Sub becomes an event', async () => {
  const b = await redis({ durable: true, password: 'pw' });
  const at = `redis+pubsub://:pw@127.0.0.1:${b.port}`;
  const g = await gateway(b.url, ...feeds(`${at}/live:*`));
  await connected(g);
  const r = await fresh(g);
  await b.cli(['PUBLISH', 'live:a'], 'one');
  await b.cli(['PUBLISH', 'live:x:y'], 'two words');
  await b.cli(['PUBLISH', 'live:no'], 'x');
  await b.cli(['PUBLISH', 'live:b'], Buffer.from([0xff]));
  await b.cli(['PUBLISH', 'live:b'], 'three');
  await got(r, 'three');
  equal(texts(r), ['a: one', 'x.y: two words', 'b: three'], 'events');
  equal([await count(g, 'topic'), await count(g, 'not_utf8')], [1, 1], 'counters');
  await b.kill();
  await b.again();
  await connected(g, 1, 2);
  await b.cli(['PUBLISH', 'live:a'], 'back');
  await got(r, 'back');
  await g.stop();
});

// A few messages of NATS, [subject, data, id].
async function natsPut(port, messages) {
  const socket = net.connect(port, '127.0.0.1');
  let text = '';
  socket.on('data', (d) => { text += d; });
  socket.on('error', () => {});
  afterTest(() => socket.destroy());
  socket.write('CONNECT {"verbose":false,"headers":true}\r\n');
  for (const [subject, data, id] of messages) {
    const head = id ? `NATS/1.0\r\nNats-Msg-Id: ${id}\r\n\r\n` : '';
    const sizes = id ? `${head.length} ${head.length + data.length}` : data.length;
    socket.write(`${id ? 'HPUB' : 'PUB'} ${subject} ${sizes}\r\n${head}${data}\r\n`);
  }
  socket.write('PING\r\n');
  await until('PONG', () => text.includes('PONG'));
  socket.destroy();
}

test('a message of NATS becomes an event, once with two gateways if it has an id', async () => {
  const n = await BROKERS.nats.start();
  const b = await redis();
  const at = `nats+core://127.0.0.1:${n.port}`;
  const g = await gateway(b.url, ...feeds(`${at}/live.>`, `${at}/work.*?queue=q`));
  const h = await gateway(b.url, ...feeds(`${at}/live.>`, `${at}/work.*?queue=q`));
  for (const one of [g, h]) {
    await connected(one, 1);
    await connected(one, 2);
  }
  const r = await fresh(g);
  await natsPut(n.port, [['live.a', 'one', 'id-1'], ['live.x.y', 'two', 'id-2'],
    ['live.no', 'x', 'id-3'], ['work.b', 'three'], ['work.b', 'four']]);
  await until('all to be published', async () => (
    await count(g, 'published') + await count(g, 'duplicate') === 2
    && await count(h, 'published') + await count(h, 'duplicate') === 2
    && await count(g, 'published', 2) + await count(h, 'published', 2) === 2));
  await post(g, 'c', 'end');
  await got(r, 'end');
  equal(texts(r).sort(), ['a: one', 'b: four', 'b: three', 'c: end', 'x.y: two'], 'events');
  await g.stop();
  await h.stop();
});

test('standard input is a feed, which waits while the source is away', async () => {
  const b = await redis();
  const at = await folder('lines');
  const child = spawn('sh', ['-c', `exec ${binary} --port 0 --topics a --check-ms 0 --drain-s 0 ${
    b.url} --from - >${at}/out 2>&1`], { stdio: ['pipe', 'inherit', 'inherit'] });
  afterTest(() => child.kill('SIGKILL'));
  const lines = [...Array(6000).keys()].map((i) => `a line ${i} ${'.'.repeat(300)}`);
  await b.kill();
  let taken = false;
  child.stdin.write(`${lines.join('\n')}\nbad\n`, () => { taken = true; });
  await sleep(1_000);
  check(!taken, 'it was read'); // these are more than the queue and the pipe take
  await b.again();
  await until('all', async () => (
    (await b.cli(['EVAL', 'return redis.call("XLEN", "ev")', '0'])) === '6001' || sleep(300)),
  30_000);
  const all = (await b.cli(['XRANGE', 'ev', '-', '+'])).split('\n')
    .filter((l) => l.startsWith('line '));
  equal(all, lines.map((l) => l.slice(2)), 'events');
  child.stdin.end();
  child.kill('SIGTERM');
}, 60_000);

// -- the recipe: MQTT by nats-server --------------------------------------------------------------

test('devices speak MQTT to nats-server, whose JetStream numbers their events', async () => {
  const at = await folder('nats');
  const port = await freePort();
  const mqtt = await freePort();
  await writeFile(`${at}/conf`, `listen: "127.0.0.1:${port}"
server_name: one
jetstream { store_dir: "${at}/js" }
mqtt { listen: "127.0.0.1:${mqtt}" }
`);
  await daemon('nats-server', ['-c', `${at}/conf`], port);
  const url = `nats://127.0.0.1:${port}/ev`;
  const gs = [await gateway(url), await gateway(url)];
  const rs = [await fresh(gs[0]), await fresh(gs[1])];
  const to = ['-h', '127.0.0.1', '-p', String(mqtt), '-V', 'mqttv311'];
  const listener = spawn('stdbuf', ['-oL', 'mosquitto_sub', ...to, '-t', 'ev/#',
    '-v', '-d']);
  afterTest(() => listener.kill('SIGKILL'));
  let heard = '';
  listener.stdout.on('data', (d) => { heard += d; });
  await until('it to be subscribed', () => /SUBACK|Subscribed/.test(heard));
  for (const args of [['-t', 'ev/a', '-m', 'one'], ['-t', 'ev/x/y', '-m', 'two', '-q', '1']]) {
    const { code, text } = await run('mosquitto_pub', [...to, ...args]);
    equal(code, 0, `mosquitto_pub: ${text}`);
  }
  const id = await post(gs[0], 'b', 'of a page');
  for (const r of rs) {
    await got(r, 'of a page');
    equal(texts(r), ['a: one', 'x.y: two', 'b: of a page'], 'events');
    equal(r.events[2].id, id, 'the id');
  }
  equal(rs[0].events.map((e) => e.id), rs[1].events.map((e) => e.id), 'ids');
  await until('devices to get it', () => heard.includes('ev/b of a page'));
  const r = await fresh(gs[1], rs[0].events[0].id);
  await got(r, 'of a page');
  equal(r.notices, ['replayed 2'], 'notices at another gateway');
  await Promise.all(gs.map((g) => g.stop()));
});

// -- what a feed may meet -------------------------------------------------------------------------

const KINDS = {
  mqtt: { url: (at) => `mqtt://${at}/ev/#` },
  'redis+pubsub': { url: (at) => `redis+pubsub://${at}/ev:*` },
  'nats+core': { url: (at) => `nats+core://${at}/ev.>` },
};

test('a port that speaks another protocol, or is silent, is told and tried again', async () => {
  const b = await redis();
  const ports = [
    await stranger((s) => s.once('data', () => s.end('HTTP/1.1 400 Bad Request\r\n\r\n'))),
    await stranger((s) => s.end(Buffer.from([0x20, 0xff, 0xff, 0xff, 0xff, 0xff, 13, 10, 42, 57]))),
    await stranger(() => {}), // silent
    await freePort(), // nobody
  ];
  for (const [kind, { url }] of Object.entries(KINDS)) {
    const g = await gateway(b.url, ...feeds(...ports.map((p) => url(`127.0.0.1:${p}`))));
    const r = await fresh(g);
    for (let n = 1; n <= ports.length; n++) {
      await until(`a line of feed ${n}: ${kind}`, () => (
        new RegExp(`feed ${n} \\([^)]*\\): away: .{5}`).test(g.output())), 20_000);
      equal(await count(g, 'up', n), 0, `up of ${n}`);
    }
    await until('three attempts', async () => await count(g, 'failures', 4) >= 3, 20_000);
    check(g.output().split('away: ').length <= 8, `too many lines: ${g.output()}`);
    await post(g, 'a', 'still here');
    await got(r, 'still here');
    await g.stop();
  }
}, 90_000);

test('a wrong password is told, and harms nobody', async () => {
  const b = await redis({ password: 'right' });
  const m = await mosquitto({ password: 'right' });
  const n = await BROKERS.nats.start({ password: 'right' });
  const g = await gateway(b.url, ...feeds(`mqtt://me:wrong@127.0.0.1:${m.port}/ev/#`,
    `redis+pubsub://:wrong@127.0.0.1:${b.port}/ev:*`,
    `nats+core://me:wrong@127.0.0.1:${n.port}/ev.>`, `mqtt://me:wrong@127.0.0.1:${m.port}/e/#?v=5`,
    `${m.at}/ev/#`, `redis+pubsub://:right@127.0.0.1:${b.port}/ev:*`,
    `nats+core://me:right@127.0.0.1:${n.port}/ev.>`));
  for (const [i, words] of [[1, 'not authorised'], [2, 'WRONGPASS'], [3, 'Authorization'],
    [4, 'Not authorized']]) {
    await until(`a line of feed ${i}`, () => (
      new RegExp(`feed ${i} \\([^)]*\\): away: .*${words}`).test(g.output())));
  }
  for (const i of [5, 6, 7]) {
    await connected(g, i);
  }
  check(!/wrong|right/.test(g.output()), `a password in ${g.output()}`);
  const r = await fresh(g);
  await m.put('ev/a', 'one');
  await got(r, 'one');
  await g.stop();
});

test('MQTT of another broker on the host of nats-server is a feed', async () => {
  const m = await mosquitto();
  const n = await BROKERS.nats.start();
  const g = await gateway(n.url, ...feeds(`${m.at}/ev/#?v=5&other=1`));
  await connected(g);
  const r = await fresh(g);
  for (const id of ['1', '2', '1']) { // nats-server answers a repetition with the first position
    await m.put('ev/a', `with id ${id}`, '-V', '5', '-D', 'publish', 'user-property', 'message-id',
      id);
  }
  const lines = [...Array(200).keys()].map((i) => `message ${i}`);
  await m.lines('ev/b', lines);
  await got(r, 'message 199');
  equal(r.events.map((e) => e.data), ['with id 1', 'with id 2', ...lines], 'events');
  await g.stop();
});

test('feeds that cannot be are refused with a line', async () => {
  const to = 'redis://127.0.0.1:1/ev';
  for (const [args, words] of [
    [[to, '--from', 'x://me:secret@y'], 'no such feed'], [[to, '--from'], 'not understood'],
    [[to, ...Array(9).fill(['--from', '-']).flat()], '1 to 8'], [[to, '--from', ''], '1 to 8'],
    [['http://x/events', '--from', '-'], 'nothing can be published'],
    [[to, '--from', 'mqtt://me:secret@x'], 'expected mqtt://'],
    [[to, '--from', 'mqtt://x/a/#/b'], 'expected mqtt://'],
    [[to, '--from', 'mqtt://x/a?qos=2'], 'expected mqtt://'],
    [[to, '--from', `mqtt://x/a?topic=${'t'.repeat(60)}`], 'expected mqtt://'],
    [[to, '--from', 'mqtts://x/'], 'expected mqtts://'],
    [[to, '--from', 'redis+pubsub://:secret@x'], 'expected redis'],
    [[to, '--from', 'nats+core://x/a%20b'], 'expected nats'],
    [['nats://x:1/ev', '--from', 'nats+core://x:1/>'], 'no end'],
    [['nats://x:1/ev', '--from', 'mqtt://x/ev/#'], 'no end'],
    // Threads of the source run by then, so it could hang in exit(): now and then.
    ...Array(10).fill([['nats://x:1', '--from', 'mqtt://x/$share/g/events/#'],
      'other=1 in its URL'])]) {
    const { code, text } = await run(binary, args);
    check(code !== 0 && text.includes(words) && !text.includes('secret'), `${args}: ${text}`);
  }
  const m = await mosquitto();
  const b = await redis();
  process.env.GATEWAY_FROM = `${m.at}/ev/#  redis+pubsub://127.0.0.1:${b.port}/ev`;
  const g = await gateway(b.url).finally(() => { delete process.env.GATEWAY_FROM; });
  await connected(g, 1);
  await connected(g, 2);
  await g.stop();
});

runAll(only);
