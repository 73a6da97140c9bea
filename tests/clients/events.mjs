// Server-Sent Events: order, resume, gaps and resets, state, and readers that do not read.
import { EventSource } from 'eventsource';
import {
  afterTest, call, check, equal, noticesOf, openEvents, sleep, startProxy, startServer, test, until,
  withServer,
} from './harness.mjs';

export const ID = /^[0-9a-f]{8}-[0-9a-f]{8}$/;

let binary;
const hub = (name, use, args = [], ms) => test(name, () => (
  withServer(binary, ['--port', 0, ...(args.length ? args : ['--topics', 'a,b'])], use)), ms);

export async function publish(s, topic, body) {
  const a = await call(`${s.url}/publish/${topic}`, { method: 'POST', body });
  check(a.status >= 200 && a.status < 300, `publish: ${a.status} ${a.body}`);
  return a.body.match(/[0-9a-f]{8}-[0-9a-f]{8}/)?.[0];
}

const sequence = (id) => parseInt(id.slice(9), 16);
export const numbered = (n, from = 0) => [...Array(n).keys()].map((i) => `event ${from + i}`);
const datas = (stream) => stream.events.map((e) => e.data);

function order() {
  hub('a new reader is told fresh, then gets every event in order', async (s) => {
    await publish(s, 'a', 'before');
    const r = await openEvents(`${s.url}/events?topics=a,b`);
    equal(r.status, 200, 'status');
    check(/^text\/event-stream/.test(r.headers['content-type']), r.headers['content-type']);
    equal(r.headers['cache-control'], 'no-store, no-transform', 'Cache-Control');
    equal(r.headers['x-accel-buffering'], 'no', 'X-Accel-Buffering');
    await r.wait('the notice', () => r.notices.length);
    const ids = [];
    for (const [i, text] of numbered(50).entries()) {
      ids.push(await publish(s, i % 2 ? 'a' : 'b', text));
    }
    await r.wait('50 events', () => r.events.length >= 50);
    equal(r.notices, ['fresh'], 'notices');
    equal(datas(r), numbered(50), 'data');
    equal(r.events.map((e) => e.id), ids, 'ids');
    equal(r.events.map((e) => e.event), ids.map((_, i) => (i % 2 ? 'a' : 'b')), 'event names');
    check(ids.every((id) => ID.test(id)), 'an id has the wrong form');
    r.close();
  });

  hub('a reader of one topic does not get the others', async (s) => {
    const r = await openEvents(`${s.url}/events?topics=b`);
    await r.wait('the notice', () => r.notices.length);
    for (const [i, text] of numbered(20).entries()) {
      await publish(s, i % 2 ? 'a' : 'b', text);
    }
    await r.wait('10 events', () => r.events.length >= 10);
    await sleep(100);
    equal(datas(r), numbered(20).filter((_, i) => i % 2 === 0), 'data');
    r.close();
  });

  hub('data of many lines, spaces and no bytes arrives as it was', async (s) => {
    const r = await openEvents(`${s.url}/events?topics=a`);
    await r.wait('the notice', () => r.notices.length);
    const texts = ['two\nlines', ' a space first', ':colon', 'data: x', '\u20ac \u{1f600}', '\n',
      'ends\n', '\n\nstarts', 'x'.repeat(3000), `${'line\n'.repeat(100)}end`, 'tab\tend'];
    for (const text of texts) {
      await publish(s, 'a', text);
    }
    await r.wait('all events', () => r.events.length >= texts.length);
    equal(datas(r), texts, 'data');
    // CR and CRLF are line ends too (WHATWG HTML 9.2.6), so a reader gets LF in their place.
    await publish(s, 'a', 'one\rtwo\r\nthree');
    await r.wait('the last event', () => r.events.length > texts.length);
    equal(datas(r).pop(), 'one\ntwo\nthree', 'data');
    r.close();
  });

  hub('the package eventsource reads line ends of every kind as they are meant', async (s) => {
    const source = new EventSource(`${s.url}/events?topics=a`);
    const got = [];
    source.addEventListener('a', (e) => got.push(e.data));
    await until('the stream', () => source.readyState === 1);
    const texts = ['one\rtwo\r\nthree\nfour', '\r\n', '\r', '\n\r', 'a\r\r\nb\r',
      `${'x\r\n'.repeat(3000)}end`];
    for (const text of texts) {
      await publish(s, 'a', text);
    }
    await until('all events', () => got.length >= texts.length);
    source.close();
    equal(got, texts.map((t) => t.replace(/\r\n|\r/g, '\n')), 'data');
  }, ['--topics', 'a,b', '--max', '20000']);

  hub('several readers see the same events with the same ids', async (s) => {
    const url = `${s.url}/events?topics=a`;
    const readers = await Promise.all(numbered(5).map(() => openEvents(url)));
    await Promise.all(readers.map((r) => r.wait('the notice', () => r.notices.length)));
    for (const text of numbered(30)) {
      await publish(s, 'a', text);
    }
    for (const r of readers) {
      await r.wait('30 events', () => r.events.length >= 30);
      equal(r.events, readers[0].events, 'events');
      r.close();
    }
  });
}

function resume() {
  hub('a reader that comes back with its last id gets what it missed, once', async (s) => {
    const r = await openEvents(`${s.url}/events?topics=a`);
    await r.wait('the notice', () => r.notices.length);
    await publish(s, 'a', 'event 0');
    await r.wait('an event', () => r.events.length);
    r.close();
    for (const text of numbered(9, 1)) {
      await publish(s, 'a', text);
    }
    for (const how of ['header', 'query']) {
      const id = r.events[0].id;
      const again = how === 'header'
        ? await openEvents(`${s.url}/events?topics=a`, { lastId: id })
        : await openEvents(`${s.url}/events?topics=a&last_event_id=${id}`);
      await again.wait('9 events', () => again.events.length >= 9);
      await sleep(50);
      equal(datas(again), numbered(9, 1), `data by ${how}`);
      equal(again.notices, ['replayed 9'], `notices by ${how}`);
      again.close();
    }
  });

  hub('a stream cut at any byte is continued without loss or repetition', async (s) => {
    const total = 120;
    const got = [];
    const first = await openEvents(`${s.url}/events?topics=a`);
    await first.wait('the notice', () => first.notices.length);
    let last = first.parser.lastId;
    first.close();
    check(ID.test(last), `the notice has the id ${last}`);
    let published = 0;
    const publisher = (async () => {
      for (; published < total; published++) {
        await publish(s, 'a', `event ${published} ${'.'.repeat(published % 60)}`);
        await sleep(8);
      }
    })();
    let seed = 1;
    for (let round = 0; got.length < total; round++) {
      check(round < 400, `only ${got.length} events after ${round} connections`);
      const r = await openEvents(`${s.url}/events?topics=a`, { lastId: last });
      seed = (seed * 1103515245 + 12345) % 2147483648;
      const limit = 1 + (seed % 700);
      let bytes = 0;
      r.response.on('data', (text) => {
        bytes += text.length;
      });
      const end = Date.now() + 150;
      await until('bytes', () => bytes >= limit || Date.now() > end || r.events.length + got.length
        >= total);
      r.close();
      check(!r.error, r.error?.message);
      check(r.notices.every((n) => /^replayed \d+$/.test(n)), `notices ${r.notices}`);
      got.push(...r.events);
      last = r.parser.lastId || last;
    }
    await publisher;
    equal(got.map((e) => Number(e.data.split(' ')[1])), [...Array(total).keys()], 'events');
    equal(new Set(got.map((e) => e.id)).size, total, 'different ids');
  }, ['--topics', 'a', '--log', 65536], 60_000);

  hub('EventSource comes back by itself after cuts, with nothing lost or twice', async (s) => {
    const proxy = await startProxy(s.port);
    const source = new EventSource(`${proxy.url}/events?topics=a`);
    afterTest(() => source.close());
    const got = [];
    const notices = [];
    source.addEventListener('a', (e) => got.push(e.data));
    source.addEventListener('rtpush', (e) => {
      notices.push(...noticesOf([{ event: 'rtpush', data: e.data }]));
    });
    await until('the notice', () => notices.length);
    for (let n = 0; n < 60; n++) {
      await publish(s, 'a', `event ${n}`);
      if (n === 20 || n === 40) {
        await until('all so far', () => got.length > n, 15_000);
        proxy.cut();
      }
    }
    await until('60 events', () => got.length >= 60, 20_000);
    await sleep(100);
    equal(got, numbered(60), 'events');
    equal(notices[0], 'fresh', 'first notice');
    check(notices.slice(1).every((n) => /^replayed \d+$/.test(n)), `notices ${notices}`);
    source.close();
    proxy.close();
  }, ['--topics', 'a', '--log', 65536], 45_000);

  hub('a reader that was away for longer than the log lasts is told how many it missed',
    async (s) => {
      const r = await openEvents(`${s.url}/events?topics=a`);
      await r.wait('the notice', () => r.notices.length);
      const id = await publish(s, 'a', 'known');
      await r.wait('an event', () => r.events.length);
      r.close();
      let last;
      for (const text of numbered(200)) {
        last = await publish(s, 'a', `${text} ${'.'.repeat(90)}`);
      }
      const again = await openEvents(`${s.url}/events?topics=a`, { lastId: id });
      await again.wait('the newest event', () => again.events.some((e) => e.id === last));
      equal(again.notices.length, 1, 'notices');
      const missed = Number(/^gap (\d+)$/.exec(again.notices[0])?.[1]);
      check(missed > 0, `notice ${again.notices[0]}`);
      equal(missed + again.events.length, 200, 'missed and received');
      equal(again.events.map((e) => sequence(e.id)), again.events.map((_, i) => (
        sequence(last) - again.events.length + 1 + i)), 'sequence');
      again.close();
    }, ['--topics', 'a', '--log', 4096], 60_000);

  test('a reader from before a restart is told reset, and goes on with the new epoch', async () => {
    const first = await startServer(binary, '--port', 0, '--topics', 'a');
    const proxy = await startProxy(first.port);
    const source = new EventSource(`${proxy.url}/events?topics=a`);
    afterTest(() => source.close());
    const got = [];
    source.addEventListener('a', (e) => got.push(e));
    source.addEventListener('rtpush', (e) => e.data && got.push(e));
    await until('the notice', () => got.length);
    await publish(first, 'a', 'old');
    await until('the event', () => got.length === 2);
    await first.stop();
    const second = await startServer(binary, '--port', 0, '--topics', 'a');
    proxy.aim(second.port);
    proxy.cut();
    await until('the notice', () => got.length === 3, 20_000);
    await publish(second, 'a', 'new');
    await until('the event', () => got.length === 4);
    equal(got.map((e) => e.data), ['fresh 5', 'old', 'reset 5', 'new'], 'events');
    check(got[1].lastEventId.slice(0, 8) !== got[3].lastEventId.slice(0, 8), 'equal epochs');
    source.close();
    proxy.close();
    await second.stop();
  }, 45_000);

  hub('ids that are no ids, of the future or of another epoch are told reset', async (s) => {
    const id = await publish(s, 'a', 'x');
    for (const lastId of ['garbage', `${id}0`, `${id.slice(0, 8)}-ffffffff`, '-', '0',
      `00000001-${id.slice(9)}`]) {
      const r = await openEvents(`${s.url}/events?topics=a`, { lastId });
      equal(r.status, 200, 'status');
      await r.wait('the notice', () => r.notices.length);
      equal(r.notices, ['reset'], `notices after ${lastId}`);
      r.close();
    }
  });
}

function states() {
  const args = ['--topics', 'a', '--state', 'x,y'];

  hub('a new reader gets the current values of state topics, and only those', async (s) => {
    for (const value of ['1', '2', '3']) {
      await publish(s, 'x', value);
    }
    const r = await openEvents(`${s.url}/events?topics=a,x,y`);
    await r.wait('the value', () => r.events.length);
    await sleep(100);
    equal(r.events.map((e) => [e.event, e.data]), [['x', '3']], 'events');
    await publish(s, 'y', 'why');
    await r.wait('the other value', () => r.events.length === 2);
    equal(r.events[1].data, 'why', 'value');
    r.close();
  }, args);

  hub('a reader that comes back gets the values that are newest', async (s) => {
    const id = await publish(s, 'a', 'event');
    await publish(s, 'x', 'newest');
    const r = await openEvents(`${s.url}/events?topics=a,x`, { lastId: id });
    await r.wait('the value', () => r.events.some((e) => e.event === 'x'));
    equal(r.events.filter((e) => e.event === 'x').map((e) => e.data), ['newest'], 'values');
    r.close();
  }, args);

  hub('a state value never goes back, and the last one always arrives', async (s) => {
    const r = await openEvents(`${s.url}/events?topics=x`);
    await r.wait('the notice', () => r.notices.length);
    await Promise.all([...Array(4).keys()].map(async (lane) => {
      for (let n = lane; n < 100; n += 4) {
        await publish(s, 'x', String(n));
      }
    }));
    await publish(s, 'x', 'last');
    await r.wait('the last value', () => r.events.at(-1)?.data === 'last');
    check(r.events.length >= 2, `only ${r.events.length} values arrived`);
    r.close();
  }, args);
}

function slowness() {
  hub('a reader that does not read delays nobody, and is told or dropped', async (s) => {
    const slow = await openEvents(`${s.url}/events?topics=a`, { pause: true });
    const quick = await openEvents(`${s.url}/events?topics=a`);
    await quick.wait('the notice', () => quick.notices.length);
    const total = 400; // more than the kernel holds for a connection
    const body = '.'.repeat(12_000);
    for (let n = 0; n < total;) {
      // As many at once as the log holds: none waits for the reader that is asleep.
      const some = [...Array(4).keys()].map((i) => n + i);
      n += some.length;
      await Promise.all(some.map((i) => publish(s, 'a', `${i} ${body}`)));
      await quick.wait(`${n} events`, () => quick.events.length >= n, 5_000);
    }
    equal(quick.notices, ['fresh'], 'notices of the quick reader');
    slow.listen();
    slow.response.resume();
    // Each of its events must be one that was published, in order, and what is left out is told.
    await until('the slow reader to know', () => slow.closed || slow.response.complete
      || slow.events.some((e) => e.data.startsWith(`${total - 1} `))
      || slow.notices.some((n) => n.startsWith('gap')), 15_000);
    check(!slow.error, slow.error?.message);
    const ids = slow.events.map((e) => sequence(e.id));
    check(ids.every((id, i) => i === 0 || id > ids[i - 1]), 'its events are out of order');
    quick.close();
    slow.close();
  }, ['--topics', 'a', '--log', 65536, '--max', 16_000], 90_000);

  hub('two topics published at full speed reach a reader whole or as a gap told', async (s) => {
    const r = await openEvents(`${s.url}/events?topics=a,b`);
    await r.wait('the notice', () => r.notices.length);
    await Promise.all([...Array(6).keys()].map(async (lane) => {
      for (let n = 0; n < 50; n++) {
        await publish(s, lane % 2 ? 'a' : 'b', `${lane}:${n}:${'.'.repeat((n * 37) % 900)}`);
      }
    }));
    const last = await publish(s, 'a', 'last');
    await r.wait('the last', () => r.events.at(-1)?.id === last, 15_000);
    const told = r.notices.reduce((sum, n) => sum + Number(/^gap (\d+)$/.exec(n)?.[1] ?? 0), 0);
    equal(r.events.length + told, 301, 'received and told as missed');
    r.close();
  }, [], 45_000);
}

export default function suite(path) {
  binary = path;
  order();
  resume();
  states();
  slowness();
}
