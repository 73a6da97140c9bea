// The C++ facade with real clients: a device that uses all of it (tests/cpp/device.cpp) and the
// sketch of examples/arduino, both on this machine.
//     node tests/clients/cpp.test.mjs DEVICE SKETCH [PART OF A TEST NAME]
import process from 'node:process';
import WebSocket from 'ws';
import {
  call, check, equal, freePort, openEvents, runAll, startServer, test, until, within,
  withServer,
} from './harness.mjs';

const [device, sketch, only] = process.argv.slice(2);
if (!sketch) {
  console.log('usage: node tests/clients/cpp.test.mjs DEVICE SKETCH [PART OF A TEST NAME]');
  process.exit(2);
}
const served = (name, use) => (
  test(name, async () => withServer(device, [await freePort()], use)));
const open = (url) => within(5_000, 'open', new Promise((done, fail) => {
  const ws = new WebSocket(url);
  ws.seen = [];
  ws.on('message', (data, binary) => ws.seen.push(binary ? data : String(data)));
  ws.on('open', () => done(ws));
  ws.on('error', fail);
}));
const closed = (ws) => within(5_000, 'close', new Promise((done) => {
  ws.on('close', (code, why) => done(`${code} ${why}`));
}));
const form = (body) => ({
  method: 'POST', body, headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
});

served('files, handlers, queries and forms', async (s) => {
  const page = await call(`${s.url}/`);
  equal([page.status, page.body, page.headers.etag],
    [200, '<!doctype html><title>C++</title>', '"v1"'], 'file');
  equal((await call(`${s.url}/hello?name=a%20b`)).body, 'a b', 'param');
  equal((await call(`${s.url}/hello`)).status, 400, 'no param');
  equal((await call(`${s.url}/form`, form('level=7'))).status, 200, 'form');
  equal((await call(`${s.url}/form`, form('level=12345678901234567890'))).status, 400, 'too long');
  equal((await call(`${s.url}/form`)).status, 405, 'method');
  equal((await call(`${s.url}/upload`, form(Buffer.alloc(5000)))).body, '5', 'pieces');
});

served('name() answers to NAME and NAME.local, and to no other', async (s) => {
  for (const [host, status] of [['device', 200], ['Device.local', 200], ['device.example', 421]]) {
    equal((await call(`${s.url}/`, { headers: { Host: host } })).status, status, host);
  }
});

served('a request is answered later through its Client, once', async (s) => {
  const first = call(`${s.url}/later`);
  let status = 409;
  await until('it to wait', async () => {
    ({ status } = await call(`${s.url}/now`));
    return status === 200;
  });
  equal((await first).body, 'at last', 'the answer');
  equal((await call(`${s.url}/now`)).status, 409, 'a second answer'); // the handle is stale
  await until('close', async () => (await call(`${s.url}/state`)).body.startsWith('0 1'));
});

served('a WebSocket echoes, each route has its own callbacks', async (s) => {
  const echo = await open(`${s.ws}/echo`);
  const log = await open(`${s.ws}/log`);
  echo.send('text');
  echo.send(Buffer.from([0, 1, 255]));
  await until('the echo', () => echo.seen.length === 2);
  equal([echo.seen[0], [...echo.seen[1]]], ['text', [0, 1, 255]], 'echo');
  await until('open()', () => log.seen.includes('/log'));
  log.send('hello all');
  const all = [echo, log];
  await until('the record', () => all.every((ws) => ws.seen.includes('hello all')));
  check(log.seen.includes('1'), `the value of a STATE topic at the beginning: ${log.seen}`);
  const end = closed(log);
  log.send('bye');
  equal(await end, '4000 bye', 'close');
  await until('close()', async () => (await call(`${s.url}/state`)).body.startsWith('1 1'));
  log.terminate();
  echo.terminate();
});

served('on_writable, set as in C, comes after a flood', async (s) => {
  const log = await open(`${s.ws}/log`);
  log.send('flood');
  await until('on_writable', async () => (await call(`${s.url}/state`)).body.endsWith('1'));
  log.terminate();
});

served('events and polls have the topics that were given, by publish from a String', async (s) => {
  const stream = await openEvents(`${s.url}/events`);
  await stream.wait('the value', () => stream.events.length === 1);
  await call(`${s.url}/form`, form('level=9'));
  await stream.wait('the next', () => stream.events.length === 2);
  equal(stream.events.map((e) => [e.event, e.data]), [['level', '1'], ['level', '9']], 'events');
  check((await call(`${s.url}/poll?timeout=1`)).body.includes('data: 9'), 'poll');
});

test('the sketch of examples/arduino serves its page, its values and its LED', async () => {
  const s = await startServer(sketch, await freePort());
  check((await call(`${s.url}/`)).body.includes('new EventSource'), 'page');
  equal((await call(`${s.url}/`, { headers: { Host: 'esp32.local' } })).status, 200, 'its name');
  const stream = await openEvents(`${s.url}/events`);
  equal((await call(`${s.url}/led?on=1`, { method: 'POST' })).status, 204, 'LED on');
  await stream.wait('the state of the LED', () => (
    stream.events.some((e) => e.event === 'led' && e.data === 'on')));
  await stream.wait('a second', () => stream.events.some((e) => e.event === 'uptime'));
  check(s.output().includes('pin 2 is high'), s.output());
  equal((await call(`${s.url}/led`, { method: 'POST' })).status, 400, 'no parameter');
  equal((await call(`${s.url}/led?on=1`)).status, 405, 'a GET changes nothing');
  stream.close();
  await s.stop('SIGKILL'); // a sketch has no end
});

await runAll(only);
