// Chromium in front of Caddy in front of two gateways: HTTP/2 and HTTP/3, event streams past the
// six connections of HTTP/1.1 and up to the next limit, WebSockets.
//     node tests/gateway/caddy.test.mjs build/gateway-asan [PART OF A TEST NAME]
// Needs the certificates of ports/cert.sh.
import { X509Certificate, createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import process from 'node:process';
import { BROKERS, startCaddy } from './brokers.mjs';
import { launch } from '../browser/browsers.mjs';
import {
  afterTest, call, check, equal, runAll, sleep, startServer, test, until, within,
} from '../clients/harness.mjs';

const [binary, only] = process.argv.slice(2);
if (!binary) {
  console.log('usage: caddy.test.mjs GATEWAY [PART OF A TEST NAME]');
  process.exit(2);
}

async function start(b, port = 0) {
  const g = await startServer(binary, '--port', port, '--check-ms', 200, '--drain-s', 0,
    '--conns', 600, b.url);
  await until('/healthz', async () => (await call(`${g.url}/healthz`)).status === 200);
  return g;
}

// Chromium takes a certificate for QUIC only from a root that it was built with, or if its key is
// listed. It tries ::1 for localhost first, and gives up QUIC then.
async function openBrowser(port, version) {
  const pem = new X509Certificate(await readFile('build/cert/ec.pem'));
  const key = createHash('sha256').update(pem.publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64');
  const local = '--host-resolver-rules=MAP localhost 127.0.0.1';
  const browser = version === 'HTTP/3.0'
    ? await launch(undefined, [local, `--ignore-certificate-errors-spki-list=${key}`,
      `--origin-to-force-quic-on=localhost:${port}`])
    : await launch('build/cert/ca.pem', [local]);
  afterTest(() => browser.close());
  return browser;
}

// In the page: streams[i] = { data, open, source }.
function open(count) {
  const { EventSource } = globalThis;
  globalThis.streams = [...Array(count).keys()].map(() => {
    const stream = { data: [], notices: [], source: new EventSource('/events?topics=a') };
    stream.source.addEventListener('a', (e) => stream.data.push(e.data));
    stream.source.addEventListener('rtpush', (e) => e.data && stream.notices.push(e.data));
    return stream;
  });
}

const opened = (page) => page.evaluate(
  () => globalThis.streams.filter((s) => s.source.readyState === 1).length);
const post = (page, text) => page.evaluate(async (body) => {
  const a = await fetch('/publish/a', { method: 'POST', body });
  return a.status;
}, text);

// What all streams of a page have, if it is the same for all.
const dataOf = async (page) => {
  const all = await page.evaluate(() => globalThis.streams.map((s) => s.data.join()));
  return new Set(all).size === 1 ? all[0] : JSON.stringify(all);
};

// -- what is tried, one after the other in one browser, whose start costs more than all of it -----

async function sixStreams({ gs, tab }) {
  const page = await tab(gs[0].url);
  await page.evaluate(open, 20);
  await until('six streams', async () => await opened(page) === 6);
  await sleep(500);
  equal(await opened(page), 6, 'streams over HTTP/1.1');
  await page.evaluate(() => globalThis.streams[0].source.close());
  await until('the next one', async () => await opened(page) === 6);
  await page.close();
}

async function oneConnection({ caddy, tab, version }) {
  const tabs = [await tab(), await tab(), await tab(), await tab()];
  for (const page of tabs) {
    await page.evaluate(open, 5);
  }
  for (const page of tabs) {
    await until('its streams', async () => await opened(page) === 5);
    await until('their notices', () => page.evaluate(
      () => globalThis.streams.every((s) => s.notices.length)));
  }
  const all = [...Array(20).keys()].map((n) => `event ${n}`);
  for (const text of all) {
    equal(await post(tabs[0], text), 200, 'POST');
  }
  for (const page of tabs) {
    await until('the last event', async () => (await dataOf(page)).endsWith(all.at(-1)));
    equal(await dataOf(page), all.join(), 'events of a tab');
    await page.close();
  }
  const log = await until('the log of all streams', async () => {
    const ended = await caddy.log();
    return ended.filter((r) => r.path === '/events').length === 20 && ended;
  });
  equal([...new Set(log.map((r) => r.proto))], [version], 'protocols');
  equal(new Set(log.map((r) => r.port)).size, 1, 'connections of the browser');
}

// What comes next waits without an error: a page cannot tell it from a slow network.
async function limit({ tab, most }) {
  const page = await tab();
  await page.evaluate(open, most + 5);
  await until(`${most} streams`, async () => await opened(page) === most, 20_000);
  await page.evaluate(() => {
    globalThis.late = fetch('/healthz').then((a) => { globalThis.answered = a.status; });
  });
  await sleep(1_000);
  equal([await opened(page), await page.evaluate(() => globalThis.answered ?? 0)], [most, 0],
    'streams, and an answer');
  const echoed = await within(10_000, 'the WebSocket', page.evaluate(async () => {
    const ws = new globalThis.WebSocket(`wss://${globalThis.location.host}/ws?topics=a&publish=a`);
    const got = new Promise((done, fail) => {
      ws.onmessage = (e) => done(e.data);
      ws.onclose = () => fail(new Error('closed'));
    });
    ws.onopen = () => ws.send('by WebSocket');
    return got;
  }));
  equal(echoed, 'by WebSocket', 'what the WebSocket gave');
  await until('it on the streams', () => page.evaluate((count) => (
    globalThis.streams.filter((s) => s.data.includes('by WebSocket')).length === count), most));
  await page.evaluate(() => globalThis.streams.splice(0, 6).forEach((s) => s.source.close()));
  await until('what waited', async () => await opened(page) === most - 1
    && await page.evaluate(() => globalThis.answered === 200));
  await page.close();
}

// With all gateways away a 503 would end an EventSource for ever.
async function killed({ b, gs, tab }) {
  const page = await tab();
  await page.evaluate(open, 10);
  await until('its streams', async () => await opened(page) === 10);
  equal(await post(page, 'first'), 200, 'POST');
  await until('the event', async () => await dataOf(page) === 'first');
  await gs[0].stop('SIGKILL');
  await until('a POST', async () => await post(page, 'second') === 200);
  await until('it on all streams', async () => await dataOf(page) === 'first,second', 20_000);
  await gs[1].stop('SIGKILL');
  await until('503', async () => await post(page, 'lost') === 503);
  await sleep(1_000);
  gs.splice(0, 2, await start(b, gs[0].port));
  await until('a POST', async () => await post(page, 'third') === 200);
  await until('it on all streams', async () => await dataOf(page) === 'first,second,third', 20_000);
}

// Redis, two gateways, Caddy, a browser.
function behind(version, title, most, uses) {
  test(`${version}: ${title}`, async () => {
    const b = await BROKERS.redis.start();
    const gs = [await start(b), await start(b)];
    const caddy = await startCaddy(gs.map((g) => g.port));
    const browser = await openBrowser(caddy.port, version);
    const context = await browser.newContext();
    const tab = async (url = caddy.url) => {
      const page = await context.newPage();
      await page.goto(`${url}/healthz`);
      return page;
    };
    for (const use of uses) {
      await use({ b, gs, caddy, tab, version, most }).catch((error) => {
        throw new Error(`${use.name}: ${error.message}`);
      });
    }
    await within(10_000, 'the end of the browser', browser.close());
    await Promise.all(gs.map((g) => g.stop()));
  }, 120_000);
}

behind('HTTP/2.0', 'streams past the six of HTTP/1.1 up to 250, WebSocket, gateways killed', 250,
  [sixStreams, oneConnection, limit, killed]);
behind('HTTP/3.0', 'the same, up to 100', 100, [oneConnection, limit, killed]);

runAll(only);
