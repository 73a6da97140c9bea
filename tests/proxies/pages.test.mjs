// Pages behind nginx, HAProxy and Caddy: they keep their origin, other sites stay foreign, what a
// proxy forbids by path stays forbidden, what it adds to a request is taken. Each test has its own
// rules, so this is apart from proxies.test.mjs, where bodies and streams are.
//     node tests/proxies/pages.test.mjs HUB ACCESS [PART OF A TEST NAME]
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {
  afterTest, ask, call, check, equal, openEvents, request, runAll, test, until, withServer,
} from '../clients/harness.mjs';

const [hub, access, only] = process.argv.slice(2);
if (!access) {
  console.log('usage: node tests/proxies/pages.test.mjs HUB ACCESS [PART OF A TEST NAME]');
  process.exit(2);
}

// -- proxies --------------------------------------------------------------------------------------
// `denies` is a rule for a path, to keep clients outside from publishing; `host` is what nginx
// sends as Host.

const proxies = {
  nginx: {
    config: (port, to, { host = '$http_host', denies }) => `
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {
    listen 127.0.0.1:${port};
    ${denies ? `location ${denies} { return 403; }` : ''}
    location / {
      proxy_pass http://127.0.0.1:${to};
      proxy_http_version 1.1;
      proxy_set_header Host ${host};
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header Connection "";
    }
  }
}
`,
    command: (file, dir) => ['nginx', '-p', dir, '-e', 'stderr', '-c', file],
  },
  haproxy: {
    config: (port, to, { denies }) => `
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option forwardfor
listen hub
  bind 127.0.0.1:${port}
  ${denies ? `http-request deny if { path_beg ${denies} }` : ''}
  server device 127.0.0.1:${to}
`,
    command: (file) => ['haproxy', '-db', '-f', file],
  },
  caddy: {
    config: (port, to, { denies }) => `
{
  admin off
  auto_https off
}
http://127.0.0.1:${port} {
  bind 127.0.0.1
  ${denies ? `respond ${denies}* 403` : ''}
  reverse_proxy 127.0.0.1:${to}
}
`,
    command: (file) => ['caddy', 'run', '--adapter', 'caddyfile', '--config', file],
  },
};

const freePort = () => new Promise((done, fail) => {
  const server = net.createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => done(port));
  });
  server.on('error', fail);
});

const listens = (port) => new Promise((done) => {
  const c = net.connect(port, '127.0.0.1', () => {
    c.destroy();
    done(true);
  });
  c.on('error', () => done(false));
});

// A proxy before port `to`, for the test under way: { port, url }.
async function before(to, kind, options = {}) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'rtpush-proxy-'));
  const port = await freePort();
  const file = path.join(dir, 'config');
  fs.writeFileSync(file, proxies[kind].config(port, to, options));
  const [program, ...args] = proxies[kind].command(file, dir);
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, HOME: dir, PATH: `${process.env.PATH}:/usr/sbin` },
  });
  let text = '';
  child.stdout.on('data', (d) => { text += d; });
  child.stderr.on('data', (d) => { text += d; });
  child.on('error', (error) => { text += error.message; });
  const ended = new Promise((done) => { child.on('close', done); });
  afterTest(async () => {
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), 2_000);
    await ended;
    clearTimeout(late);
    fs.rmSync(dir, { recursive: true, force: true });
  });
  await until(`${kind} to listen`, async () => {
    check(child.exitCode === null, `${kind} ended: ${text.slice(-800)}`);
    return listens(port);
  });
  return { port, url: `http://127.0.0.1:${port}` };
}

const HUB = ['--port', 0, '--topics', 'a,b'];
function behind(name, use, { options, kinds = Object.keys(proxies), binary = hub } = {}) {
  for (const kind of kinds) {
    test(`${kind}: ${name}`, () => (
      withServer(binary, binary === hub ? HUB : ['--port', 0], async (s) => (
        use(await before(s.port, kind, options), s, kind)))), 40_000);
  }
}

const publish = (s, text, headers = {}) => (
  call(`${s.url}/publish/a`, { method: 'POST', headers, body: text }));

// -- pages ----------------------------------------------------------------------------------------

behind('a page publishes from its own origin, and no other site does', async (p) => {
  equal((await publish(p, 'x', { Origin: p.url })).status, 200, 'own');
  for (const origin of ['http://evil.example', 'http://127.0.0.1:1', 'null']) {
    equal((await publish(p, 'x', { Origin: origin })).status, 403, origin);
  }
  equal((await publish(p, 'x', { 'Sec-Fetch-Site': 'cross-site' })).status, 403, 'by an image');
});

// A proxy that ends TLS and names the port: RFC 6454 4, the port is that of the scheme.
behind('the port it adds to Host does not make a page foreign', async (p) => {
  equal((await publish(p, 'x', { Origin: 'https://127.0.0.1' })).status, 200, 'https');
  equal((await publish(p, 'x', { Origin: 'https://127.0.0.1:443' })).status, 200, ':443');
  equal((await publish(p, 'x', { Origin: 'http://127.0.0.1' })).status, 403, 'http is port 80');
}, { options: { host: '$host:443' }, kinds: ['nginx'] });

// -- rules and fields of proxies ------------------------------------------------------------------

// RFC 3986 2.2: to a proxy that does not decode, /publish%2Fa does not begin with /publish/.
behind('what it forbids by path is not reached by an escape', async (p, s) => {
  const r = await openEvents(`${s.url}/events?topics=a`);
  for (const target of ['/publish/a', '/publish%2Fa', '/publish%2fa', '/%70ublish%2Fa',
    '/x/..%2Fpublish%2Fa', '/publish%5Ca', '/publish%252Fa']) {
    const answer = await ask(p.port, request('POST', target, {
      Host: `127.0.0.1:${p.port}`, 'Content-Length': '4' }, 'evil'));
    check(answer.status >= 400, `${target} is answered ${answer.status}`);
  }
  await publish(s, 'good');
  await r.wait('the event', () => r.events.length > 0);
  equal(r.events.map((e) => e.data), ['good'], 'what was published');
  r.close();
}, { options: { denies: '/publish/' } });

// HAProxy adds a line to one that the client sent; the last one is the proxy's.
behind('the client it names is the one it saw', async (p) => {
  const seen = async (headers) => (await call(`${p.url}/seen`, { headers })).body;
  check(/^for=127\.0\.0\.1 /.test(await seen({})), await seen({}));
  const forged = await seen({ 'X-Forwarded-For': '10.9.8.7' });
  check(/^for=(10\.9\.8\.7, )?127\.0\.0\.1 /.test(forged), forged);
}, { binary: access });

behind('a refusal reaches the client as it was given', async (p) => {
  for (const [target, status] of [['/nothing', 404], ['/poll?topics=a&timeout=0.5', 400],
    ['/events?topics=zzz', 404], [`/${'x'.repeat(5000)}`, 414]]) {
    equal((await call(`${p.url}${target}`)).status, status, target.slice(0, 40));
  }
  equal((await call(`${p.url}/healthz`, { method: 'DELETE' })).status, 405, 'DELETE');
});

await runAll(only);
