// Gateways under test: how they are started, asked and read.
import { createHmac } from 'node:crypto';
import { call, check, equal, openEvents, sleep, startServer, until } from '../clients/harness.mjs';

export async function healthy(g, ms = 10_000) {
  await until('/healthz to say 200', async () => (
    (await call(`${g.url}/healthz`).catch(() => null))?.status === 200), ms);
  return g;
}

// Starts one on a source that has a url.
export const starter = (binary) => async (source, ...args) => healthy(
  await startServer(binary, '--port', 0, '--check-ms', 100, '--drain-s', 1, ...args, source.url));

export const post = (url, topic, body, headers = {}) => call(`${url}/publish/${topic}`,
  { method: 'POST', body, headers });

export async function publish(g, topic, body) {
  const a = await post(g.url, topic, body);
  equal(a.status, 200, `publish: ${a.body}`);
  check(/^[0-9a-f]{8}-[0-9a-f]{8}$/.test(a.body), `the id ${a.body}`);
  return a.body;
}

// Posts numbered events to a topic, n from 0 on, while more(n). Each is repeated with its key until
// it is stored. count: of what else was answered, by status. pause: waits before the next.
export async function postAll(url, topic, more, { count = {}, pause }) {
  for (let n = 0; more(n); n++) {
    const headers = { 'Idempotency-Key': `${topic}-${n}` };
    for (let wait = 100; ; wait = Math.min(1000, 2 * wait)) {
      const a = await post(url, topic, `${topic} ${n}`, headers).catch(() => null);
      if (a?.status === 200) {
        break;
      }
      count[a?.status ?? 'cut'] = (count[a?.status ?? 'cut'] ?? 0) + 1;
      await sleep(wait);
    }
    await pause();
  }
}

export async function metric(g, what) {
  const a = await call(`${g.url}/metrics`);
  equal(a.status, 200, 'status of /metrics');
  for (const line of a.body.trim().split('\n')) {
    check(/^(# (HELP|TYPE) rtpush_\w+ .+|rtpush_\w+(\{\w+="[^"]*"\})? \d+)$/.test(line),
      `not of Prometheus' format: ${line}`);
  }
  const line = a.body.split('\n').find((l) => l.startsWith(`rtpush_${what} `));
  check(line, `no ${what} in /metrics`);
  return Number(line.split(' ')[1]);
}

export async function open(g, topics = 'a,b,c', lastId = undefined) {
  const r = await openEvents(`${g.url}/events?topics=${topics}`, { lastId });
  equal(r.status, 200, 'status of a stream');
  return r;
}

export async function fresh(g, topics) {
  const r = await open(g, topics);
  await r.wait('the notice', () => r.notices.length);
  return r;
}

// A JSON Web Token (RFC 7519) with HS256.
export function token(claims, key) {
  const part = (x) => Buffer.from(JSON.stringify(x)).toString('base64url');
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
}
