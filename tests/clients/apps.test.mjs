// Examples of examples/shared as firmware, on the board with 64 KB of RAM: the page comes, and what
// one client sends reaches another. How they look and fail is tested on this machine.
//     node tests/clients/apps.test.mjs build/app-firmware
import process from 'node:process';
import WebSocket from 'ws';
import { startTarget } from './device.mjs';
import {
  afterTest, call, check, equal, runAll, test, until,
} from './harness.mjs';

const folder = process.argv[2];

async function open(device, query = '') {
  const ws = new WebSocket(`${device.ws}/ws${query}`, ['rtpush.1']);
  const client = { ws, seen: [], code: 0 };
  afterTest(() => ws.terminate());
  ws.on('message', (data) => client.seen.push(data.toString('latin1')));
  ws.on('close', (code) => { client.code = code; });
  await new Promise((done, fail) => { ws.on('open', done); ws.on('error', fail); });
  client.sees = (words) => until(`"${words}"`, () => client.seen.some((m) => m.includes(words)));
  return client;
}

const app = (name, use) => test(`${name} serves its page and two clients`, async () => {
  const device = await startTarget({
    board: 'lm3s6965evb', elf: `${folder}/${name}/lm3s6965evb.elf`, probe: '/',
  });
  const page = await call(`${device.url}/app.js`, { headers: { 'Accept-Encoding': 'gzip' } });
  equal([page.status, page.headers['content-encoding']], [200, 'gzip'], 'script');
  await use(device);
  device.alive();
  await device.stop();
}, 60_000);

app('chat', async (device) => {
  const [a, b] = [await open(device), await open(device)];
  a.ws.send(`name ${'1'.repeat(16)} Ann`);
  await b.sees('["Ann"]');
  a.ws.send('say hello');
  await b.sees('hello');
  check(b.seen.some((m) => m.includes('Ann') && m.includes('hello')), 'without its name');
});

app('board', async (device) => {
  const [a, b] = [await open(device), await open(device)];
  a.ws.send('0a line');
  a.ws.send(Buffer.from([0x70, 3, 1, 2])); // a cell
  for (const client of [b, await open(device)]) { // one that comes later too
    await client.sees('\na line');
    await client.sees('\n\0\0\0\x02\0');
  }
  b.ws.send(Buffer.from([0x70, 255, 1, 2]));
  await until('the end of who is wrong', () => b.code === 1008);
  equal(a.code, 0, 'the other');
});

app('rtc', async (device) => {
  const [a, b] = [await open(device, '?room=r'), await open(device, '?room=r')];
  a.ws.send('{"sdp":"offer"}');
  await b.sees('={"sdp":"offer"}');
  b.ws.send('{"sdp":"answer"}');
  await a.sees('={"sdp":"answer"}');
  const third = await open(device, '?room=r');
  await until('the end of a third one', () => third.code >= 4000);
});

await runAll();
