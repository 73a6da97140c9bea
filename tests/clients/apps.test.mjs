// Examples of examples/shared as firmware, on the board with 64 KB of RAM: the page comes, and what
// one client sends reaches another. How they look and fail is tested on this machine.
//     node tests/clients/apps.test.mjs build/app-firmware NAME...
import { createHash, randomBytes } from 'node:crypto';
import process from 'node:process';
import WebSocket from 'ws';
import { startTarget } from './device.mjs';
import {
  afterTest, call, check, equal, runAll, sleep, test, until,
} from './harness.mjs';

const [, , folder, ...wanted] = process.argv;

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

const app = (name, use) => wanted.includes(name) && test(`${name} serves its page`, async () => {
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

// What its page says of the vehicle, newest last: 8 bytes behind "ID vehicle\n".
const modes = (client) => client.seen.filter((m) => m.includes(' vehicle\n'))
  .map((m) => m.charCodeAt(m.indexOf('\n') + 7));
const [STEERED, STOPPED] = [0, 2];

app('remote', async (device) => {
  const [a, b] = [await open(device), await open(device)];
  a.ws.send(Buffer.from([7, 1, 100, 0]));
  await a.sees('=\x07\x01\x01'); // its number; "you steer"
  b.ws.send(Buffer.from([8, 1, 0, 100]));
  await b.sees('=\x08\x01\x00'); // somebody else does
  await until('steered', () => modes(b).includes(STEERED));
  await until('stopped after 200 ms of silence', () => modes(b).at(-1) === STOPPED);
  equal(a.code, 0, 'whose link was silent');
});

app('ticker', async (device) => {
  const a = await open(device);
  for (let i = 0; i < 10; i++) {
    await a.sees(` p${i}\n`);
  }
  await a.sees(' trade\n{"n":');
  const marks = []; // until when in ms, moves
  for (let i = 0; i < 3; i++) {
    const before = a.seen.length;
    a.ws.send('time');
    await until('its time', () => a.seen.slice(before).some((m) => m[0] === '='));
    const answer = a.seen.slice(before).find((m) => m[0] === '=').slice(1).split(' ');
    marks.push(answer.slice(1).map(Number));
    await sleep(500);
  }
  marks.slice(1).forEach(([ms, moves], i) => {
    check(ms > marks[i][0], 'no time has passed');
    equal(moves - marks[i][1], ms - marks[i][0], 'moves of so many ms: 1 kHz');
  });
  const all = await call(`${device.url}/prices`);
  equal([all.status, all.body.split(' ').length], [200, 51], 'a short poll');
});

app('upload', async (device) => {
  const image = randomBytes(8000);
  const hash = createHash('sha256').update(image).digest('hex');
  const post = (path, body = Buffer.alloc(0)) => call(`${device.url}/${path}`, {
    method: 'POST',
    body,
    headers: { 'Content-Type': 'application/octet-stream', 'Content-Length': body.length },
  });
  const begin = async (size) => post(`begin?size=${size}&sha256=${hash}`);
  equal((await begin(8193)).status, 400, 'larger than the bank');
  equal((await begin(image.length)).status, 200, 'begin');
  equal((await post('piece?at=0', image.subarray(0, 3000))).status, 200, 'a piece');
  equal((await post('piece?at=2999', image.subarray(2999))).status, 409, 'a piece for elsewhere');
  equal(JSON.parse((await begin(image.length)).body).at, 3000, 'where it goes on');
  const last = await post('piece?at=3000', image.subarray(3000));
  equal([last.status, JSON.parse(last.body).state], [200, 'done'], 'the last piece');
});

await runAll();
