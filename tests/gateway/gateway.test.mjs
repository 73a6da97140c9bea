// The gateway over a real broker, alone and three of them behind HAProxy.
//     node tests/gateway/gateway.test.mjs redis build/gateway-asan [PART OF A TEST NAME]
// SEED=n chooses the moments at which gateways and broker are killed. LONG=1: all tests with
// RabbitMQ too, of which each start takes some seconds of a core, and with Kafka. READERS and
// EVENTS make the crowd of readers larger.
import { writeFile } from 'node:fs/promises';
import net from 'node:net';
import process from 'node:process';
import { BROKERS, folder, startHaproxy, startNginx } from './brokers.mjs';
import { Crowd } from './crowd.mjs';
import { WsReader } from './readers.mjs';
import {
  fresh, healthy, metric, open, post, postAll, publish, starter, token,
} from './gateways.mjs';
import {
  afterTest, call, check, connect, equal, freePort, noticesOf, EventParser, openEvents, run, runAll,
  sleep, startServer, suspend, test, until,
} from '../clients/harness.mjs';

const [name, binary, only] = process.argv.slice(2);
const broker = BROKERS[name];
if (!broker || !binary) {
  console.log(`usage: gateway.test.mjs ${Object.keys(BROKERS).join('|')} GATEWAY`);
  process.exit(2);
}

const TOPICS = ['a', 'b', 'c'];
// In full with Redis and NATS; a crowd on RabbitMQ takes 40 s of a core more, what differs with the
// other sources needs none.
const CROWD = { redis: 100, nats: 100, rabbit: 15, kafka: 9 };
const READERS = Number(process.env.READERS ?? CROWD[name] ?? 30);
const EVENTS = Number(process.env.EVENTS ?? READERS * 30);
const SLOW = ['rabbit', 'kafka'].includes(name) && process.env.LONG !== '1';
const PACE_MS = SLOW ? 120 : 12; // at most, between two events
// Many events come in bursts, of one event a topic, which the gateways send together: that is what
// two processors carry. No reader is more than so many behind the newest.
const MANY = 10_000;
const LANES = 20;
const BURST_MS = 40;
const BEHIND = 2000;
// Of RabbitMQ the gateway's marks have positions too: a distance is so many events, or a few more.
const MARKS = name === 'rabbit' ? 20 : 0;
const CROWD_MS = 180_000 + READERS * EVENTS / 20; // an event to a reader takes 0.1 ms at most

const start = starter(binary);

const seq = (id) => parseInt(id.slice(9), 16);
const epoch = (id) => parseInt(id.slice(0, 8), 16);
const idOf = (e, n) => `${e.toString(16).padStart(8, '0')}-${n.toString(16).padStart(8, '0')}`;

// The only notice of a reader that came back: so many positions, of which `least` are events.
function replayed(r, least) {
  equal(r.notices.length, 1, `notices ${r.notices}`);
  const n = Number(/^replayed (\d+)$/.exec(r.notices[0])?.[1]);
  check(n >= least && n <= least + MARKS, `${r.notices[0]}, expected ${least}`);
}

// One gateway on a broker, ended and looked at.
function one(title, use, { broker: options = {}, args = [], ms } = {}) {
  test(title, async () => {
    const b = await broker.start(options);
    const g = await start(b, ...args);
    await use(g, b);
    await g.stop();
  }, ms);
}

// A test of what others show as well: not with RabbitMQ, unless LONG=1.
function heavy(define, ...others) {
  return process.env.LONG === '1' || !['rabbit', ...others].includes(name) ? define : () => {};
}

// -- one gateway ----------------------------------------------------------------------------------

function publishing() {
  one('a POST is answered 200 with the id under which readers get it', async (g) => {
    const r = await fresh(g);
    const ids = [];
    for (let n = 0; n < 20; n++) {
      ids.push(await publish(g, TOPICS[n % 3], `event ${n}`));
    }
    await r.wait('20 events', () => r.events.length >= 20);
    equal(r.events.map((e) => e.id), ids, 'ids');
    equal(r.events.map((e) => e.event), ids.map((_, n) => TOPICS[n % 3]), 'topics');
    equal(r.events.map((e) => e.data), ids.map((_, n) => `event ${n}`), 'data');
    equal(r.notices, ['fresh'], 'notices');
    equal(await metric(g, 'publish{outcome="stored"}'), 20, 'messages stored');
    r.close();
  });

  one('a POST with the same Idempotency-Key is stored once', async (g) => {
    const r = await fresh(g);
    const same = { 'Idempotency-Key': 'order-17' };
    const first = await post(g.url, 'a', 'once', same);
    await r.wait('the event', () => r.events.length);
    const second = await post(g.url, 'a', 'once', same);
    equal([first.status, second.status], [200, 200], 'statuses');
    equal(second.body, first.body, 'the id');
    await publish(g, 'a', 'after it');
    await r.wait('the next event', () => r.events.length >= 2);
    equal(r.events.map((e) => e.data), ['once', 'after it'], 'events');
    r.close();
  });

  one('the same Idempotency-Key at another topic is another event', async (g) => {
    const r = await fresh(g);
    const same = { 'Idempotency-Key': 'k'.repeat(64) };
    for (const topic of ['a', 'b', 'a']) {
      equal((await post(g.url, topic, `at ${topic}`, same)).status, 200, `status of ${topic}`);
    }
    await publish(g, 'a', 'after it');
    await r.wait('the last event', () => r.events.some((e) => e.data === 'after it'));
    equal(r.events.map((e) => e.data), ['at a', 'at b', 'after it'], 'events');
    r.close();
  });

  one('two POSTs at once with one Idempotency-Key are one event', async (g) => {
    const r = await fresh(g);
    const same = { 'Idempotency-Key': 'twice' };
    const answers = await Promise.all([1, 2, 3].map(() => post(g.url, 'a', 'once', same)));
    equal(answers.map((a) => a.status), [200, 200, 200], 'statuses');
    await publish(g, 'a', 'after it');
    await r.wait('the next event', () => r.events.some((e) => e.data === 'after it'));
    equal(r.events.map((e) => e.data), ['once', 'after it'], 'events');
    r.close();
  });

  one('a POST that cannot be an event is refused with its reason', async (g) => {
    for (const [topic, body, headers, status] of [
      ['nobody', 'x', {}, 404], ['a', 'x'.repeat(4097), {}, 413],
      ['a', Buffer.from([0xc3, 0x28]), {}, 400], ['a', 'x', { 'Idempotency-Key': 'a b' }, 400],
      ['a', 'x', { 'Idempotency-Key': 'k'.repeat(65) }, 400]]) {
      const a = await post(g.url, topic, body, headers);
      equal(a.status, status, `${topic}, ${body.length} bytes, ${JSON.stringify(headers)}`);
    }
    equal((await call(`${g.url}/publish/a`)).status, 405, 'GET');
  });

  heavy(one)('while the broker is away a POST is answered 503 and Retry-After, and readers stay',
    async (g, b) => {
      const r = await fresh(g);
      await b.kill();
      await until('503', async () => (await post(g.url, 'a', 'lost')).status === 503);
      const began = Date.now();
      const a = await post(g.url, 'a', 'lost');
      equal([a.status, a.headers['retry-after']], [503, '1'], 'the answer');
      check(Date.now() - began < 20_000, 'it waited');
      equal((await call(`${g.url}/healthz`)).status, 200, 'healthz within 30 s');
      equal(await metric(g, 'source_up'), 0, 'source_up');
      await b.again();
      await until('a POST', async () => (await post(g.url, 'a', 'back')).status === 200);
      await r.wait('the event', () => r.events.some((e) => e.data === 'back'));
      check(!r.closed, 'the stream was closed');
      r.close();
    }, { broker: { durable: true }, args: ['--publish-ms', 25_000] });

  one('a POST whose outcome is not known is answered 504, and its repetition is one event',
    async (g, b) => {
      const r = await fresh(g);
      await until('the first', async () => (await post(g.url, 'a', 'before', { 'Idempotency-Key':
        'before' })).status === 200);
      await b.signal('SIGSTOP');
      const a = await post(g.url, 'a', 'perhaps');
      equal(a.status, 504, 'status');
      const key = a.headers['idempotency-key'];
      check(key, 'no key to repeat it with');
      b.signal('SIGCONT');
      await until('200', async () => (
        (await post(g.url, 'a', 'perhaps', { 'Idempotency-Key': key })).status === 200), 20_000);
      await publish(g, 'a', 'after');
      await r.wait('the last event', () => r.events.some((e) => e.data === 'after'));
      equal(r.events.map((e) => e.data), ['before', 'perhaps', 'after'], 'events');
      r.close();
    }, { broker: { durable: true }, args: ['--publish-ms', 1000], ms: 60_000 });
}

function trimmed() {
  one('what the broker has given up while a gateway hung is a gap, of exactly so many',
    async (g, b) => {
      const h = await start(b);
      const r = await fresh(g);
      const began = await fresh(h);
      await publish(h, 'a', 'first');
      await r.wait('the first', () => r.events.length);
      await suspend(g.child);
      for (let n = 0; n < 60; n++) {
        await publish(h, 'a', `event ${n}`);
      }
      await b.trim(10);
      g.child.kill('SIGCONT');
      await r.wait('the last', () => r.events.some((e) => e.data === 'event 59'));
      const told = r.notices.map((n) => Number(/^gap (\d+)$/.exec(n)?.[1] ?? 0))
        .reduce((x, y) => x + y);
      check(told > 0, `no gap: ${r.notices}`);
      equal(told + r.events.length, 61, `events told and given, with ${r.notices}`);
      equal([began.events.length, began.notices], [61, ['fresh']], 'at the other gateway');
      // Who comes later from before it is told the same.
      const late = await open(g, 'a', r.events[0].id);
      await late.wait('the last', () => late.events.some((e) => e.data === 'event 59'));
      const missed = late.notices.map((n) => Number(/^gap (\d+)$/.exec(n)?.[1] ?? 0))
        .reduce((x, y) => x + y);
      equal(missed + late.events.length, 60, `events told and given, with ${late.notices}`);
      for (const s of [r, began, late]) {
        s.close();
      }
      await h.stop();
    });
}

// A reader of gateway g, which hangs while h stores `total` events, `lanes` at a time, between a
// first and a last one. Returns how many the reader was told as missed, and how many it was given.
async function trimmedWhileHung(g, h, { total, lanes, size }) {
  const r = await fresh(g);
  await publish(h, 'a', 'first');
  await r.wait('the first', () => r.events.length);
  await suspend(g.child);
  let next = 0;
  await Promise.all([...Array(lanes).keys()].map(async () => {
    while (next < total) {
      next += 1;
      await publish(h, 'a', 'x'.repeat(size));
    }
  }));
  const last = await publish(h, 'a', 'last');
  g.child.kill('SIGCONT');
  await r.wait('the last', () => r.events.some((e) => e.id === last), 30_000);
  const missed = r.notices.map((n) => Number(/^gap (\d+)$/.exec(n)?.[1] ?? 0))
    .reduce((x, y) => x + y);
  check(missed > 0, `no gap: ${r.notices}`);
  const ids = r.events.map((e) => e.id);
  equal(ids, [...new Set(ids)].sort(), 'ids once and in order');
  r.close();
  return { missed, given: r.events.length };
}

// RabbitMQ gives up whole segments, and spends an offset on the begin of each.
function trimmedBySegments() {
  one('what the broker has given up while a gateway hung is a gap, of so many or a few more',
    async (g, b) => {
      const h = await start(b);
      const total = 450; // more than the broker sends before it is acknowledged
      const { missed, given } = await trimmedWhileHung(g, h, { total, lanes: 20, size: 200 });
      const told = missed + given;
      check(told >= total + 2 && told <= total + 80, `${told} told and given of ${total + 2}`);
      await h.stop();
    }, { broker: { maxbytes: 20000 }, ms: 90_000 });
}

// The mock of Kafka keeps 5 MB.
function trimmedBySize() {
  const args = ['--max', 32768, '--log', 1 << 23]; // all of that fits
  one('what the broker has given up while a gateway hung is a gap, of exactly so many',
    async (g, b) => {
      const h = await start(b, ...args);
      const total = 190;
      const { missed, given } = await trimmedWhileHung(g, h, { total, lanes: 8, size: 32000 });
      equal(missed + given, total + 2, 'events told and given');
      await h.stop();
    }, { args, ms: 60_000 });
}

// What the tests can do to the files of a broker, or to its stream.
function goesBack() {
  heavy(test)('a broker that comes back with an older state begins a new epoch', async () => {
    const b = await broker.start();
    const g = await start({ url: b.sure });
    const r = await fresh(g);
    const before = await publish(g, 'a', 'kept');
    await b.snapshot();
    const stored = async (text) => {
      let a;
      await until('a POST', async () => {
        a = await post(g.url, 'a', text);
        return a.status === 200;
      });
      return a.body;
    };
    const gone = await stored('gone');
    await r.wait('both', () => r.events.length >= 2);
    equal(epoch(gone), epoch(before), 'the epoch before');
    await b.rollback();
    const after = await stored('after');
    check(epoch(after) > epoch(before), `${after} after ${gone}`);
    await r.wait('the last', () => r.events.some((e) => e.data === 'after'));
    equal(r.events.map((e) => e.data), ['kept', 'gone', 'after'], 'events');
    equal(r.notices, ['fresh', 'reset'], 'notices');
    // A gateway that begins now says the same ids.
    const h = await start({ url: b.sure });
    const s = await open(h, 'a', after);
    await s.wait('the notice', () => s.notices.length);
    equal(s.notices, ['replayed 0'], 'notices of another gateway');
    equal(epoch(await publish(h, 'a', 'more')), epoch(after), 'its epoch');
    await r.wait('one more', () => r.events.some((e) => e.data === 'more'));
    s.close();
    r.close();
    await h.stop();
    await g.stop();
  }, 60_000);

  one('a stream that is deleted begins a new epoch for all gateways', async (g, b) => {
    const h = await start(b);
    const readers = [await fresh(g), await fresh(h)];
    const before = await publish(g, 'a', 'before');
    for (const r of readers) {
      await r.wait('the event', () => r.events.length);
    }
    await b.remove();
    const after = await publish(h, 'a', 'after');
    check(epoch(after) > epoch(before), `${after} after ${before}`);
    for (const r of readers) {
      await r.wait('the event', () => r.events.length >= 2);
      equal(r.events.map((e) => e.id), [before, after], 'ids');
      equal(r.notices, ['fresh', 'reset'], 'notices');
      r.close();
    }
    await h.stop();
  });
}

function restarts() {
  one('a gateway that starts again gives the same ids and replays what was missed',
    async (g, b) => {
      const ids = [];
      for (let n = 0; n < 300; n++) {
        ids.push(await publish(g, TOPICS[n % 3], `event ${n}`));
      }
      const h = await start(b);
      for (const from of [0, 17, 299]) {
        const r = await open(h, 'a,b,c', ids[from]);
        await r.wait('the notice', () => r.notices.length);
        await r.wait('the rest', () => r.events.length >= 299 - from);
        replayed(r, 299 - from);
        equal(r.events.map((e) => e.id), ids.slice(from + 1), `ids after ${from}`);
        r.close();
      }
      // From before the first event there is nothing to miss: its epoch began with it.
      const r = await open(h, 'a,b,c', idOf(epoch(ids[0]), 0));
      await r.wait('all', () => r.events.length >= 300);
      replayed(r, 300);
      r.close();
      await h.stop();
    });

  one('a gateway with a small log tells who comes from before it what it cannot give',
    async (g, b) => {
      const ids = [];
      for (let n = 0; n < 200; n++) {
        ids.push(await publish(g, 'a', 'x'.repeat(100)));
      }
      const h = await start(b, '--log', 8192);
      const r = await open(h, 'a', ids[0]);
      await r.wait('the notice', () => r.notices.length);
      await r.wait('the last', () => r.events.some((e) => e.id === ids[199]));
      const missed = Number(/^gap (\d+)$/.exec(r.notices[0])?.[1]);
      const told = missed + r.events.length;
      check(told >= 199 && told <= 199 + MARKS, `${told} told and given, with ${r.notices}`);
      check(r.events.length > 20, `only ${r.events.length} events in the log`);
      r.close();
      await h.stop();
    });

  const trims = { rabbit: trimmedBySegments, kafka: trimmedBySize };
  (trims[name] ?? trimmed)();

  one('an id in front of everything is told reset, once the broker has been asked', async (g) => {
    const id = await publish(g, 'a', 'x');
    for (const far of [idOf(epoch(id), seq(id) + 1000), idOf(epoch(id) + 7, 3), idOf(5, 5)]) {
      const r = await open(g, 'a', far);
      await r.wait('the notice', () => r.notices.length);
      equal(r.notices, ['reset'], `notices of ${far}`);
      r.close();
    }
    const a = await call(`${g.url}/poll?timeout=5&last_event_id=${idOf(epoch(id), seq(id) + 9)}`);
    const parser = new EventParser();
    parser.push(a.body);
    equal(noticesOf(parser.events), ['reset'], 'notices of a poll');
  });

  heavy(one)('a broker that restarts with everything goes on with the same ids', async (g, b) => {
    const r = await fresh(g);
    const before = await publish(g, 'a', 'before');
    await b.kill();
    await b.again();
    let after;
    await until('a POST', async () => {
      after = await post(g.url, 'a', 'after');
      return after.status === 200;
    });
    equal(epoch(after.body), epoch(before), 'the epoch');
    const step = seq(after.body) - seq(before);
    check(step > 0 && step <= 1 + MARKS, `the number, ${step} later`);
    await r.wait('both events', () => r.events.length >= 2);
    equal(r.notices, ['fresh'], 'notices');
    r.close();
  }, { broker: { durable: true } });

  heavy(one)('a broker that restarts without what it had begins a new epoch', async (g, b) => {
    const r = await fresh(g);
    const before = await publish(g, 'a', 'before');
    await r.wait('the event', () => r.events.length);
    await b.kill();
    await b.again();
    let after;
    await until('a POST', async () => {
      after = await post(g.url, 'a', 'after');
      return after.status === 200;
    });
    check(epoch(after.body) > epoch(before), `${after.body} after ${before}`);
    await r.wait('the event', () => r.events.length >= 2);
    equal(r.notices, ['fresh', 'reset'], 'notices');
    equal(r.events.map((e) => e.data), ['before', 'after'], 'events');
    const old = await open(g, 'a', before);
    await old.wait('the notice', () => old.notices.length);
    equal(old.notices, ['reset'], 'notices of who comes with an old id');
    old.close();
    r.close();
  });

  heavy(one, 'kafka')(
    'without the broker a gateway is healthy for a time, and keeps its streams for twice that',
    async (g, b) => {
      const readers = [];
      for (let i = 0; i < 6; i++) {
        readers.push(await fresh(g));
      }
      await b.kill();
      await until('the gateway to notice', async () => (await metric(g, 'source_up')) === 0);
      equal((await call(`${g.url}/healthz`)).status, 200, 'healthz at first');
      await until('404', async () => (await call(`${g.url}/healthz`)).status === 404, 8_000);
      equal(readers.filter((r) => r.closed).length, 0, 'streams that were closed');
      await until('a stream to end', () => readers.some((r) => r.closed), 8_000);
      await until('all streams to end', () => readers.every((r) => r.closed), 8_000);
      await b.again();
      await healthy(g);
    }, { broker: { durable: true }, args: ['--away-s', 2, '--drain-s', 2], ms: 40_000 });

  heavy(one, 'kafka')(
    'a gateway that hung catches up no faster than its readers can be sent what it has',
    async (g, b) => {
      const h = await start(b);
      const r = await fresh(g);
      await suspend(g.child);
      const total = 3000; // three times what its log holds
      let next = 0;
      await Promise.all([...Array(20).keys()].map(async () => {
        while (next < total) {
          next += 1;
          await publish(h, 'a', 'x'.repeat(240));
        }
      }));
      g.child.kill('SIGCONT');
      await r.wait('all events', () => r.events.length >= total, 30_000);
      equal(r.notices, ['fresh'], 'notices');
      r.close();
      await h.stop();
    }, { args: ['--log', 262144], ms: 60_000 });

  heavy(one, 'kafka')('SIGTERM: /healthz is 404, streams end, then the process', async (g, b) => {
    const h = await startServer(binary, '--port', 0, '--check-ms', 300, '--drain-s', 2, b.url);
    await healthy(h);
    const readers = [];
    for (let i = 0; i < 10; i++) {
      readers.push(await fresh(h));
    }
    const first = readers.map((r) => r.parser.retry);
    const ws = [...Array(3).keys()].map((i) => new WsReader(h.url, TOPICS, i));
    afterTest(() => ws.forEach((r) => r.stop()));
    ws.forEach((r) => r.start());
    await until('the WebSockets', () => ws.every((r) => r.opened === 1));
    h.child.kill('SIGTERM');
    await until('404', async () => (await call(`${h.url}/healthz`)).status === 404, 2_000);
    equal(readers.filter((r) => r.closed).length, 0, 'streams closed before two checks');
    await until('some streams to end', () => readers.some((r) => r.closed), 5_000);
    check(readers.some((r) => !r.closed), 'all ended at once');
    await until('all streams to end', () => readers.every((r) => r.closed), 8_000);
    const how = await h.ended;
    equal(how, { code: 0, signal: null }, 'how it ended');
    // Each is told at its end when to come back, not all at the same time.
    const waits = readers.map((r) => r.parser.retry);
    check(new Set(waits).size > 3, `the times to come back: ${waits}`);
    check(waits.filter((w, i) => w !== first[i]).length > 3, `${waits} are those of the beginning`);
    equal(ws.map((r) => r.codes[0]), [1001, 1001, 1001], 'first close codes');
  });
}

function endings() {
  one('a POST that waits at SIGTERM is answered before the process ends', async (g, b) => {
    await b.signal('SIGSTOP');
    const waits = post(g.url, 'a', 'perhaps');
    await until('it to wait', async () => await metric(g, 'publish_waiting') > 0);
    g.child.kill('SIGTERM');
    const a = await waits;
    equal(a.status, 504, 'status');
    check(a.headers['idempotency-key'], 'no key to repeat it with');
    equal(await g.ended, { code: 0, signal: null }, 'how it ended');
  }, { args: ['--publish-ms', 25000], ms: 40_000 });
}

// -- what a broker may bring (rule: one line, one counter, nobody harmed) -------------------------

function badInput() {
  one('an event that is too large, not UTF-8 or of a foreign topic is counted, and told if missed',
    async (g, b) => {
      const r = await fresh(g);
      await publish(g, 'a', 'first');
      await b.put('a', 'x'.repeat(5000));
      await publish(g, 'a', 'second');
      await b.put('a', Buffer.from([0x61, 0xff]));
      await publish(g, 'a', 'third');
      await b.put('else', 'not for us');
      const last = await publish(g, 'a', 'fourth');
      await r.wait('the last event', () => r.events.some((e) => e.data === 'fourth'));
      equal(r.events.map((e) => e.data), ['first', 'second', 'third', 'fourth'], 'events');
      equal(r.notices, ['fresh', 'gap 1', 'gap 1'], 'notices');
      equal(r.events[3].id, last, 'the id');
      for (const why of ['too_large', 'not_utf8', 'topic']) {
        equal(await metric(g, `source_bad{why="${why}"}`), 1, why);
      }
      for (const words of ['too large', 'not UTF-8', 'not in --topics']) {
        equal(g.output().split(words).length, 2, `lines that say ${words}`);
      }
      r.close();
    });

  test('a port that speaks another protocol, or is silent, is told and tried again', async () => {
    for (const [what, greet] of [['HTTP', (s) => s.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
      ['bytes', (s) => s.end(Buffer.from([0, 255, 13, 10, 42, 57, 57, 57, 57, 57, 13, 10]))],
      ['an end', (s) => s.end()]]) {
      let tries = 0;
      const server = net.createServer((s) => {
        tries += 1;
        s.on('error', () => {});
        s.once('data', () => greet(s));
        s.resume();
      });
      const port = await freePort();
      await new Promise((done) => { server.listen(port, '127.0.0.1', done); });
      afterTest(() => server.close());
      const url = (await broker.nowhere(port));
      const g = await startServer(binary, '--port', 0, '--drain-s', 0, '--check-ms', 0, url);
      await until('three attempts', () => tries >= 3, 20_000);
      equal((await call(`${g.url}/healthz`)).status, 404, `healthz with ${what}`);
      equal(await metric(g, 'source_up'), 0, `source_up with ${what}`);
      equal((await post(g.url, 'a', 'x')).status, 503, `a POST with ${what}`);
      const a = await call(`${g.url}/poll?timeout=1`);
      equal(a.status, 503, `a poll with ${what}`);
      check(/away: /.test(g.output()), `no word of it: ${g.output()}`);
      check(g.output().split('away: ').length <= 4, `too many words: ${g.output()}`);
      await g.stop();
    }
  }, 90_000);
}

function passwords() {
  test('a wrong password is told, and nothing is served', async () => {
    const b = await broker.start({ password: 'right' });
    const wrong = b.url.replace('right', 'wrong');
    const g = await startServer(binary, '--port', 0, '--drain-s', 0, '--check-ms', 0, wrong);
    const words = /away: .*(WRONGPASS|Authorization|ACCESS_REFUSED)/;
    await until('a line', () => words.test(g.output()));
    equal((await call(`${g.url}/healthz`)).status, 404, 'healthz');
    await g.stop();
    const h = await start(b);
    await publish(h, 'a', 'x');
    await h.stop();
  });
}

function overTls() {
  test('over TLS the certificate of the broker is verified, and its name', async () => {
    const b = await broker.start({ secure: true });
    const g = await healthy(await startServer(binary, '--port', 0, '--drain-s', 0, '--check-ms', 0,
      '--ca', b.tls.cert, b.over));
    const r = await fresh(g);
    await publish(g, 'a', 'safe');
    await r.wait('the event', () => r.events.length);
    for (const [what, ...args] of [
      ['another name', '--ca', b.tls.cert, b.overOther],
      ['another authority', b.over],
      ['no file', '--ca', '/nowhere', b.over],
    ]) {
      const h = await startServer(binary, '--port', 0, '--drain-s', 0, '--check-ms', 0, ...args);
      const words = /: (away: (connect|topic ev):|library:) .*(\bssl|\bcert)/i;
      await until(`a line for ${what}`, () => words.test(h.output()));
      equal((await call(`${h.url}/healthz`)).status, 404, `healthz with ${what}`);
      await h.stop();
    }
    r.close();
    await g.stop();
  });
}

// -- several --------------------------------------------------------------------------------------

function together() {
  test('what is posted at one gateway can be read at another with its id, without a notice',
    async () => {
      const b = await broker.start();
      const gs = [await start(b), await start(b)];
      for (let n = 0; n < 30; n++) {
        const id = await publish(gs[n % 2], 'a', `event ${n}`);
        const r = await open(gs[1 - n % 2], 'a', id);
        await r.wait('the notice', () => r.notices.length);
        equal([r.notices, r.events], [['replayed 0'], []], `after ${n}`);
        r.close();
      }
      await Promise.all(gs.map((g) => g.stop()));
    });

  test(`${READERS} readers of three gateways, of which each fails in its way, miss nothing`,
    async () => {
      const b = await broker.start({ durable: true });
      await chaos(b, {
        failure: async () => {
          await b.kill();
          await sleep(random(500));
          await b.again();
        },
      });
    }, CROWD_MS);

  const behind = 'behind nginx miss nothing while gateways are killed and drained';
  heavy(test, 'kafka')(`15 readers ${behind}`, async () => {
    await chaos(await broker.start(), {
      front: startNginx, count: 15, events: 300, stop: false,
    });
  }, 90_000);
}

let state = Number(process.env.SEED ?? Date.now() % 1_000_000);
const seed = state;
function random(limit) { // MINSTD
  state = (state * 48271) % 2147483647;
  return state % limit;
}

// Waits as those who post do: each for some time, or all for the next burst.
function pacer(crowd, lanes, total) {
  if (total < MANY) {
    return () => sleep(random(PACE_MS));
  }
  let posted = 0;
  let burst = null;
  const next = async () => {
    await sleep(BURST_MS);
    await until('readers to have what was posted', async () => (
      posted - (await crowd.look()).least < BEHIND), 60_000);
    burst = null;
  };
  return () => {
    posted += 1;
    burst ??= next();
    return burst;
  };
}

// Readers behind a proxy while each gateway fails in its way, and the source in its own, again and
// again until all is posted. The log and the broker have everything, so nobody is told of anything.
// posts: where events come in.
async function chaos(b, {
  failure = null, posts = null, front = startHaproxy, count = READERS, events = EVENTS, stop = true,
} = {}) {
  const topics = events < MANY ? TOPICS : [...Array(LANES).keys()].map((n) => `t${n}`);
  const ports = [await freePort(), await freePort(), await freePort()];
  const boot = (i) => startServer(binary, '--port', ports[i], '--check-ms', 300, '--drain-s', 2,
    '--log', 1 << 20, '--topics', topics.join(','), b.url);
  const gs = [];
  for (let i = 0; i < 3; i++) {
    gs.push(await healthy(await boot(i)));
  }
  const proxy = await front(ports);
  const url = `http://127.0.0.1:${proxy.port}`;
  await healthy({ url });
  const crowd = new Crowd(url, topics, count);
  afterTest(() => crowd.stop());
  await crowd.allOpen();
  await sleep(300);

  const repeated = {};
  const total = Math.trunc(events / topics.length);
  const pause = pacer(crowd, topics.length, events);
  let done = false;
  const all = Promise.all(topics.map((t) => postAll(posts ?? url, t, (n) => n < total,
    { count: repeated, pause })))
    .finally(() => { done = true; });
  all.catch(() => {}); // it is waited for below
  const acts = [
    async (i) => { // killed, and another one in its place
      gs[i].child.kill('SIGKILL');
      await gs[i].ended;
      await sleep(500 + random(1000));
      gs[i] = await boot(i);
    },
    stop && (async (i) => { // stopped: its streams are silent until the proxy gives it up
      await suspend(gs[i].child);
      await sleep(1_500 + random(1500));
      gs[i].child.kill('SIGCONT');
    }),
    async (i) => { // drained, and another one in its place
      await gs[i].stop();
      gs[i] = await boot(i);
    },
    failure,
  ].filter(Boolean);
  const began = Date.now();
  let rounds = 0;
  do {
    const order = acts.map((act) => [random(1000), act]).sort((x, y) => x[0] - y[0]);
    for (const [, act] of order) {
      await sleep(300 + random(rounds > 0 ? 5000 : 1000));
      const i = random(3);
      await act(i);
      await until('all gateways', async () => (await Promise.all(gs.map((g) => (
        call(`${g.url}/healthz`).catch(() => null))))).every((a) => a?.status === 200), 20_000);
    }
    rounds += 1;
  } while (!done && events >= MANY);
  await all;
  await crowd.haveAll(total, `seed ${seed}`, `posts ${JSON.stringify(repeated)}`);
  if (events >= MANY) {
    const seconds = Math.round((Date.now() - began) / 1000);
    console.log(`    ${total * topics.length} events to ${count} readers in `
      + `${(await crowd.look()).answers} streams, WebSockets and polls: ${seconds} s, `
      + `${rounds} failures of each kind, POSTs repeated: ${JSON.stringify(repeated)}`);
  }
  await crowd.stop();
  await Promise.all(gs.map((g) => g.stop('SIGKILL')));
}

// -- another rtpush as the source -----------------------------------------------------------------

// A device, which is a hub here, and gateways on it.
function onDevice(title, use, { args = [], count = 2, ms } = {}) {
  test(title, async () => {
    const d = await broker.start({ args });
    const gs = [];
    for (let i = 0; i < count; i++) {
      gs.push(await start(d));
    }
    await use(d, gs);
    for (const g of gs) {
      await g.stop();
    }
  }, ms);
}

function device() {
  onDevice('gateways on one device give its ids, with one stream of the device each',
    async (d, gs) => {
      const readers = [await fresh(gs[0]), await fresh(gs[1])];
      const ids = [];
      for (let n = 0; n < 60; n++) {
        ids.push((await post(d.direct, TOPICS[n % 3], `event ${n}`)).body);
      }
      for (const r of readers) {
        await r.wait('60 events', () => r.events.length >= 60);
        equal(r.events.map((e) => e.id), ids, 'ids');
        equal(r.notices, ['fresh'], 'notices');
        r.close();
      }
      const r = await open(gs[1], 'a,b,c', ids[20]);
      await r.wait('the rest', () => r.events.length >= 39);
      equal(r.events.map((e) => e.id), ids.slice(21), 'ids after 20');
      r.close();
      equal(JSON.parse((await call(`${d.direct}/stats`)).body).streams, 2, 'streams of the device');
      equal((await post(gs[0].url, 'a', 'x')).status, 404, 'POST at the gateway');
      const far = await open(gs[0], 'a', idOf(epoch(ids[0]), 5000));
      await far.wait('the notice', () => far.notices.length);
      equal(far.notices, ['reset'], 'of an id in front of everything');
      far.close();
    });

  onDevice('a gateway that starts later has what the log of the device has', async (d) => {
    const ids = [];
    for (let n = 0; n < 30; n++) {
      ids.push((await post(d.direct, 'a', `event ${n}`)).body);
    }
    const g = await start(d);
    const r = await open(g, 'a', ids[3]);
    await r.wait('the rest', () => r.events.length >= 26);
    equal(r.events.map((e) => e.id), ids.slice(4), 'ids');
    equal(r.notices, ['replayed 26'], 'notices');
    r.close();
    await g.stop();
  }, { count: 0 });

  onDevice('a device that restarts is a reset, and what it has then is passed on',
    async (d, [g]) => {
      const r = await fresh(g);
      await post(d.direct, 'a', 'before');
      await r.wait('the event', () => r.events.length);
      await d.kill();
      await d.again();
      const first = (await post(d.direct, 'a', 'after')).body;
      await r.wait('the event', () => r.events.length >= 2);
      equal(r.events.map((e) => e.data), ['before', 'after'], 'events');
      equal(r.events[1].id, first, 'the id');
      equal(r.notices, ['fresh', 'reset'], 'notices');
      r.close();
    }, { count: 1 });

  onDevice('what the device could not give any more is a gap for all readers', async (d, [g]) => {
    const r = await fresh(g);
    await post(d.direct, 'a', 'first');
    await r.wait('the first', () => r.events.length);
    await suspend(g.child);
    let last;
    for (let n = 0; n < 4000; n++) { // more than the buffers of the connection take
      last = (await post(d.direct, 'a', `${n} ${'x'.repeat(900)}`)).body;
    }
    g.child.kill('SIGCONT');
    await r.wait('the last', () => r.events.some((e) => e.id === last), 20_000);
    const missed = r.notices.map((n) => Number(/^gap (\d+)$/.exec(n)?.[1] ?? 0))
      .reduce((a, b) => a + b);
    check(missed > 0, `no gap: ${r.notices}`);
    equal(missed + r.events.length, 4001, `events told and given, with ${r.notices}`);
    r.close();
  }, { count: 1, args: ['--log', 65536], ms: 60_000 });

  test('over TLS the certificate of the device is verified', async () => {
    const d = await broker.start({ secure: true });
    const g = await start(d, '--ca', 'build/cert/ca.pem');
    const r = await fresh(g);
    const { code } = await run('curl', ['-sS', '--cacert', 'build/cert/ca.pem', '-d', 'safe',
      `${d.direct}/publish/a`]);
    equal(code, 0, 'curl');
    await r.wait('the event', () => r.events.length);
    const h = await startServer(binary, '--port', 0, '--drain-s', 0, '--check-ms', 0, d.url);
    await until('a line without --ca', () => /: away: .*certificate/i.test(h.output()));
    equal((await call(`${h.url}/healthz`)).status, 404, 'healthz without --ca');
    r.close();
    await Promise.all([g.stop(), h.stop()]);
  });

  test('what is not the event stream of a rtpush is told and tried again', async () => {
    for (const [what, answer, word] of [
      ['a page', 'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi',
        'text/html'],
      ['404', 'HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno', 'status 404'],
      ['another stream', 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n'
        + 'id: 7\ndata: x\n\n', 'not the event stream'],
      ['bytes', '\0\xff\r\n\r\n', ''], ['an endless line',
        `HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: ${'x'.repeat(200_000)}`,
        '']]) {
      let tries = 0;
      const server = net.createServer((s) => {
        tries += 1;
        s.on('error', () => {});
        s.once('data', () => s.end(Buffer.from(answer, 'latin1')));
      });
      const port = await freePort();
      await new Promise((done) => { server.listen(port, '127.0.0.1', done); });
      afterTest(() => server.close());
      const g = await startServer(binary, '--port', 0, '--drain-s', 0, '--check-ms', 0,
        `http://127.0.0.1:${port}/events`);
      await until('three attempts', () => tries >= 3, 20_000);
      equal((await call(`${g.url}/healthz`)).status, 404, `healthz with ${what}`);
      check(g.output().includes(`away: `) && g.output().includes(word), `${what}: ${g.output()}`);
      await g.stop();
    }
  }, 60_000);

  onDevice('a device that is silent is away, and comes back without a loss', async (d, [g]) => {
    const r = await fresh(g);
    await post(d.direct, 'a', 'before');
    await d.signal('SIGSTOP');
    await until('the gateway to notice', async () => (await metric(g, 'source_up')) === 0, 25_000);
    d.signal('SIGCONT');
    await until('the gateway to be back', async () => (await metric(g, 'source_up')) === 1, 15_000);
    await post(d.direct, 'a', 'after');
    await r.wait('the event', () => r.events.length >= 2);
    equal(r.events.map((e) => e.data), ['before', 'after'], 'events');
    equal(r.notices, ['fresh'], 'notices');
    r.close();
  }, { count: 1, ms: 60_000 });

  test(`${READERS} readers of gateways on a device, of which each fails in its way, miss nothing`,
    async () => {
      const d = await broker.start({ args: ['--log', 1 << 20] });
      await chaos(d, { posts: d.direct });
    }, CROWD_MS);
}

// -- RabbitMQ -------------------------------------------------------------------------------------

function rabbit() {
  test('a queue that is no stream is told, and nothing is taken from it', async () => {
    const b = await broker.start();
    await b.queue();
    await b.foreign('mine');
    const g = await startServer(binary, '--port', 0, '--drain-s', 0, '--check-ms', 0, b.url);
    await until('three attempts', async () => await metric(g, 'source_failures') >= 3);
    check(/away: .*rabbit_classic_queue/.test(g.output()), `no word of it: ${g.output()}`);
    equal((await call(`${g.url}/healthz`)).status, 404, 'healthz');
    equal((await post(g.url, 'a', 'x')).status, 503, 'a POST');
    await g.stop();
    equal(await b.get(), 'mine', 'the first message');
    await b.getNone();
  });

  one('a message that did not come by the exchange is counted and passed over',
    async (g, b) => {
      const r = await fresh(g);
      const before = await publish(g, 'a', 'before');
      await b.foreign('to the queue');
      const after = await publish(g, 'a', 'after');
      await r.wait('the event', () => r.events.some((e) => e.id === after));
      equal(r.events.map((e) => e.id), [before, after], 'ids');
      equal(r.notices, ['fresh'], 'notices');
      equal(await metric(g, 'source_bad{why="form"}'), 1, 'counted');
      r.close();
    });

  heavy(one)('while RabbitMQ has no memory a POST is 504 or 503, and readers stay',
    async (g, b) => {
      const r = await fresh(g);
      await publish(g, 'a', 'before');
      await b.alarm(true);
      const first = await post(g.url, 'a', 'perhaps', { 'Idempotency-Key': 'perhaps' });
      check(first.status === 503 || first.status === 504, `status ${first.status}`);
      await until('503', async () => (await post(g.url, 'a', 'lost')).status === 503);
      await b.alarm(false);
      await until('200', async () => (await post(g.url, 'a', 'perhaps',
        { 'Idempotency-Key': 'perhaps' })).status === 200, 20_000);
      await publish(g, 'a', 'after');
      await r.wait('the event', () => r.events.some((e) => e.data === 'after'));
      equal(r.events.filter((e) => e.data === 'perhaps').length, 1, 'times that it came');
      equal(r.notices, ['fresh'], 'notices');
      r.close();
    }, { args: ['--publish-ms', 2000], ms: 90_000 });

  heavy(one)('a stream that went back and has grown since is a reset', async (g, b) => {
    const r = await fresh(g);
    await publish(g, 'a', 'kept');
    await b.snapshot();
    const ids = [];
    await until('three events', async () => {
      const a = await post(g.url, 'a', `gone ${ids.length}`);
      ids.push(...(a.status === 200 ? [a.body] : []));
      return ids.length === 3;
    });
    await r.wait('them', () => r.events.length >= 4);
    await suspend(g.child);
    await b.rollback();
    const h = await start(b); // that has seen nothing of what is gone
    for (let n = 0; n < 20; n++) {
      equal(epoch(await publish(h, 'a', `other ${n}`)), epoch(ids[0]), 'the epoch as before');
    }
    g.child.kill('SIGCONT');
    await r.wait('a reset', () => r.notices.includes('reset'), 20_000);
    await until('the same epoch at both', async () => {
      const [x, y] = [await post(g.url, 'a', 'x'), await post(h.url, 'a', 'y')];
      return x.status === 200 && y.status === 200 && epoch(x.body) === epoch(y.body)
        && epoch(x.body) > epoch(ids[0]);
    });
    r.close();
    await h.stop();
  }, { ms: 120_000 });
}

// -- Kafka ----------------------------------------------------------------------------------------

function kafka() {
  const away = async (url, words) => {
    const g = await startServer(binary, '--port', 0, '--drain-s', 0, '--check-ms', 0, url);
    await until('a line', () => /away: /.test(g.output()), 20_000);
    check(words.test(g.output()), `another word: ${g.output()}`);
    equal((await call(`${g.url}/healthz`)).status, 404, 'healthz');
    equal((await post(g.url, 'a', 'x')).status, 503, 'a POST');
    return g;
  };

  test('a topic with several partitions is refused', async () => {
    const b = await broker.start();
    const g = await away(b.url.replace('/ev?', '/wide?'),
      /away: topic wide has 4 partitions: it must have one/);
    await g.stop();
  });

  test('a topic that is missing is told, and read once it is there', async () => {
    const b = await broker.start();
    await b.say('topic ev.epoch 3');
    const g = await away(b.url, /away: topic ev\.epoch: Broker: Unknown topic or partition/);
    await b.say('topic ev.epoch 0');
    await healthy(g);
    await publish(g, 'a', 'x');
    await g.stop();
  });

  test('of several brokers one that cannot be reached is no harm', async () => {
    const b = await broker.start();
    const g = await start({ url: b.url.replace('//', `//127.0.0.1:${await freePort()},`) });
    const r = await fresh(g);
    const id = await publish(g, 'a', 'x');
    await r.wait('the event', () => r.events.some((e) => e.id === id));
    await sleep(1000);
    check(await metric(g, 'source_connects') <= 2, 'it connects again and again');
    r.close();
    await g.stop();
  });

  test('a file of properties counts, and one that cannot be is refused', async () => {
    const b = await broker.start();
    const at = await folder('config');
    const url = `kafka://${b.server}/ev?config=${at}/c`;
    for (const [text, words] of [['a', /line 1: expected/], ['\n#\nno.such=1', /line 3: .*no.such/],
      ['client.id=x\nacks=9999999', /line 2: /]]) {
      await writeFile(`${at}/c`, text);
      const { code, text: said } = await run(binary, [url]);
      check(code !== 0 && words.test(said), `${text}: ${code} ${said}`);
    }
    equal((await run(binary, [`${url}no`])).code, 1, 'without the file');
    for (const bad of ['kafka://me:secret@x/y', 'kafka:/x', 'kafka://x/a/b', `${url}?config=`]) {
      const { code, text: said } = await run(binary, [bad]);
      check(code !== 0 && !said.includes('secret'), `${bad}: ${code} ${said}`);
    }
    await writeFile(`${at}/c`, 'security.protocol=ssl\n');
    const g = await away(url, /away: topic ev: ssl:/);
    await g.stop();
  });

  one('a POST that Kafka refuses, or does not take at once, is answered by its word',
    async (g, b) => {
      const r = await fresh(g);
      const sent = async (text, status) => {
        const a = await post(g.url, 'a', text);
        equal(a.status, status, `status of ${text}: ${a.body}`);
      };
      await b.say('fail 0 6 2'); // NOT_LEADER_OR_FOLLOWER: not stored
      await sent('not the leader', 200);
      await b.say('fail 0 20 1'); // NOT_ENOUGH_REPLICAS_AFTER_APPEND: perhaps stored
      await sent('perhaps', 200);
      await b.say('fail 0 -195 1'); // closes the connection
      await sent('closed', 200);
      await b.say('fail 0 29 1'); // TOPIC_AUTHORIZATION_FAILED
      await sent('forbidden', 503);
      await b.say('fail 0 10 1'); // MESSAGE_TOO_LARGE
      await sent('large', 503);
      await sent('last', 200);
      equal(await metric(g, 'publish{outcome="refused"}'), 2, 'refused');
      await r.wait('the last', () => r.events.some((e) => e.data === 'last'));
      equal(r.events.map((e) => e.data), ['not the leader', 'perhaps', 'closed', 'last'], 'events');
      equal(r.notices, ['fresh'], 'notices');
      r.close();
    });

  one('errors while the topic is read lose nothing', async (g, b) => {
    const r = await fresh(g);
    let n = 0;
    for (const what of ['1 1', '1 3', '1 6', '1 -195', '1 7', '2 6', '3 -195']) {
      await b.say(`fail ${what} 2`);
      await b.put('b', `${n++}`);
      await until('a POST', async () => (await post(g.url, 'a', `${n}`)).status === 200);
      n++;
    }
    const last = await publish(g, 'a', `${n++}`);
    await r.wait('the last', () => r.events.some((e) => e.id === last));
    equal(r.events.map((e) => e.data), [...Array(n).keys()].map(String), 'events');
    equal(r.notices, ['fresh'], 'notices');
    r.close();
  });

  one('a broker that is silent is away, and comes back without a loss', async (g, b) => {
    const r = await fresh(g);
    await publish(g, 'a', 'before');
    await b.signal('SIGSTOP');
    await until('the gateway to notice', async () => (await metric(g, 'source_up')) === 0, 25_000);
    b.signal('SIGCONT');
    await until('a POST', async () => (await post(g.url, 'a', 'after')).status === 200, 20_000);
    await r.wait('the event', () => r.events.length >= 2);
    equal(r.events.map((e) => e.data), ['before', 'after'], 'events');
    equal(r.notices, ['fresh'], 'notices');
    r.close();
  }, { ms: 60_000 });

  one('a topic that begins anew and is longer soon is a reset', async (g, b) => {
    const r = await fresh(g);
    const before = await publish(g, 'a', 'before');
    await r.wait('it', () => r.events.length);
    await suspend(g.child);
    await b.kill();
    await b.again();
    for (let n = 0; n < 3; n++) {
      await b.put('a', `other ${n}`);
    }
    g.child.kill('SIGCONT');
    await r.wait('a reset', () => r.notices.includes('reset') || r.events.length > 1, 20_000);
    equal([r.notices, r.events.length], [['fresh', 'reset'], 1], 'notices and events');
    const after = await publish(g, 'a', 'after');
    check(epoch(after) > epoch(before), `${after} after ${before}`);
    await r.wait('it', () => r.events.some((e) => e.id === after));
    r.close();
  });

  one('a gateway that starts has the newest value of a STATE topic', async (g, b) => {
    await publish(g, 't', '20');
    await b.put('t', '21');
    await publish(g, 'a', 'x');
    const h = await start(b, '--state', 't');
    const r = await open(h, 'a,t');
    await r.wait('the value', () => r.events.length);
    equal(r.events.map((e) => [e.event, e.data]), [['t', '21']], 'events');
    r.close();
    await h.stop();
  }, { args: ['--state', 't'] });

  test('gateways that begin at the same time have one epoch, and the last record counts',
    async () => {
      const b = await broker.start();
      const gs = await Promise.all([1, 2, 3].map(() => start(b)));
      const same = async () => new Set(await Promise.all(gs.map(async (g) => (
        epoch(await publish(g, 'a', 'x')))))).size === 1;
      check(await same(), 'several epochs');
      const now = epoch(await publish(gs[0], 'a', 'x'));
      const readers = await Promise.all(gs.map((g) => fresh(g)));
      for (const bad of ['no', '0 0', '4294967295 0', `${'9'.repeat(60)} 1`]) {
        await b.put('ev', bad, 'ev.epoch'); // no records
      }
      await b.put('ev', `${now + 9} 1`, 'ev.epoch');
      for (const r of readers) {
        await r.wait('a reset', () => r.notices.includes('reset'));
        equal(r.notices, ['fresh', 'reset'], 'notices');
        r.close();
      }
      check(await same(), 'several epochs');
      equal(epoch(await publish(gs[2], 'a', 'x')), now + 9, 'the epoch');
      await b.kill(); // with all that it had
      await b.again();
      let answers;
      await until('one epoch, a new one', async () => {
        answers = await Promise.all(gs.map((g) => post(g.url, 'a', 'x')));
        return answers.every((a) => a.status === 200 && epoch(a.body) > now + 9)
          && new Set(answers.map((a) => epoch(a.body))).size === 1;
      }, 20_000).catch((error) => {
        const all = gs.map((g, i) => (
          `${answers[i].status} ${answers[i].body.trim()}: ${g.output().slice(-800)}`));
        throw new Error(`${error.message}; ${now + 9} was before\n${all.join('\n')}`);
      });
      check(await same(), 'several epochs again');
      for (const g of gs) {
        await g.stop();
      }
    });
}

// -- sources without a broker, access, options ----------------------------------------------------

function alone() {
  test('standard input is a source: a line an event', async () => {
    const at = await folder('lines');
    const { code, text } = await run('sh', ['-c', `mkfifo ${at}/in
      ${binary} --port 0 --topics a,b --check-ms 0 --drain-s 0 - <${at}/in >${at}/out 2>&1 &
      pid=$!; exec 3>${at}/in
      for i in 1 2 3 4 5 6 7 8 9 10; do grep -q ready ${at}/out && break; sleep 0.2; done
      url=$(grep -o 'http://[0-9.:]*' ${at}/out)
      (sleep 0.5; printf 'a one\\nelse no\\nb two words\\nbad\\na three\\n' >&3) &
      curl -s --max-time 2 "$url/events?topics=a,b"
      curl -s --max-time 1 "$url/events?topics=a,b&last_event_id=00000005-00000005"
      kill $pid; wait $pid`], { ms: 25_000 });
    const parser = new EventParser();
    parser.push(text);
    equal(parser.events.filter((e) => e.event !== 'rtpush').map((e) => `${e.event}: ${e.data}`),
      ['a: one', 'b: two words', 'a: three'], `events of ${code}`);
    equal(noticesOf(parser.events), ['fresh', 'reset'], 'notices; an id of another start is reset');
  });

  one('a clock of Redis that was set back does not keep anybody from publishing', async (g, b) => {
    await publish(g, 'a', 'before');
    const ahead = Math.trunc(Date.now() / 1000) + 3600;
    await b.cli(['XADD', 'ev', `${ahead}-0`, 'epoch', `${ahead}`]);
    equal(epoch(await publish(g, 'a', 'after')), ahead, 'the epoch');
  });

  test('a token says which topics may be read and published, and ends the stream', async () => {
    const at = await folder('key');
    const key = 'k'.repeat(40);
    await writeFile(`${at}/key`, `${key}\n`);
    const b = await broker.start();
    const g = await start(b, '--jwt-key', `${at}/key`, '--jwt-aud', 'me');
    const now = Math.trunc(Date.now() / 1000);
    const make = (claims) => token({ aud: 'me', exp: now + 600, ...claims }, key);
    const ask = async (claims, topic) => (
      await post(g.url, topic, 'x', { Authorization: `Bearer ${make(claims)}` })).status;
    equal((await post(g.url, 'a', 'x')).status, 401, 'no token');
    equal((await call(`${g.url}/poll?timeout=1`)).status, 401, 'no token');
    equal(await ask({ publish: 'a', exp: now - 60 }, 'a'), 401, 'an old token');
    equal(await ask({ publish: 'a', aud: 'you' }, 'a'), 401, 'for somebody else');
    equal(await ask({ publish: 'b,c' }, 'a'), 403, 'another topic');
    equal(await ask({ topics: '*' }, 'a'), 403, 'only to read');
    for (const [claims, query, status] of [[{ topics: 'b', publish: 'b' }, 'topics=a', 403],
      [{ topics: '*', publish: 'b' }, 'topics=a&publish=a', 403],
      [{ topics: '*', publish: 'b' }, 'topics=a&publish=b', 101]]) {
      const c = connect(g.port);
      c.write(`GET /ws?${query}&token=${make(claims)} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n`
        + 'Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n'
        + 'Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n');
      await c.until(`${status} for a WebSocket with ${query}`,
        (text) => text.startsWith(`HTTP/1.1 ${status} `));
      c.socket.destroy();
    }
    const soon = Math.trunc(Date.now() / 1000) + 6;
    const r = await openEvents(
      `${g.url}/events?topics=a,b&token=${make({ topics: 'b', exp: soon })}`);
    equal(r.status, 200, 'status of a stream');
    equal(await ask({ publish: 'a,b' }, 'a'), 200, 'a');
    equal(await ask({ publish: '*' }, 'b'), 200, 'b');
    await r.wait('the event', () => r.events.length);
    await until('its end', () => r.closed, 12_000);
    equal(r.events.map((e) => e.event), ['b'], 'events');
    equal(r.notices.at(-1), 'expired', 'the last notice');
    const none = await call(`${g.url}/poll?timeout=1&topics=a&token=${make({ topics: 'b' })}`);
    equal(none.status, 403, 'only a foreign topic');
    equal((await call(`${g.url}/healthz`)).status, 200, '/healthz');
    await g.stop();
  }, 60_000);

  // A name of the DNS has at most 253 characters.
  test('a page of a listed site reads every answer, however long its name is', async () => {
    const site = `https://${`${'x'.repeat(62)}.`.repeat(4)}y:65535`;
    const b = await broker.start();
    const g = await start(b, '--origins', site);
    const asked = { Origin: site };
    const key = { 'Idempotency-Key': 'k'.repeat(64), ...asked };
    for (const [status, path, method, headers] of [
      [200, 'publish/a', 'POST', key], [404, 'publish/none', 'POST', key],
      [413, 'publish/a', 'POST', key], [405, 'publish/a', 'GET', asked],
      [204, 'publish/a', 'OPTIONS', { 'Access-Control-Request-Method': 'POST', ...asked }],
      [200, 'poll?timeout=0', 'GET', asked], [404, 'poll?topics=none', 'GET', asked],
      [426, 'ws', 'GET', asked], [200, 'healthz', 'GET', asked], [200, 'metrics', 'GET', asked],
      [404, 'presence', 'GET', asked]]) {
      const body = status === 413 ? 'x'.repeat(4097) : 'x';
      const a = await call(`${g.url}/${path}`,
        { method, headers, body: method === 'POST' ? body : undefined });
      equal([a.status, a.headers['access-control-allow-origin']], [status, site],
        `${method} /${path}`);
    }
    const r = await openEvents(`${g.url}/events?topics=a`, { headers: asked });
    equal([r.status, r.headers['access-control-allow-origin']], [200, site], 'a stream');
    r.close();
    await g.stop();
  });

  test('options and environment that cannot be are refused with a line', async () => {
    for (const args of [[], ['x://y'], ['--port', '70000', '-'], ['--what', '-'], ['--log'],
      ['--jwt-key', '/nonexistent', '-'], ['-', '-']]) {
      const { code, text } = await run(binary, args);
      check(code !== 0 && text.length > 20, `${args}: ${code} ${text}`);
    }
    const at = await folder('key');
    await writeFile(`${at}/key`, 'k'.repeat(257));
    const long = `https://${'x'.repeat(60)}.example,`.repeat(30);
    for (const args of [['--jwt-key', `${at}/key`, '-'], ['--origins', long, '-']]) {
      const { code, text } = await run(binary, args);
      check(code !== 0 && /256 bytes|too long/.test(text), `${args}: ${code} ${text}`);
    }
    for (const args of [['rediss://:secret@x/y'], ['-', 'redis://:secret@x/y']]) {
      const { code, text } = await run(binary, args);
      check(code !== 0 && /redis/.test(text) && !text.includes('secret'), `${args}: ${text}`);
    }
    const { code, text } = await run('env', ['GATEWAY_PORT=none', binary, '-']);
    check(code !== 0 && /port/.test(text), `environment: ${code} ${text}`);
    const none = await run(binary, []);
    check(none.code !== 0 && /no SOURCE is named/.test(none.text), none.text);
    equal((await run(binary, ['--help'])).code, 0, '--help');
  });
}

if (name === 'nats') {
  test('a topic that cannot be a part of a subject is refused', async () => {
    for (const topic of ['.a', 'a.', 'a..b', '.']) {
      const { code, text } = await run(binary, ['--topics', `x,${topic}`, broker.nowhere(1)]);
      check(code !== 0 && /no subject/.test(text), `${topic}: ${code} ${text}`);
    }
  });
}
if (name === 'http') {
  device();
} else {
  publishing();
  restarts();
  if (name !== 'kafka') {
    goesBack();
  }
  endings();
  badInput();
  if (name !== 'kafka') {
    passwords();
  }
  if (['nats', 'rabbit'].includes(name) || (name === 'kafka' && process.env.LONG === '1')) {
    overTls();
  }
  together();
}
if (name === 'rabbit') {
  rabbit();
}
if (name === 'kafka') {
  kafka();
}
if (name === 'redis') {
  alone();
}
await broker.prepare?.();
runAll(only);
