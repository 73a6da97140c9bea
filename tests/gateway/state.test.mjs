// What gateways know beside the events: who a client is behind a proxy.
//     node tests/gateway/state.test.mjs build/gateway-asan [PART OF A TEST NAME]
import process from 'node:process';
import { open, starter } from './gateways.mjs';
import {
  call, check, connect, equal, openEvents, parseAnswer, request, run, runAll, test,
} from '../clients/harness.mjs';

const [binary, only] = process.argv.slice(2);
const start = starter(binary);
const NOTHING = { url: '-' }; // standard input, which is at its end

// -- who is counted behind a proxy ----------------------------------------------------------------

// One connection of each client is allowed. So the second answer says whether both requests are
// of one.
async function refused(g, first, second) {
  const headers = (value) => (value === null ? {} : { [g.field]: value });
  const r = await openEvents(`${g.url}/events`, { headers: headers(first) });
  equal(r.status, 200, `status with ${first}`);
  await r.wait('the notice', () => r.notices.length);
  const a = await call(`${g.url}/poll?timeout=0`, { headers: headers(second) });
  r.close();
  return a.status === 429;
}

async function behindProxy(args, field, table) {
  const g = await start(NOTHING, '--per-peer', 1, ...args);
  g.field = field;
  for (const [first, second, same] of table) {
    equal(await refused(g, first, second), same, `${first} and ${second} are one client`);
  }
  await g.stop();
}

test('X-Forwarded-For of a proxy that is trusted says who is counted', () => behindProxy(
  ['--trust', '10.0.0.9,127.0.0.1'], 'X-Forwarded-For', [
    ['192.0.2.1', '192.0.2.1', true], ['192.0.2.1', '192.0.2.2', false],
    // What stands before it the client may have written.
    ['192.0.2.7, 192.0.2.1', '192.0.2.8,192.0.2.1', true],
    ['192.0.2.1, 192.0.2.7', '192.0.2.1, 192.0.2.8', false],
    // Behind it proxies of ours.
    ['192.0.2.1, 10.0.0.9', '5.5.5.5, 192.0.2.1 ,127.0.0.1,10.0.0.9', true],
    ['192.0.2.1:4711', '192.0.2.1:80', true],
    // A /64 of IPv6 is one subscriber's.
    ['2001:db8::1', '[2001:db8::2]:80', true], ['2001:db8::1', '2001:db8:1::1', false],
    // What says nothing is the proxy's, which has no limit.
    [null, null, false], ['unknown', 'unknown', false], ['', '', false], [',', ',', false],
    ['x'.repeat(300), 'x'.repeat(300), false], ['192.0.2.1,', '192.0.2.1,', false],
    ['192.0.2.1', '192.0.2.256', false], ['10.0.0.9', '10.0.0.9', true],
  ]));

test('Forwarded (RFC 7239) is read if it is the field that is named', () => behindProxy(
  ['--trust', '127.0.0.1', '--trust-header', 'forwarded'], 'Forwarded', [
    ['for=192.0.2.1', 'For=192.0.2.1;proto=https', true], ['for=192.0.2.1', 'for=192.0.2.2', false],
    ['for=192.0.2.1;by="a,b"', 'proto=http ; FOR="192.0.2.1:4711" ;by="c;for=1.1.1.1"', true],
    ['for=1.1.1.1, for=192.0.2.1', 'for="[2001:db8::1]:80",for=192.0.2.1', true],
    ['for="[2001:db8:cafe::17]:4711"', 'for="[2001:db8:cafe::18]"', true],
    ['for=unknown', 'for=unknown', false], ['for=_hidden', 'for=_hidden', false],
    ['192.0.2.1', '192.0.2.1', false], ['by=192.0.2.1', 'by=192.0.2.1', false],
    ['for=', 'for=', false], ['for="', 'for="', false], ['for=""', 'for=""', false],
    ['"', '"', false], ['for=192.0.2.1;"x, for=2.2.2.2', 'for=2.2.2.2', true],
  ]));

test('an IPv6 address of a proxy can be written in any way', () => behindProxy(
  ['--trust', '0::ABCD:0:1,127.0.0.1'], 'X-Forwarded-For', [
    ['192.0.2.1, ::abcd:0:1', '192.0.2.1,[0:0:0:0::abcd:0:1]:80', true],
    ['192.0.2.1, ::abcd:0:2', '192.0.2.2, ::abcd:0:2', true],
    ['192.0.2.1, ::abcd:0:1', '192.0.2.2, ::abcd:0:1', false],
  ]));

test('of a proxy that is not trusted no field is read', async () => {
  const g = await start(NOTHING, '--per-peer', 1, '--trust', '10.0.0.9');
  g.field = 'X-Forwarded-For';
  equal(await refused(g, '192.0.2.1', '192.0.2.1'), false, 'they are one client');
  await g.stop();
});

test('the other field of the two is not read', async () => {
  const g = await start(NOTHING, '--per-peer', 1, '--trust', '127.0.0.1');
  g.field = 'Forwarded';
  equal(await refused(g, 'for=192.0.2.1', 'for=192.0.2.1'), false, 'they are one client');
  await g.stop();
});

test('a connection of a proxy may bring requests of one client after the other', async () => {
  const g = await start(NOTHING, '--per-peer', 1, '--trust', '127.0.0.1');
  const c = connect(g.port);
  const other = await openEvents(`${g.url}/events`, { headers: { 'X-Forwarded-For': '10.1.1.1' } });
  const statuses = [];
  for (const from of ['10.1.1.2', '10.1.1.1', '127.0.0.1', null, '10.1.1.3']) {
    c.text = '';
    c.write(request('GET', '/healthz', { 'X-Forwarded-For': from }));
    statuses.push((await c.until('an answer', (text) => parseAnswer(text))).status);
  }
  equal(statuses, [200, 429, 200, 200, 200], 'statuses');
  other.close();
  c.destroy();
  await g.stop();
});

test('who comes by itself is counted by its own address', async () => {
  const g = await start(NOTHING, '--per-peer', 2);
  const readers = [await open(g), await open(g)];
  const third = await call(`${g.url}/poll?timeout=0`).catch(() => 'reset');
  equal(third, 'reset', 'the third connection');
  readers.forEach((r) => r.close());
  await g.stop();
});

test('what --trust cannot be is refused with a line', async () => {
  for (const args of [['--trust', '[::1]'], ['--trust', 'proxy'], ['--trust', '10.0.0.1,,10.0.0.2'],
    ['--trust-header', 'x-real-ip'],
    ['--trust', '10.0.0.1,'.repeat(33)]]) {
    const { code, text } = await run(binary, [...args, '--port', '0', '-']);
    check(code === 1 && /--trust/.test(text), `${args}: ${code} ${text}`);
  }
});

runAll(only);
