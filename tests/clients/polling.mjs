// Long polling: each answer goes on where the last one ended.
import {
  call, check, EventParser, equal, noticesOf, sleep, test, withServer,
} from './harness.mjs';
import { patience } from '../patience.mjs';
import { numbered, publish } from './events.mjs';

let binary;
const hub = (name, use, args = ['--topics', 'a,b']) => test(name, () => (
  withServer(binary, ['--port', 0, ...args], use)));

async function poll(s, query, lastId) {
  const a = await call(`${s.url}/poll?${query}${lastId ? `&last_event_id=${lastId}` : ''}`);
  equal(a.status, 200, 'status');
  const parser = new EventParser();
  parser.push(a.body);
  equal(parser.rest, '', 'an unfinished line');
  check(parser.lastId, `no id in ${JSON.stringify(a.body)}`);
  return {
    id: parser.lastId,
    events: parser.events.filter((e) => e.event !== 'rtpush'),
    notices: noticesOf(parser.events),
  };
}

export default function suite(path) {
  binary = path;

  hub('a poll loop gets every event exactly once and in order', async (s) => {
    const total = 150;
    let { id } = await poll(s, 'topics=a&timeout=1');
    const publisher = (async () => {
      for (let n = 0; n < total; n++) {
        await publish(s, 'a', `event ${n}`);
        await sleep((n * 7) % 20);
      }
    })();
    const got = [];
    for (let rounds = 0; got.length < total; rounds++) {
      check(rounds < 500, `only ${got.length} events in ${rounds} polls`);
      const answer = await poll(s, 'topics=a&timeout=2', id);
      got.push(...answer.events);
      id = answer.id;
      check(answer.notices.every((n) => !/gap|reset|fresh/.test(n)), `notices ${answer.notices}`);
    }
    await publisher;
    equal(got.map((e) => e.data), numbered(total), 'events');
  });

  hub('a poll waits for an event and ends with it', async (s) => {
    const { id } = await poll(s, 'topics=a&timeout=1');
    const waiting = poll(s, 'topics=a&timeout=25', id);
    await sleep(300);
    const began = Date.now();
    await publish(s, 'a', 'at last');
    const answer = await waiting;
    check(Date.now() - began < 20_000, 'it came late');
    equal(answer.events.map((e) => e.data), ['at last'], 'events');
  });

  hub('a poll that sees nothing ends after its timeout, with an id', async (s) => {
    const { id } = await poll(s, 'topics=a&timeout=1');
    const began = Date.now();
    const answer = await poll(s, 'topics=a&timeout=1', id);
    const took = Date.now() - began;
    check(took > 500 && took < 5_000 * patience(), `it took ${took} ms`);
    equal(answer.events, [], 'events');
  });

  hub('a poll for other topics does not see this one', async (s) => {
    const { id } = await poll(s, 'topics=b&timeout=1');
    await publish(s, 'a', 'not for it');
    const answer = await poll(s, 'topics=b&timeout=1', id);
    equal(answer.events, [], 'events');
  });

  hub('a poll gets state values, each once', async (s) => {
    await publish(s, 'x', '1');
    const first = await poll(s, 'topics=a,x&timeout=1');
    equal(first.events.map((e) => e.data), ['1'], 'values');
    const second = await poll(s, 'topics=a,x&timeout=1', first.id);
    equal(second.events, [], 'values again');
    await publish(s, 'x', '2');
    const third = await poll(s, 'topics=a,x&timeout=5', second.id);
    equal(third.events.map((e) => e.data), ['2'], 'new values');
  }, ['--topics', 'a', '--state', 'x']);

  hub('a poll that was away for too long is told of the gap', async (s) => {
    const id = await publish(s, 'a', 'known');
    for (let n = 0; n < 150; n++) {
      await publish(s, 'a', `${n} ${'.'.repeat(90)}`);
    }
    let answer = await poll(s, 'topics=a&timeout=1', id);
    const missed = Number(/^gap (\d+)$/.exec(answer.notices[0])?.[1]);
    check(missed > 0, `notices ${answer.notices}`);
    const got = [...answer.events];
    while (answer.events.length) {
      answer = await poll(s, 'topics=a&timeout=1', answer.id);
      got.push(...answer.events);
    }
    equal(missed + got.length, 150, 'missed and received');
  }, ['--topics', 'a', '--log', 4096]);
}
