// More clients than slots: every client gets the right answer, and streams are not affected.
import {
  ask, call, check, connect, equal, openEvents, parseAnswer, request, test, until, withServer,
} from './harness.mjs';
import { KEY, open } from './echo.mjs';
import { publish } from './events.mjs';

const STREAMS = 4; // --conns: the hub keeps eight slots more, for plain requests

export default function suite(binary) {
  const hub = (name, use, ms) => test(name, () => (
    withServer(binary, ['--port', 0, '--conns', STREAMS, '--topics', 'a'], use)), ms);

  // Streams up to the cap.
  async function fill(s) {
    const readers = [];
    for (let i = 0; i < STREAMS; i++) {
      const r = await openEvents(`${s.url}/events?topics=a`);
      await r.wait('the notice', () => r.notices.length);
      readers.push(r);
    }
    return readers;
  }

  hub('when all streams are taken, an event stream gets 200, a retry time and the end',
    async (s) => {
      const readers = await fill(s);
      const a = await ask(s.port, request('GET', '/events?topics=a'));
      equal(a.status, 200, 'status');
      check(/^text\/event-stream/.test(a.headers['content-type']), a.headers['content-type']);
      const retry = Number(/^retry: ?(\d+)$/m.exec(a.body)?.[1]);
      check(retry >= 100 && retry < 120_000, `body ${JSON.stringify(a.body)}`);
      await publish(s, 'a', 'still served');
      for (const r of readers) {
        await r.wait('the event', () => r.events.length);
        r.close();
      }
    });

  hub('when all streams are taken, a WebSocket and a poll get 503', async (s) => {
    const readers = await fill(s);
    const headers = { Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Key': KEY,
      'Sec-WebSocket-Version': '13' };
    equal((await ask(s.port, request('GET', '/ws?topics=a', headers))).status, 503, 'WebSocket');
    equal((await ask(s.port, request('GET', '/poll?topics=a'))).status, 503, 'poll');
    readers.forEach((r) => r.close());
  });

  hub('when all streams are taken, plain requests are still answered', async (s) => {
    const readers = await fill(s);
    for (let i = 0; i < 20; i++) {
      check((await call(`${s.url}/healthz`)).status < 300, 'refused');
    }
    check((await call(`${s.url}/stats`)).status === 200, 'refused');
    readers.forEach((r) => r.close());
  });

  hub('a stream that ends makes room for another', async (s) => {
    const readers = await fill(s);
    readers[0].close();
    const ws = await until('room', async () => {
      try {
        return await open(`${s.ws}/ws?topics=a`, ['rtpush.1']).opened;
      } catch {
        return null;
      }
    });
    ws.close();
    await ws.over;
    readers.forEach((r) => r.close());
  });

  hub('a storm of connections leaves the streams alone and ends with all slots free', async (s) => {
    const readers = await fill(s);
    for (let round = 0; round < 10; round++) {
      const storm = [...Array(30).keys()].map(() => connect(s.port));
      storm.forEach((c, i) => c.write(request('GET', i % 2 ? '/healthz' : '/events?topics=a')));
      const done = (c) => c.closed || parseAnswer(c.text);
      await until('answers', () => storm.filter(done).length > 10);
      storm.forEach((c) => c.resetNow());
    }
    await until('a publish', () => publish(s, 'a', 'still served').then(() => 1, () => 0));
    for (const r of readers) {
      await r.wait('the event', () => r.events.length);
      check(!r.closed, 'a stream was closed');
      r.close();
    }
    await until('free slots', async () => {
      const a = await call(`${s.url}/stats`).catch(() => null);
      return a && JSON.parse(a.body).streams === 0;
    });
  }, 60_000);
}
