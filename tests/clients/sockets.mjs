// WebSocket readers of the hub: bare payloads, rtpush.1, publishing, resume, ending.
import {
  call, check, equal, noticesOf, sleep, test, until, withServer, within,
} from './harness.mjs';
import { patience } from '../patience.mjs';
import { open } from './echo.mjs';
import { ID, numbered, publish } from './events.mjs';

let binary;
const hub = (name, use, args = ['--topics', 'a,b'], ms = undefined) => test(name, () => (
  withServer(binary, ['--port', 0, ...args], use)), ms);

// A message of rtpush.1: `id SP topic LF payload`, or a keep-alive: an id alone, or nothing.
export function decode(message) {
  if (/^([0-9a-f]{8}-[0-9a-f]{8})?$/.test(String(message))) {
    return { id: String(message), topic: 'rtpush', data: '' };
  }
  const m = /^([^ \n]*) ([^ \n]+)\n([^]*)$/.exec(String(message));
  check(m, `not a message of rtpush.1: ${JSON.stringify(String(message).slice(0, 80))}`);
  return { id: m[1], topic: m[2], data: m[3] };
}
const decoded = (ws) => ws.messages.map(decode);
const events = (ws) => decoded(ws).filter((e) => e.topic !== 'rtpush');
const notices = (ws) => noticesOf(decoded(ws).map((e) => ({ event: e.topic, data: e.data })));

export default function suite(path) {
  binary = path;

  hub('a WebSocket without a subprotocol gets the bare payloads', async (s) => {
    const ws = await open(`${s.ws}/ws?topics=a`).opened;
    equal(ws.protocol, '', 'subprotocol');
    await publish(s, 'a', 'one');
    await publish(s, 'b', 'not for it');
    await publish(s, 'a', 'two\nlines');
    await until('two messages', () => ws.messages.length >= 2);
    equal(ws.messages, ['one', 'two\nlines'], 'messages');
    ws.close();
    await ws.over;
  });

  hub('a WebSocket with rtpush.1 gets notices, ids, topics and payloads', async (s) => {
    const ws = await open(`${s.ws}/ws?topics=a,b`, ['other', 'rtpush.1']).opened;
    equal(ws.protocol, 'rtpush.1', 'subprotocol');
    await until('the notice', () => ws.messages.length);
    const ids = [await publish(s, 'a', 'one'), await publish(s, 'b', 'two\n\nlines')];
    await until('two events', () => events(ws).length >= 2);
    equal(notices(ws), ['fresh'], 'notices');
    equal(events(ws), [{ id: ids[0], topic: 'a', data: 'one' },
      { id: ids[1], topic: 'b', data: 'two\n\nlines' }], 'events');
    ws.close();
    await ws.over;
  });

  hub('a WebSocket that may publish reaches readers of every transport', async (s) => {
    const writer = await open(`${s.ws}/ws?topics=b&publish=a`).opened;
    const reader = await open(`${s.ws}/ws?topics=a`, ['rtpush.1']).opened;
    await until('the notice', () => reader.messages.length);
    for (let n = 0; n < 100; n++) {
      writer.send(`event ${n}`);
    }
    await until('100 events', () => events(reader).length >= 100);
    equal(events(reader).map((e) => e.data), numbered(100), 'data');
    check(events(reader).every((e) => ID.test(e.id)), 'an id has the wrong form');
    writer.close();
    reader.close();
    await Promise.all([writer.over, reader.over]);
  });

  hub('a WebSocket that says what it must not is closed with the reason', async (s) => {
    for (const [query, message, code] of [
      ['topics=a', 'not allowed to publish', 1008],
      ['topics=a&publish=a', Buffer.from('binary'), 1003],
      ['topics=a&publish=a', 'x'.repeat(70_000), 1009],
    ]) {
      const ws = await open(`${s.ws}/ws?${query}`).opened;
      ws.send(message);
      equal((await within(5_000, `the close with ${code}`, ws.over)).code, code, 'close code');
    }
    const refused = open(`${s.ws}/ws?topics=a&publish=zzz`);
    const error = await refused.opened.then(() => null, (e) => e);
    check(/404/.test(error?.message), `publish to an unknown topic: ${error?.message}`);
  });

  hub('a WebSocket that comes back with its last id gets what it missed, once', async (s) => {
    const ws = await open(`${s.ws}/ws?topics=a`, ['rtpush.1']).opened;
    await until('the notice', () => ws.messages.length);
    await publish(s, 'a', 'zero');
    await until('an event', () => events(ws).length);
    ws.terminate();
    await publish(s, 'a', 'one');
    await publish(s, 'a', 'two');
    const again = await open(`${s.ws}/ws?topics=a&last_event_id=${events(ws)[0].id}`,
      ['rtpush.1']).opened;
    await until('two events', () => events(again).length >= 2);
    await sleep(50);
    equal(events(again).map((e) => e.data), ['one', 'two'], 'data');
    equal(notices(again), ['replayed 2'], 'notices');
    again.close();
    await again.over;
  });

  hub('a WebSocket gets the current values of state topics first', async (s) => {
    await publish(s, 'x', 'old');
    await publish(s, 'x', 'now');
    const ws = await open(`${s.ws}/ws?topics=a,x`, ['rtpush.1']).opened;
    await until('the value', () => events(ws).length);
    equal(events(ws).map((e) => [e.topic, e.data]), [['x', 'now']], 'events');
    ws.close();
    await ws.over;
  }, ['--topics', 'a', '--state', 'x']);

  hub('a WebSocket is not compressed, whatever the client offers', async (s) => {
    const ws = await open(`${s.ws}/ws?topics=a`, [], { perMessageDeflate: true }).opened;
    equal(ws.extensions, '', 'extensions');
    ws.close();
    equal((await ws.over).code, 1005, 'close code');
  });

  hub('a WebSocket that does not read delays nobody', async (s) => {
    const slow = await open(`${s.ws}/ws?topics=a`, ['rtpush.1']).opened;
    const quick = await open(`${s.ws}/ws?topics=a`, ['rtpush.1']).opened;
    await until('the notice', () => quick.messages.length);
    slow.pause();
    const body = '.'.repeat(12_000);
    for (let n = 0; n < 240;) {
      await Promise.all([...Array(4).keys()].map((i) => publish(s, 'a', `${n + i} ${body}`)));
      n += 4;
      await until(`${n} events`, () => quick.messages.length > n, 5_000);
    }
    equal(notices(quick), ['fresh'], 'notices of the quick reader');
    slow.resume();
    await until('the slow one to know', () => slow.readyState === slow.CLOSED
      || notices(slow).some((n) => n.startsWith('gap'))
      || events(slow).length >= 240, 15_000);
    quick.close();
    slow.terminate();
    await quick.over;
  }, ['--topics', 'a', '--log', 65536, '--max', 16_000], 90_000);

  hub('a raw WebSocket that falls behind is closed and told how much it missed', async (s) => {
    const slow = await open(`${s.ws}/ws?topics=a`).opened;
    const quick = await open(`${s.ws}/ws?topics=a`).opened;
    const writer = await open(`${s.ws}/ws?topics=b&publish=a`).opened;
    // More than the kernel holds for a connection, 4 MB and what the client asks for, but soon: who
    // reads nothing for 20 s is reset.
    const total = 6_000;
    const body = '.'.repeat(1000);
    slow.pause();
    for (let n = 0; n < total; n += 200) { // no more at a time than the log holds
      for (let i = 0; i < 200; i++) {
        writer.send(`${n + i} ${body}`);
      }
      await until(`${n + 200} events`, () => quick.messages.length >= n + 200);
    }
    slow.resume();
    const { code, reason } = await within(20_000, 'the close', slow.over);
    equal(code, 4000, 'close code');
    const missed = Number(/^missed (\d+) events$/.exec(reason)?.[1]);
    const got = slow.messages.map((m) => Number.parseInt(m, 10));
    equal(got, got.map((_, i) => i), 'what came before');
    check(missed > 0 && got.length + missed <= total, `${got.length} came, ${missed} missed`);
    quick.close();
    writer.close();
    await Promise.all([quick.over, writer.over]);
  }, ['--topics', 'a,b', '--log', 524288], 90_000);

  hub('--max holds for WebSocket messages as it does for bodies', async (s) => {
    const ws = await open(`${s.ws}/ws?topics=a&publish=a`).opened;
    ws.send('x'.repeat(1000));
    await until('the echo', () => ws.messages.length);
    equal((await call(`${s.url}/publish/a`, { method: 'POST', body: 'x'.repeat(1001) })).status,
      413, 'status');
    ws.send('x'.repeat(1001));
    equal((await within(5_000, 'the close', ws.over)).code, 1009, 'close code');
  }, ['--topics', 'a', '--max', 1000]);

  hub('when the hub ends, WebSockets get 1001 and event streams end', async (s) => {
    const ws = await open(`${s.ws}/ws?topics=a`, ['rtpush.1']).opened;
    await until('the notice', () => ws.messages.length);
    const began = Date.now();
    s.child.kill('SIGTERM');
    equal((await within(5_000, 'the close', ws.over)).code, 1001, 'close code');
    equal(await within(5_000, 'the end', s.ended), { code: 0, signal: null }, 'how it ended');
    check(Date.now() - began < 5_000 * patience(), 'it took more than 5 s');
    await call(`${s.url}/healthz`).then(() => check(false, 'it still answers'), () => {});
  });
}
