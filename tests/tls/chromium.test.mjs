// Chromium, with the test CA imported and every check on, against the hub over TLS: https, event
// streams, WebSockets, polls, and a page that asks for more at a time than there are TLS slots.
//     node tests/tls/chromium.test.mjs build/hub-tls
// Needs tests/browser's playwright-core, Chromium (CHROMIUM names it) and certutil.
import process from 'node:process';
import { launch } from '../browser/browsers.mjs';
import { check, equal, runAll, startServer, test, within } from '../clients/harness.mjs';

const [binary, only] = process.argv.slice(2);
const VERSION = binary.includes('mbedtls') ? '1.3' : '1.2';

function page(name, options, use, { ca = 'build/cert/ca.pem', args = [] } = {}) {
  test(name, async () => {
    process.env.RTPUSH_TLS = options;
    const s = await startServer(binary, '--port', 0, '--topics', 'a,b', ...args);
    const browser = await launch(ca);
    try {
      await use(s, await browser.newPage());
    } finally {
      await browser.close();
    }
    await s.stop();
  }, 60_000);
}

for (const key of ['ec', 'rsa']) {
  page(`Chromium trusts the ${key} certificate and speaks TLS ${VERSION}`, key, async (s, p) => {
    const answer = await p.goto(`${s.url}/healthz`);
    check(answer.status() < 300, `status ${answer.status()}`);
    const how = await answer.securityDetails();
    equal([how.protocol, how.issuer], [`TLS ${VERSION}`, 'rtpush development CA'], 'security');
  });
}

page('Chromium does not trust it without the CA', 'ec', async (s, p) => {
  const error = await p.goto(`${s.url}/healthz`).then(() => null, (e) => e);
  check(/ERR_CERT_AUTHORITY_INVALID/.test(error?.message), `${error?.message}`);
}, { ca: null });

page('all three transports bring the same events over TLS', 'ec', async (s, p) => {
  await p.goto(`${s.url}/healthz`);
  const got = await within(30_000, 'the events', p.evaluate(async () => {
    const opened = (o) => new Promise((done, fail) => { o.onopen = done; o.onerror = fail; });
    const source = new EventSource('/events?topics=a');
    const ws = new WebSocket(`wss://${location.host}/ws?topics=a&publish=a`);
    const seen = { source: [], ws: [] };
    source.addEventListener('a', (e) => seen.source.push(e.data));
    ws.onmessage = (e) => seen.ws.push(e.data);
    await Promise.all([opened(source), opened(ws)]);
    const first = await (await fetch('/publish/a', { method: 'POST', body: 'zero' })).text();
    for (let n = 1; n < 50; n++) {
      ws.send(`event ${n}`);
    }
    while (seen.source.length < 50 || seen.ws.length < 50) {
      await new Promise((done) => { setTimeout(done, 10); });
    }
    const id = /[0-9a-f]{8}-[0-9a-f]{8}/.exec(first)[0];
    const poll = await (await fetch(`/poll?topics=a&last_event_id=${id}`)).text();
    seen.poll = poll.match(/^data: event \d+$/gm).map((l) => l.slice(6));
    const answer = await fetch('/healthz');
    return { ...seen, secure: isSecureContext && answer.ok };
  }));
  const all = ['zero', ...[...Array(49).keys()].map((n) => `event ${n + 1}`)];
  equal(got.source, all, 'event stream');
  equal(got.ws, all, 'WebSocket');
  equal(got.poll, all.slice(1), 'poll');
  check(got.secure, 'not a secure context');
});

page('a page that asks for more at a time than there are slots gets it all', 'ec slots=2',
  async (s, p) => {
    await p.goto(`${s.url}/healthz`);
    const statuses = await within(40_000, 'the answers', p.evaluate(() => Promise.all(
      [...Array(24).keys()].map((i) => fetch(`/stats?${i}`).then((r) => r.status)))));
    equal(statuses, Array(24).fill(200), 'statuses');
  });

await runAll(only);
