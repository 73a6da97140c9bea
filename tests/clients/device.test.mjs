// The dashboard's application where it really runs: firmware on an emulated board, or this machine.
//     node tests/clients/device.test.mjs '{"board":"lm3s6965evb","elf":"...","seedAt":"0x..."}'
//     node tests/clients/device.test.mjs '{"binary":"build/dashboard"}' [PART OF A TEST NAME]
// Over TLS with RTPUSH_TLS and the test CA, see harness.mjs.
// "minute": seconds of the long test (60), "quick": true leaves out what takes long.
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import {
  call, check, connect, equal, openEvents, parseAnswer, request, runAll, secure, sleep, startProxy,
  test, until,
} from './harness.mjs';
import {
  command, curl, openPoll, openSource, openStalled, openWebSocket, startTarget,
} from './device.mjs';

const how = JSON.parse(process.argv[2] ?? '{}');
if (!how.binary && !how.elf) {
  console.log('usage: device.test.mjs \'{"board":..., "elf":...}\' | \'{"binary":...}\' [PART]');
  process.exit(2);
}
const STALL = fileURLToPath(new URL('../device/stall.py', import.meta.url));
const MINUTE = how.minute ?? 60;

// A target of its own for every test, so that each begins with all pools free.
const on = (name, use, ms = 60_000) => test(name, async () => {
  const device = await startTarget(how);
  await use(device);
  device.alive();
  check(!/fault|assert/i.test(device.log()), `the log says: ${device.log().slice(-800)}`);
  await device.stop();
}, ms);

const slowly = how.quick ? () => {} : on;
const emulated = how.elf ? on : () => {};
// What fills the buffers on the way takes an emulated processor minutes to encrypt.
const stalling = how.elf && secure ? () => {} : slowly;

// -- the page and plain HTTP ----------------------------------------------------------------------

on('curl gets the page and every file it names, compressed, with a tag to ask again by', (d) => {
  const page = String(curl(d, '--compressed', '/'));
  check(/<!doctype html>/i.test(page), `no page: ${page.slice(0, 80)}`);
  const files = [...page.matchAll(/(?:src|href)="\.?\/?([a-z]+\.(?:js|css))"/g)].map((m) => m[1]);
  check(files.includes('app.js'), `files ${files}`);
  for (const file of files) {
    const head = String(curl(d, '-D', '-', '-o', '/dev/null', '-H', 'Accept-Encoding: gzip',
      `/${file}`));
    check(/^HTTP\/1\.1 200 /.test(head), `${file}: ${head}`);
    check(/^content-encoding: gzip\r$/im.test(head), `${file} is not compressed`);
    const tag = /^etag: (.*)\r$/im.exec(head)?.[1];
    check(tag, `${file} has no ETag`);
    const again = String(curl(d, '-D', '-', '-o', '/dev/null', '-H', `If-None-Match: ${tag}`, '-H',
      'Accept-Encoding: gzip', `/${file}`));
    check(/^HTTP\/1\.1 304 /.test(again), `${file} with its tag: ${again}`);
  }
});

on('curl is refused what must be refused, with the right status', (d) => {
  const status = (...args) => Number(curl(d, '-o', '/dev/null', '-w', '%{http_code}', ...args));
  equal(status('/nothing'), 404, 'unknown path');
  equal(status('-X', 'PUT', '-d', 'x', '/control'), 405, 'wrong method');
  equal(status('-d', 'x'.repeat(65), '/control'), 413, 'large body');
  equal(status('-d', 'nonsense 1', '/control'), 400, 'unknown command');
  equal(status('-H', 'Host: evil.example', '/'), 421, 'foreign Host');
  equal(status('-H', 'Origin: http://evil.example', '-d', 'on 1', '/control'), 403, 'Origin');
  equal(status('/ws'), 426, 'no upgrade');
});

// -- the three transports -------------------------------------------------------------------------

async function moves(reader) {
  await until(`three samples for ${reader.ledger.name}`, () => reader.ledger.events >= 3);
  for (const topic of ['device', 'control', 'server', 'sample']) {
    check(reader.ledger.last[topic], `${reader.ledger.name} has no ${topic}`);
  }
  equal(reader.ledger.notices[0], 'fresh', 'the first notice');
  reader.ledger.check();
}

on('a WebSocket gets the states and then every sample', async (d) => {
  const r = await openWebSocket(d, 'ws');
  await moves(r);
  r.ws.send('ping 42');
  await until('the pong', () => (r.ws.plain ?? []).includes('pong 42'));
  await r.close();
});

on('an EventSource gets the states and then every sample', async (d) => {
  const r = await openSource(d, 'sse');
  await moves(r);
  r.close();
});

on('a poll loop gets the states and then every sample', async (d) => {
  const r = await openPoll(d, 'poll');
  await moves(r);
  await r.close();
});

on('the switch reaches the output and every reader, whoever turns it', async (d) => {
  const readers = [await openWebSocket(d, 'ws'), await openSource(d, 'sse'),
    await openPoll(d, 'poll')];
  const shows = (value) => Promise.all(readers.map((r) => until(`${r.ledger.name} to show ${value}`,
    () => JSON.parse(r.ledger.last.control ?? '{}').on === value)));
  await shows(false);
  readers[0].ws.send('on 1');
  await shows(true);
  if (d.emulated) {
    await until('the output on the UART', () => /output on/.test(d.log()));
  }
  await command(d, 'on 0');
  await shows(false);
  if (d.emulated) {
    await until('the output off the UART', () => /output off/.test(d.log()));
  }
  readers.forEach((r) => r.ledger.check());
});

on('a reader that comes back with its last id gets what it missed, once', async (d) => {
  const first = await openEvents(`${d.url}/events`);
  await first.wait('an event', () => first.events.some((e) => e.event === 'sample'));
  const id = first.parser.lastId;
  first.close();
  await command(d, 'burst 20');
  await sleep(300);
  const again = await openEvents(`${d.url}/events`, { lastId: id });
  await again.wait('the burst', () => again.events.filter((e) => e.event === 'burst').length >= 20);
  check(/^replayed \d+$/.test(again.notices[0]), `notices ${again.notices}`);
  const bursts = again.events.filter((e) => e.event === 'burst').map((e) => JSON.parse(e.data).n);
  equal(bursts, [...Array(20).keys()].map((i) => i + 1), 'the burst');
  again.close();
});

// -- many at once ---------------------------------------------------------------------------------

async function openEight(device) {
  const readers = [];
  for (const [open, count] of [[openWebSocket, 3], [openSource, 3], [openPoll, 2]]) {
    for (let i = 0; i < count; i++) {
      readers.push(await open(device, `${open.name.slice(4)} ${i}`));
    }
  }
  return readers;
}

const left = (readers) => readers.filter((r) => r.over()).map((r) => r.ledger.name);

slowly(`eight mixed clients for ${MINUTE} s miss nothing that they are not told of`, async (d) => {
  const readers = await openEight(d);
  await command(d, 'period 250');
  const end = Date.now() + MINUTE * 1000;
  for (let round = 0; Date.now() < end; round++) {
    await command(d, `burst ${10 + (round % 5) * 10}`);
    await command(d, `on ${round % 2}`);
    await sleep(1500);
    readers.forEach((r) => r.ledger.check());
    equal(left(readers), [], 'readers that were closed');
  }
  await sleep(1500);
  const events = readers.map((r) => r.ledger.events + r.ledger.told);
  readers.forEach((r) => {
    r.ledger.check();
    check(r.ledger.events > MINUTE * 3, `${r.ledger.name} saw only ${r.ledger.events} events`);
  });
  console.log(`     events seen: ${readers.map((r) => r.ledger.events)}; told missing: ${
    readers.map((r) => r.ledger.told)}; spread ${Math.max(...events) - Math.min(...events)}`);
}, (MINUTE + 60) * 1000);

stalling('a client that stops reading costs the others nothing, measured in events', async (d) => {
  const stalled = await openStalled(d, STALL);
  const others = [await openWebSocket(d, 'ws'), await openSource(d, 'sse'),
    await openPoll(d, 'poll')];
  await command(d, 'pause 1');
  // More than the buffers between the two hold: some 4 MB of a Linux kernel beside QEMU's.
  const total = how.elf ? 100000 : 40000;
  const step = 80; // a burst that the device's log holds
  for (let n = 0; n < total; n += step) {
    await command(d, `burst ${step}`);
    await until('the burst at the others', () => others.every((r) => (
      r.ledger.bursts.length >= n + step || r.over() || r.ledger.told > 0)));
    equal(left(others), [], 'readers that were closed');
  }
  others.forEach((r) => {
    r.ledger.check();
    equal(r.ledger.told, 0, `${r.ledger.name} was told that it missed`);
    equal(r.ledger.bursts.length, total, `${r.ledger.name}: events of the bursts`);
  });
  const end = await stalled.readOn();
  check(end.gaps.length > 0 || end.ended === 'reset' || end.ended === 'fin',
    `the stalled client: ${JSON.stringify(end)}`);
}, 150_000);

on('more clients than streams: the rest is told to come again, and nobody is harmed', async (d) => {
  const readers = [];
  let full = null;
  for (let i = 0; i < 80 && !full; i++) {
    const r = await openEvents(`${d.url}/events`).catch(() => null);
    if (r) {
      await r.wait('a first line', () => r.parser.retry !== null || r.closed);
      await sleep(20);
      if (r.notices.length) {
        readers.push(r);
      } else {
        full = r;
      }
    }
  }
  check(readers.length >= 8, `only ${readers.length} streams`);
  equal(full?.status, 200, 'status of the one too many: an EventSource gives up at any other');
  check(full.parser.retry >= 100, `retry ${full.parser.retry}`);
  const page = await call(`${d.url}/ping`);
  check(page.status < 300, `a plain request beside them: ${page.status}`);
  await command(d, 'burst 10');
  for (const r of readers) {
    await r.wait('the burst', () => r.events.filter((e) => e.event === 'burst').length >= 10);
    r.close();
  }
});

slowly('500 clients that come and go leave every pool as it was', async (d) => {
  const watch = await openEvents(`${d.url}/events?topics=server`);
  const newest = () => JSON.parse(watch.events.at(-1)?.data ?? '{}');
  await watch.wait('the counters', () => watch.events.length);
  const before = newest().slots;
  for (let n = 0; n < 500; n++) {
    const c = connect(d.port);
    const kind = n % 5;
    c.write(kind === 0 ? 'GET / HTT' : request('GET', ['', '/events', '/poll', '/ping',
      '/'][kind], { 'Accept-Encoding': 'gzip' }));
    await until('something', () => c.text.length || c.closed
      || (!c.socket.connecting && (kind === 0 || kind === 2)), 5_000);
    if (n % 2) {
      c.resetNow();
    } else {
      c.destroy();
    }
  }
  await sleep(1000);
  const count = watch.events.length;
  await watch.wait('fresh counters', () => watch.events.length > count + 2, 20_000);
  await watch.wait('the slots to be free', () => newest().slots <= Math.max(before, 1), 30_000);
  check(newest().accepted >= 490, `${newest().accepted} connections reached it`);
  watch.close();
}, 120_000);

// -- the end of a boot ----------------------------------------------------------------------------

// QEMU's network keeps the client's side of a connection alive when the guest starts again, as any
// peer does that has nothing to send; the proxy stands for the client's own keep-alive, which ends
// it. The WebSocket client finds out by itself, since it sends.
emulated('after a reboot the readers come back and are told of the reset', async (d) => {
  const proxy = await startProxy(d.port);
  const source = await openSource({ url: proxy.url }, 'sse');
  const ws = await openWebSocket(d, 'ws');
  await until('events', () => source.ledger.events >= 2 && ws.ledger.events >= 2);
  const { epoch } = source.ledger;
  const id = `${ws.ledger.epoch}-${ws.ledger.seq.toString(16).padStart(8, '0')}`;
  await d.reset();
  await until('the WebSocket to notice', () => {
    if (!ws.over()) {
      ws.ws.send('ping 1');
    }
    return ws.over();
  }, 20_000);
  proxy.cut();
  await until('the reset notice', () => source.ledger.notices.includes('reset'), 40_000);
  check(source.ledger.epoch !== epoch, 'the epoch is that of the boot before');
  const again = await openEvents(`${d.url}/events`, { lastId: id });
  await again.wait('a notice', () => again.notices.length);
  equal(again.notices[0], 'reset', 'the notice for an id of the boot before');
  const poll = await call(`${d.url}/poll?last_event_id=${id}`);
  check(/^data: reset \d+$/m.test(poll.body), `the poll: ${poll.body}`);
  source.ledger.check();
}, 90_000);

emulated('a device that was never told a seed says so', async () => {
  const d = await startTarget({ ...how, seedAt: undefined });
  check(/seed/i.test(d.log()), `the log says: ${d.log()}`);
  await d.stop();
});

on('a half request and a silent connection do not keep anyone out', async (d) => {
  const silent = [...Array(6).keys()].map(() => connect(d.port));
  silent.forEach((c, i) => i % 2 && c.write('GET /'));
  const r = await openSource(d, 'sse');
  await until('events', () => r.ledger.events >= 2);
  for (let i = 0; i < 10; i++) {
    const c = connect(d.port);
    c.write(request('GET', '/ping'));
    await until('an answer', () => parseAnswer(c.text) || c.closed, 10_000);
    c.destroy();
  }
  r.ledger.check();
});

await runAll(process.argv[3]);
