// What gateways know beside the events: values of STATE topics, whether the source is away, who
// reads, who a client is behind a proxy.
//     node tests/gateway/state.test.mjs build/gateway-asan [PART OF A TEST NAME]
// With LONG all tests run with NATS too, not only those of what it keeps, and that of the source
// that is away with RabbitMQ.
import { writeFile } from 'node:fs/promises';
import process from 'node:process';
import { BROKERS, folder } from './brokers.mjs';
import { fresh, metric, open, post, publish, starter, token } from './gateways.mjs';
import { KINDS, WsReader } from './readers.mjs';
import {
  afterTest, call, check, connect, EventParser, equal, freePort, openEvents, parseAnswer, request,
  run, runAll, sleep, startProxy, suspend, test, until,
} from '../clients/harness.mjs';

const [binary, only] = process.argv.slice(2);
const start = starter(binary);
const pause = () => sleep(200); // between looks at what takes seconds
const NOTHING = { url: '-' }; // standard input, which is at its end

// -- who is counted behind a proxy ----------------------------------------------------------------

// One connection of each client is allowed. So the second answer says whether both requests are
// of one.
async function refused(g, first, second) {
  const headers = (value) => (value === null ? {} : { [g.field]: value });
  const r = await openEvents(`${g.url}/events`, { headers: headers(first) });
  equal(r.status, 200, `status with ${first}`);
  await r.wait('the notice', () => r.notices.length);
  const a = await call(`${g.url}/poll?timeout=0`, { headers: headers(second) });
  r.close();
  return a.status === 429;
}

async function behindProxy(args, field, table) {
  const g = await start(NOTHING, '--per-peer', 1, ...args);
  g.field = field;
  for (const [first, second, same] of table) {
    equal(await refused(g, first, second), same, `${first} and ${second} are one client`);
  }
  await g.stop();
}

test('X-Forwarded-For of a proxy that is trusted says who is counted', () => behindProxy(
  ['--trust', '10.0.0.9,127.0.0.1'], 'X-Forwarded-For', [
    ['192.0.2.1', '192.0.2.1', true], ['192.0.2.1', '192.0.2.2', false],
    // What stands before it the client may have written.
    ['192.0.2.7, 192.0.2.1', '192.0.2.8,192.0.2.1', true],
    ['192.0.2.1, 192.0.2.7', '192.0.2.1, 192.0.2.8', false],
    // Behind it proxies of ours.
    ['192.0.2.1, 10.0.0.9', '5.5.5.5, 192.0.2.1 ,127.0.0.1,10.0.0.9', true],
    ['192.0.2.1:4711', '192.0.2.1:80', true],
    // A /64 of IPv6 is one subscriber's.
    ['2001:db8::1', '[2001:db8::2]:80', true], ['2001:db8::1', '2001:db8:1::1', false],
    // What says nothing is the proxy's, which has no limit.
    [null, null, false], ['unknown', 'unknown', false], ['', '', false], [',', ',', false],
    ['x'.repeat(300), 'x'.repeat(300), false], ['192.0.2.1,', '192.0.2.1,', false],
    ['192.0.2.1', '192.0.2.256', false], ['10.0.0.9', '10.0.0.9', true],
  ]));

test('Forwarded (RFC 7239) is read if it is the field that is named', () => behindProxy(
  ['--trust', '127.0.0.1', '--trust-header', 'forwarded'], 'Forwarded', [
    ['for=192.0.2.1', 'For=192.0.2.1;proto=https', true], ['for=192.0.2.1', 'for=192.0.2.2', false],
    ['for=192.0.2.1;by="a,b"', 'proto=http ; FOR="192.0.2.1:4711" ;by="c;for=1.1.1.1"', true],
    ['for=1.1.1.1, for=192.0.2.1', 'for="[2001:db8::1]:80",for=192.0.2.1', true],
    ['for="[2001:db8:cafe::17]:4711"', 'for="[2001:db8:cafe::18]"', true],
    ['for=unknown', 'for=unknown', false], ['for=_hidden', 'for=_hidden', false],
    ['192.0.2.1', '192.0.2.1', false], ['by=192.0.2.1', 'by=192.0.2.1', false],
    ['for=', 'for=', false], ['for="', 'for="', false], ['for=""', 'for=""', false],
    ['"', '"', false], ['for=192.0.2.1;"x, for=2.2.2.2', 'for=2.2.2.2', true],
  ]));

test('an IPv6 address of a proxy can be written in any way', () => behindProxy(
  ['--trust', '0::ABCD:0:1,127.0.0.1'], 'X-Forwarded-For', [
    ['192.0.2.1, ::abcd:0:1', '192.0.2.1,[0:0:0:0::abcd:0:1]:80', true],
    ['192.0.2.1, ::abcd:0:2', '192.0.2.2, ::abcd:0:2', true],
    ['192.0.2.1, ::abcd:0:1', '192.0.2.2, ::abcd:0:1', false],
  ]));

test('of a proxy that is not trusted no field is read', async () => {
  const g = await start(NOTHING, '--per-peer', 1, '--trust', '10.0.0.9');
  g.field = 'X-Forwarded-For';
  equal(await refused(g, '192.0.2.1', '192.0.2.1'), false, 'they are one client');
  await g.stop();
});

test('the other field of the two is not read', async () => {
  const g = await start(NOTHING, '--per-peer', 1, '--trust', '127.0.0.1');
  g.field = 'Forwarded';
  equal(await refused(g, 'for=192.0.2.1', 'for=192.0.2.1'), false, 'they are one client');
  await g.stop();
});

test('a connection of a proxy may bring requests of one client after the other', async () => {
  const g = await start(NOTHING, '--per-peer', 1, '--trust', '127.0.0.1');
  const c = connect(g.port);
  const other = await openEvents(`${g.url}/events`, { headers: { 'X-Forwarded-For': '10.1.1.1' } });
  const statuses = [];
  for (const from of ['10.1.1.2', '10.1.1.1', '127.0.0.1', null, '10.1.1.3']) {
    c.text = '';
    c.write(request('GET', '/healthz', { 'X-Forwarded-For': from }));
    statuses.push((await c.until('an answer', (text) => parseAnswer(text))).status);
  }
  equal(statuses, [200, 429, 200, 200, 200], 'statuses');
  other.close();
  c.destroy();
  await g.stop();
});

test('who comes by itself is counted by its own address', async () => {
  const g = await start(NOTHING, '--per-peer', 2);
  const readers = [await open(g), await open(g)];
  const third = await call(`${g.url}/poll?timeout=0`).catch(() => 'reset');
  equal(third, 'reset', 'the third connection');
  readers.forEach((r) => r.close());
  await g.stop();
});

test('what --trust cannot be is refused with a line', async () => {
  for (const args of [['--trust', '[::1]'], ['--trust', 'proxy'], ['--trust', '10.0.0.1,,10.0.0.2'],
    ['--trust-header', 'x-real-ip'],
    ['--trust', '10.0.0.1,'.repeat(33)]]) {
    const { code, text } = await run(binary, [...args, '--port', '0', '-']);
    check(code === 1 && /--trust/.test(text), `${args}: ${code} ${text}`);
  }
});

// -- values ---------------------------------------------------------------------------------------

const STATE = ['--topics', 'a', '--state', 'b,c'];

// The values that a newcomer gets, without waiting for more.
async function values(g, topics = 'a,b,c') {
  const a = await call(`${g.url}/poll?timeout=0&topics=${topics}`);
  equal(a.status, 200, 'status of a poll');
  const parser = new EventParser();
  parser.push(a.body);
  return Object.fromEntries(parser.events.filter((e) => e.event !== 'rtpush')
    .map((e) => [e.event, e.data]));
}

async function shows(g, expected, ms) {
  let seen;
  await until('the values', async () => {
    seen = await values(g);
    return JSON.stringify(seen) === JSON.stringify(expected);
  }, ms).catch(() => equal(seen, expected, 'values'));
}

// Two gateways on a broker.
function two(name, title, use, options = {}, ms = 40_000) {
  if (name === 'nats' && !process.env.LONG && !/that starts|lost its data/.test(title)) {
    return;
  }
  test(`${name}: ${title}`, async () => {
    const b = await BROKERS[name].start(options);
    const gs = [await start(b, ...STATE), await start(b, ...STATE)];
    await use(gs[0], gs[1], b);
    for (const g of gs) {
      if (g.child.exitCode === null && g.child.signalCode === null) {
        await g.stop();
      }
    }
  }, ms);
}

const poster = (g) => async (topic, text) => {
  let a;
  await until('a POST', async () => {
    a = await post(g.url, topic, text);
    return a.status === 200;
  }, 15_000);
  return a.body;
};

for (const name of ['redis', 'nats']) {
  two(name, 'a newcomer at each gateway gets the newest value and no older one', async (g, h) => {
    equal(await values(g), {}, 'values at first');
    for (let n = 0; n < 20; n++) {
      await publish(n % 2 ? g : h, 'b', `b ${n}`);
      await publish(n % 2 ? h : g, 'a', `a ${n}`);
    }
    const id = await publish(g, 'c', 'one\ntwo');
    for (const at of [g, h]) {
      const r = await openEvents(`${at.url}/events?topics=a,b,c&last_event_id=${id}`);
      await r.wait('both values', () => r.events.length >= 2);
      equal(r.events.map((e) => `${e.event}: ${e.data}`), ['b: b 19', 'c: one\ntwo'], 'values');
      equal(r.notices, ['replayed 0'], 'notices');
      r.close();
    }
  });

  two(name, 'a gateway that starts has values that the stream has dropped', async (g, h, b) => {
    await publish(g, 'b', 'kept');
    await until('it to be kept', b.kept('b', 'kept'));
    for (let n = 0; n < 30; n++) {
      await publish(h, 'a', `a ${n}`);
    }
    await publish(h, 'c', 'in the stream');
    await b.trim(3);
    const i = await start(b, ...STATE);
    await shows(i, { b: 'kept', c: 'in the stream' });
    await publish(i, 'b', 'newer');
    for (const at of [g, h, i]) {
      await shows(at, { b: 'newer', c: 'in the stream' });
    }
    await i.stop();
  });

  two(name, 'what a gateway missed while it hung is no value that it missed', async (g, h, b) => {
    await publish(h, 'b', 'old');
    const r = await open(g, 'b');
    await r.wait('the value', () => r.events.length);
    await suspend(g.child);
    await publish(h, 'b', 'new');
    await until('it to be kept', b.kept('b', 'new'));
    for (let n = 0; n < 30; n++) {
      await publish(h, 'a', `a ${n}`);
    }
    await b.trim(3);
    g.child.kill('SIGCONT');
    await r.wait('the new value', () => r.events.some((e) => e.data === 'new'));
    equal(r.events.map((e) => e.data), ['old', 'new'], 'values');
    r.close();
  });

  two(name, 'values are there after a restart of the broker', async (g, h, b) => {
    await publish(g, 'b', 'before');
    await until('it to be kept', b.kept('b', 'before'));
    await b.kill();
    await b.again();
    await poster(g)('c', 'after');
    const i = await start(b, ...STATE);
    for (const at of [g, h, i]) {
      await shows(at, { b: 'before', c: 'after' });
    }
    await i.stop();
  }, { durable: true });

  two(name, 'a broker that lost its data gets the values from the gateways', async (g, h, b) => {
    await publish(g, 'b', 'before');
    await shows(h, { b: 'before' });
    await b.kill();
    await b.again();
    await poster(h)('c', 'after');
    await until('it to be kept', b.kept('b', 'before'), 15_000);
    const i = await start(b, ...STATE);
    for (const at of [g, h, i]) {
      await shows(at, { b: 'before', c: 'after' });
    }
    await i.stop();
  });

  two(name, 'a value never goes back at a reader that goes from one gateway to the other',
    async (g, h) => {
      const readers = KINDS.map((Kind, i) => new Kind(g.url, ['a', 'b'], i));
      afterTest(() => readers.forEach((r) => r.stop()));
      readers.forEach((r) => r.start());
      await publish(g, 'b', '-1');
      await until('all readers', () => readers.every((r) => r.events.length > 0));
      let total = 0;
      const all = (async () => {
        while (total < 240 || readers.some((r) => r.opened < 5)) {
          for (const topic of ['a', 'b', 'b']) {
            await publish(total % 2 ? g : h, topic, String(total));
            total += 1;
          }
        }
      })();
      let done = false;
      all.then(() => { done = true; }, () => { done = true; });
      while (!done) {
        for (const r of readers) {
          r.url = r.url === g.url ? h.url : g.url;
          r.cut();
        }
        await sleep(120);
      }
      await all;
      for (const r of readers) {
        // The last two are values: of these the last one is sure to come.
        await until('the newest of both', () => [total - 3, total - 1].every((n) => (
          r.events.some((e) => e.data === String(n)))));
        const seen = r.events.filter((e) => e.topic === 'b').map((e) => Number(e.data));
        equal(seen, [...seen].sort((x, y) => x - y), `values of ${r.constructor.name}`);
        equal(r.notices, [], `notices of ${r.constructor.name}`);
        equal(r.events.filter((e) => e.topic === 'a').length, total / 3, 'events');
      }
    });

  two(name, 'a value that is too large is refused, and one of another program told', async (
    g, h, b) => {
    await publish(g, 'b', 'good');
    for (const text of ['x'.repeat(513), '\n'.repeat(400)]) {
      equal((await post(g.url, 'b', text)).status, 413, `${text.length} bytes`);
    }
    const r = await open(g, 'b');
    await r.wait('the value', () => r.events.length);
    await b.put('b', 'y'.repeat(513));
    await b.put('b', 'of another program');
    await r.wait('the next', () => r.events.length >= 2);
    equal(r.events.map((e) => e.data), ['good', 'of another program'], 'values');
    equal(r.notices, ['fresh', 'gap 1'], 'notices');
    equal(await metric(g, 'source_bad{why="too_large"}'), 1, 'counted');
    await until('it to be kept', b.kept('b', 'of another program'));
    await shows(h, { b: 'of another program' });
    r.close();
  });
}

test('redis: what is kept in a form of nobody is counted and passed over', async () => {
  const b = await BROKERS.redis.start();
  for (const text of ['', 'x', '5-', '5-5', '99999999999-1 x', '5-5 \xff']) {
    await b.cli(['HSET', 'ev:values', 'b'], Buffer.from(text, 'latin1'));
    await b.cli(['HSET', 'ev:values', 'c', '7-7 good', 'd', '7-7 of nobody']);
    const g = await start(b, ...STATE);
    equal(await values(g), { c: 'good' }, `values beside ${text}`);
    const bad = await metric(g, `source_bad{why="${text.endsWith('\xff') ? 'not_utf8' : 'form'}"}`);
    equal(bad, 1, `counted: ${text}`);
    await g.stop();
  }
});

test('http: values are passed on as the device sends them, and once', async () => {
  const d = await BROKERS.http.start({ args: STATE });
  await post(d.direct, 'b', 'before');
  const gs = [await start(d, ...STATE), await start(d, ...STATE)];
  for (const g of gs) {
    await shows(g, { b: 'before' });
  }
  const r = await open(gs[0], 'a,b');
  await r.wait('the value', () => r.events.length);
  await post(d.direct, 'a', 'event');
  await post(d.direct, 'b', 'second');
  await r.wait('both', () => r.events.length >= 3);
  await d.signal('SIGSTOP'); // until the gateway connects again, and gets the value once more
  await until('away', async () => {
    await pause();
    return (await metric(gs[0], 'source_up')) === 0;
  }, 25_000);
  d.signal('SIGCONT');
  await until('back', async () => (await metric(gs[0], 'source_up')) === 1, 15_000);
  await post(d.direct, 'c', 'third');
  await r.wait('nothing', () => r.events.length >= 3);
  for (const g of gs) {
    await shows(g, { b: 'second', c: 'third' });
    equal(await metric(g, 'source_bad{why="id"}'), 0, 'ids that go back');
  }
  equal(r.events.map((e) => `${e.event}: ${e.data}`), ['b: before', 'a: event', 'b: second'],
    'what a reader got');
  r.close();
  await Promise.all(gs.map((g) => g.stop()));
}, 60_000);

test('a topic is an event or a value', async () => {
  for (const args of [['--state', 'a'], ['--state', 'x', '--state-max', '0'], ['--state', 'x y']]) {
    const { code, text } = await run(binary, [...args, '--port', '0', '-']);
    check(code === 1 && /state|name/.test(text), `${args}: ${code} ${text}`);
  }
});

// -- is the source away ---------------------------------------------------------------------------

const STATUS = ['--topics', 'a', '--status', 'status'];

// What a reader was told, each change once: after a reset all values come again.
const told = (r) => r.events.filter((e) => e.topic === 'status')
  .map((e) => JSON.parse(e.data).source).filter((s, i, all) => s !== all[i - 1]);

async function statusReaders(g) {
  const readers = KINDS.map((Kind, i) => new Kind(g.url, ['a', 'status'], i));
  afterTest(() => readers.forEach((r) => r.stop()));
  readers.forEach((r) => r.start());
  await areTold(readers, ['up']);
  return readers;
}

const areTold = (readers, expected) => until(`all to be told ${expected}`, () => readers.every(
  (r) => JSON.stringify(told(r)) === JSON.stringify(expected)), 25_000)
  .catch(() => equal(readers.map(told), readers.map(() => expected), 'what readers were told'));

// A feed that is the source.
async function pubsub() {
  const b = await BROKERS.redis.start();
  return Object.assign(b, { url: b.url.replace('redis:', 'redis+pubsub:').replace('/ev', '/*') });
}

const SOURCES = {
  redis: () => BROKERS.redis.start({ durable: true }),
  http: () => BROKERS.http.start(),
  'redis+pubsub': pubsub,
  ...(process.env.LONG && {
    nats: () => BROKERS.nats.start({ durable: true }),
    rabbit: () => BROKERS.rabbit.start({ durable: true }),
    kafka: () => BROKERS.kafka.start({ durable: true }),
  }),
};

for (const [name, source] of Object.entries(SOURCES)) {
  test(`${name}: pages are told that the source is away, and that it is back`, async () => {
    const b = await source();
    // A broker that starts slowly may be away for longer than pages stay by default.
    const g = await start(b, ...STATUS, '--away-s', 3600);
    const readers = await statusReaders(g);
    const before = Date.now() / 1000;
    await b.kill();
    await areTold(readers, ['up', 'away']);
    const now = JSON.parse((await values(g, 'status')).status);
    equal([now.source, Number.isInteger(now.since)], ['away', true], 'what a newcomer gets');
    check(now.since >= Math.trunc(before) && now.since <= Date.now() / 1000, `since ${now.since}`);
    await b.again();
    await areTold(readers, ['up', 'away', 'up']).catch((error) => {
      throw new Error(`${error.message}; the gateway: ${g.output()}`);
    });
    equal(JSON.parse((await values(g, 'status')).status).source, 'up', 'what a newcomer gets');
    equal(readers.slice(0, 2).map((r) => r.opened), [1, 1], 'streams that each opened');
    readers.forEach((r) => r.stop());
    await g.stop();
  }, 90_000);
}

test('a short break of the connection to the source is not told', async () => {
  const b = await BROKERS.redis.start();
  const g = await start(b, ...STATUS);
  const readers = await statusReaders(g);
  for (let n = 1; n <= 3; n++) {
    await b.cli(['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes']);
    await until('a new connection', async () => await metric(g, 'source_connects') > n);
    await poster(g)('a', String(n));
  }
  await until('the events', () => readers.every((r) => r.events.some((e) => e.data === '3')));
  await areTold(readers, ['up']);
  readers.forEach((r) => r.stop());
  await g.stop();
});

test('a page that goes to another gateway gets its status, and each event once', async () => {
  const b = await BROKERS.redis.start();
  const network = await startProxy(b.port);
  const g = await start({ url: b.url.replace(b.port, network.port) }, ...STATUS);
  const h = await start(b, ...STATUS);
  const readers = await statusReaders(g);
  let n = 0;
  const five = async () => {
    for (let i = 0; i < 5; i++, n++) {
      await publish(h, 'a', String(n));
    }
  };
  const have = (total) => until(`${total} events`, () => readers.every(
    (r) => r.events.filter((e) => e.topic === 'a').length >= total));
  const goTo = (to) => readers.forEach((r) => {
    r.url = to.url;
    r.cut();
  });
  await five();
  await have(5);
  network.aim(await freePort()); // where nobody listens
  network.cut();
  await areTold(readers, ['up', 'away']);
  await five();

  // A poll's id has the revision of the gateway's values, and says whose it is.
  const poll = async (at, id) => {
    const a = await call(`${at.url}/poll?timeout=0&topics=a,status&last_event_id=${id}`);
    const parser = new EventParser();
    parser.push(a.body);
    return [parser.lastId, parser.events.filter((e) => e.event !== 'rtpush').map(
      (e) => (e.event === 'a' ? e.data : JSON.parse(e.data).source))];
  };
  const [first] = await poll(g, readers[0].id.slice(0, 17));
  equal(first.split('-').length, 4, 'words of its id');
  equal((await poll(g, first))[1], [], 'at the same gateway');
  const [second, all] = await poll(h, first);
  equal(all, ['up', '5', '6', '7', '8', '9'], 'at the other');
  equal((await poll(h, second))[1], [], 'and again');
  const r = await open(h, 'a,status', readers[0].id); // Last-Event-ID
  await r.wait('the events', () => r.events.length >= 6);
  equal(r.events.map((e) => e.data.slice(0, 14)),
    ['{"source":"up"', '5', '6', '7', '8', '9'], 'an event stream at the other');
  equal(r.notices, ['replayed 5'], 'its notices');
  r.close();

  goTo(h);
  await have(10);
  await areTold(readers, ['up', 'away', 'up']);
  const opened = readers.map((x) => x.opened);
  goTo(g); // which has not come as far: they wait, and nothing goes back
  await until('them to be there', () => readers.slice(0, 2).every((x, i) => x.opened > opened[i]));
  await five();
  network.aim(b.port);
  await have(15);
  await until('the gateway to be back', async () => (
    JSON.parse((await values(g, 'status')).status).source === 'up'));
  await five();
  await have(20);
  for (const x of readers) {
    equal(x.events.filter((e) => e.topic === 'a').map((e) => Number(e.data)),
      [...Array(20).keys()], `events of ${x.constructor.name}`);
    equal(told(x).at(-1), 'up', `what ${x.constructor.name} was told last`);
    equal(x.notices, [], `notices of ${x.constructor.name}`);
    x.stop();
  }
  await g.stop();
  await h.stop();
}, 90_000);

test('the topic of --status is the gateway\'s alone', async () => {
  const at = await folder('key');
  const key = 'k'.repeat(40);
  await writeFile(`${at}/key`, key);
  const make = (claims) => token({ exp: Math.trunc(Date.now() / 1000) + 600, ...claims }, key);
  const b = await BROKERS.redis.start();
  const g = await start(b, ...STATUS, '--jwt-key', `${at}/key`, '--from',
    b.url.replace('redis:', 'redis+pubsub:').replace('/ev', '/*'));
  const bearer = (claims) => ({ headers: { Authorization: `Bearer ${make(claims)}` } });
  const everything = bearer({ topics: '*', publish: '*' });
  equal((await post(g.url, 'status', 'x', everything.headers)).status, 403, 'a POST');
  equal((await post(g.url, 'a', 'first', everything.headers)).status, 200, 'a POST of an event');
  const c = connect(g.port);
  const all = make({ topics: '*', publish: '*' });
  c.write(request('GET', `/ws?topics=a&publish=status&token=${all}`, {
    Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'AQIDBAUGBwgJCgsMDQ4PEA==',
  }));
  equal((await c.until('an answer', (text) => parseAnswer(text))).status, 403, 'a WebSocket');
  c.destroy();
  for (const [topics, query, status] of [['a', 'status', 403], ['a', 'a,status', 200],
    ['status', 'status', 200]]) {
    const a = await call(`${g.url}/poll?timeout=0&topics=${query}`, bearer({ topics }));
    equal(a.status, status, `${query} with a token for ${topics}`);
    equal(a.body.includes('event: status'), topics === 'status', `the value: ${a.body}`);
  }
  await b.put('status', '{"source":"gone"}'); // another program
  await until('the feed', async () => {
    await b.cli(['PUBLISH', 'status', '{"source":"gone"}']);
    return await metric(g, 'feed_topic{feed="1"}') > 0;
  });
  equal(await metric(g, 'source_bad{why="topic"}'), 1, 'counted');
  const r = await openEvents(`${g.url}/events?topics=status`, everything);
  await r.wait('the value', () => r.events.length);
  equal(r.events.map((e) => JSON.parse(e.data).source), ['up'], 'values');
  r.close();
  await g.stop();
});

test('--status is the name of one more topic', async () => {
  for (const args of [['--status', 'a'], ['--status', 'b,d'], ['--status', 'rtpush'],
    ['--state', 'x', '--status', 'x'],
    ['--topics', [...Array(32).keys()].join(','), '--status', 'x']]) {
    const { code, text } = await run(binary, [...args, '--port', '0', '-']);
    check(code === 1 && /status|name/.test(text), `${args}: ${code} ${text}`);
  }
});

// -- presence -------------------------------------------------------------------------------------

const PRESENCE = ['--presence', 1];

async function presence(g, query = '', headers = {}) {
  const a = await call(`${g.url}/presence${query}`, { headers });
  equal([a.status, a.headers['content-type']], [200, 'application/json'], 'the answer');
  return JSON.parse(a.body);
}

const counts = (p) => Object.fromEntries(Object.entries(p.topics).map(([t, x]) => [t, x.count]));

async function says(g, expected, what, ms = 15_000) {
  let seen;
  await until(what, async () => {
    await pause();
    const a = await call(`${g.url}/presence`);
    seen = a.status === 200 && counts(JSON.parse(a.body));
    return JSON.stringify(seen) === JSON.stringify(expected);
  }, ms).catch(() => equal(seen, expected, what));
}

for (const name of ['redis', 'nats']) {
  test(`${name}: readers are counted over all gateways, and those of a killed one vanish`,
    async () => {
      const b = await BROKERS[name].start();
      const [g, h] = [await start(b, ...PRESENCE), await start(b, ...PRESENCE)];
      const readers = [await fresh(g, 'a'), await fresh(g, 'a,b'), await fresh(h, 'a,c')];
      const ws = new WsReader(h.url, ['b'], 0);
      afterTest(() => ws.stop());
      ws.start();
      for (const at of [g, h]) {
        await says(at, { a: 3, b: 2, c: 1 }, 'all readers');
      }
      const now = await presence(g, '?topics=b,a');
      equal([now.gateways, now.complete, Object.keys(now.topics)], [2, true, ['a', 'b']],
        'those that are asked for');
      equal('names' in now.topics.a, false, 'names without tokens');
      readers[0].close();
      await says(h, { a: 2, b: 2, c: 1 }, 'without the one that left');
      h.child.kill('SIGKILL');
      await says(g, { a: 1, b: 1, c: 0 }, 'without those of the killed one');
      equal((await presence(g)).gateways, 1, 'gateways');
      for (const [query, status] of [['?topics=d', 404], ['?topics=%', 400]]) {
        equal((await call(`${g.url}/presence${query}`)).status, status, query);
      }
      await b.kill();
      await until('503', async () => {
        await pause();
        return (await call(`${g.url}/presence`)).status === 503;
      }, 15_000);
      await b.again();
      await says(g, { a: 1, b: 1, c: 0 }, 'after the broker has come back');
      await g.stop();
    }, 90_000);

  test(`${name}: names are those of tokens, once each, and seen by who may read the topic`,
    async () => {
      const at = await folder('key');
      const key = 'k'.repeat(40);
      await writeFile(`${at}/key`, key);
      const b = await BROKERS[name].start();
      const args = [...PRESENCE, '--jwt-key', `${at}/key`];
      const [g, h] = [await start(b, ...args), await start(b, ...args)];
      const exp = Math.trunc(Date.now() / 1000) + 600;
      const readers = [];
      const come = async (gateway, sub, topics) => {
        const r = await openEvents(`${gateway.url}/events?topics=${topics}&token=${
          token({ exp, sub, topics: 'a,b' }, key)}`);
        equal(r.status, 200, `status of ${sub}`);
        readers.push(r);
      };
      const odd = '\u0001"\\ %41\n</script>\u00e9\u{1f600}\u007f@!+';
      await come(g, 'ann', 'a');
      await come(h, 'ann', 'a,b');
      await come(h, odd, 'a');
      await come(g, 'x'.repeat(64), 'b');
      await come(g, 'y'.repeat(65), 'b'); // is counted alone
      await come(g, undefined, 'b');
      const bearer = (topics) => ({ Authorization: `Bearer ${token({ exp, topics }, key)}` });
      let now;
      await until('all', async () => {
        await pause();
        const a = await call(`${g.url}/presence`, { headers: bearer('*') });
        now = a.status === 200 && JSON.parse(a.body).topics;
        return now && now.a.count === 3 && now.b.count === 4;
      }, 15_000);
      equal(now.a.names, [odd, 'ann'], 'names at a');
      equal(now.b.names, ['ann', 'x'.repeat(64)], 'names at b');
      equal(now.c, { count: 0, names: [] }, 'at c');
      equal((await call(`${g.url}/presence`)).status, 401, 'without a token');
      equal((await call(`${g.url}/presence?topics=b`, { headers: bearer('a') })).status, 403,
        'of a topic that the token does not name');
      equal(Object.keys((await presence(g, '', bearer('a'))).topics), ['a'], 'what it names');
      readers.forEach((r) => r.close());
      await until('nobody', async () => {
        await pause();
        const { a } = (await presence(h, '', bearer('*'))).topics;
        return a.count === 0 && a.names.length === 0;
      }, 15_000);
      await g.stop();
      await h.stop();
    }, 60_000);
}

test('what does not fit is left out, and told', async () => {
  const at = await folder('key');
  const key = 'k'.repeat(40);
  await writeFile(`${at}/key`, key);
  const b = await BROKERS.redis.start();
  const g = await start(b, ...PRESENCE, '--jwt-key', `${at}/key`);
  const exp = Math.trunc(Date.now() / 1000) + 600;
  const headers = { Authorization: `Bearer ${token({ exp, topics: '*' }, key)}` };
  // As another gateway might say it, one of another version or a foe.
  const said = ['!', 'a 7', 'nobody 3', 'a', 'a 99999999999999999999', '@', '@ a', '@%4 a',
    '@%zz a', '@%00 a', `@${'z'.repeat(65)} a`, '@\xff a', '@good a nobody', '',
    ...[...Array(3000).keys()].map((i) => `@${String(i).padStart(60, 'n')} b`)].join('\n');
  const here = await b.cli(['SMEMBERS', 'ev:here']);
  check(/^[0-9a-f]{16}$/.test(here), `the gateway's name: ${here}`);
  // In this order: a gateway forgets a name that says nothing, and looks at any time.
  await b.cli(['SADD', 'ev:here', 'gone']);
  await b.cli(['SET', 'ev:here:other'], Buffer.from(said, 'latin1'));
  await b.cli(['SADD', 'ev:here', 'other']);
  let now;
  await until('it to be joined', async () => {
    await pause();
    now = await presence(g, '', headers);
    return now.gateways === 2;
  });
  equal(now.topics.a, { count: 7, names: ['good'] }, 'at a');
  equal([now.complete, now.topics.b.names.length > 900], [false, true], 'at b');
  equal((await b.cli(['SISMEMBER', 'ev:here', 'gone'])), '0', 'who says nothing any more');
  await g.stop();
});

test('without a broker a gateway counts its own; without --presence there is none', async () => {
  const g = await start(NOTHING, ...PRESENCE);
  const r = await fresh(g, 'a,b');
  await says(g, { a: 1, b: 1, c: 0 }, 'the reader');
  r.close();
  await says(g, { a: 0, b: 0, c: 0 }, 'nobody');
  await g.stop();
  const h = await start(NOTHING);
  equal((await call(`${h.url}/presence`)).status, 404, 'status');
  await h.stop();
});

if (process.env.LONG) {
  await BROKERS.rabbit.prepare();
}
runAll(only);
