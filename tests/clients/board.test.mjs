// The shared application of examples/boards, built for this machine.
//     node tests/clients/board.test.mjs BOARD
import process from 'node:process';
import {
  call, check, equal, openEvents, runAll, startServer, test,
} from './harness.mjs';

test('the board serves its page, its values and its LED', async () => {
  const s = await startServer(process.argv[2]);
  check((await call(`${s.url}/`)).body.includes('new EventSource'), 'page');
  equal((await call(`${s.url}/`, { headers: { Host: 'rtpush.local' } })).status, 200, 'its name');
  const stream = await openEvents(`${s.url}/events`);
  equal((await call(`${s.url}/led?on=1`, { method: 'POST' })).body, 'on', 'LED on');
  await stream.wait('state, record and a second', () => ['led', 'log', 'uptime'].every((topic) => (
    stream.events.some((e) => e.event === topic))));
  check(s.output().includes('is high'), s.output());
  equal((await call(`${s.url}/led?on=2`, { method: 'POST' })).status, 400, 'a wrong value');
  equal((await call(`${s.url}/led?on=1`)).status, 405, 'a GET changes nothing');
  stream.close();
  await s.stop('SIGKILL'); // firmware has no end
});

await runAll();
