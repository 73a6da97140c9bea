// The proxies of proxies.test.mjs: each is started in the foreground on free ports of 127.0.0.1
// with files of its own in a temporary folder, and ended by its process.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { afterTest, check, freePort, until, within } from '../clients/harness.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));

function answers(port) {
  return new Promise((done) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => { socket.destroy(); done(true); });
    socket.on('error', () => done(false));
  });
}

// Every proxy compresses what it may, passes on Host and the address of its client, and logs the
// path of each request that it sent to the server.
const nginx = (at, up, port, http10, unbuffered) => `
daemon off;
master_process off;
pid ${at}/nginx.pid;
error_log ${at}/error.log info;
events { worker_connections 256; }
http {
  map $upstream_addr $sent { '' 0; default 1; }
  log_format paths 'sent $request_uri';
  access_log ${at}/access.log paths if=$sent;
  client_body_temp_path ${at}/body; proxy_temp_path ${at}/proxy; fastcgi_temp_path ${at}/fastcgi;
  uwsgi_temp_path ${at}/uwsgi; scgi_temp_path ${at}/scgi;
  client_max_body_size 16m;
  gzip on; gzip_proxied any; gzip_min_length 1;
  gzip_types text/event-stream text/plain application/json;
  map $http_upgrade $how { default 'upgrade, keep-alive'; '' ''; }
  upstream up { server 127.0.0.1:${up}; keepalive 8; }
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  server { # as its manual says for WebSockets
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://up; proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $how;
    }
  }
  server { # by default: HTTP/1.0, a connection for each request
    listen 127.0.0.1:${http10};
    location / { proxy_pass http://127.0.0.1:${up}; }
  }
  server { # bodies are passed on as they come, so also in chunks
    listen 127.0.0.1:${unbuffered};
    location / {
      proxy_pass http://up; proxy_http_version 1.1; proxy_request_buffering off;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header Connection '';
    }
  }
}
`;

const haproxy = (up, port) => `
global
  maxconn 256
  log stdout format raw daemon
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 60s
  log global
  log-format "%s %HU"
  option http-keep-alive
  option forwardfor
  http-reuse always
  compression algo gzip
  compression type text/event-stream text/plain application/json
frontend in
  bind 127.0.0.1:${port}
  default_backend out
backend out
  server sent 127.0.0.1:${up}
`;

const caddy = (up, port) => `{
  admin off
  auto_https off
}
http://127.0.0.1:${port}, http://localhost:${port} {
  bind 127.0.0.1
  log {
    output stdout
  }
  encode gzip
  reverse_proxy 127.0.0.1:${up}
}
`;

const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));

// Starts a program and waits until it listens on all ports. Returns what gives its output so far.
async function start(what, program, args, ports, env = {}) {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin`, ...env },
  });
  let text = '';
  let over = null;
  children.add(child);
  child.stdout.on('data', (d) => { text += d; });
  child.stderr.on('data', (d) => { text += d; });
  const ended = new Promise((done) => {
    child.on('error', (error) => { text += error.message; done(); });
    child.on('exit', done);
  }).then(() => { over = true; children.delete(child); });
  afterTest(async () => {
    child.kill('SIGTERM');
    await within(5_000, `${what} to end`, ended).catch(() => child.kill('SIGKILL'));
  });
  for (const port of ports) {
    await until(`${what} to listen`, () => {
      check(!over, `${what} ended: ${text.slice(-1500)}`);
      return answers(port);
    }, 20_000);
  }
  return () => text;
}

const count = (text, pattern) => (text.match(pattern) || []).length;

// Each starts a proxy before the server on port `up`. Gives the port it listens on, and how many
// requests for `path` it has sent to the server.
async function startNginx(up, which) {
  const at = await mkdtemp(join(tmpdir(), 'rtpush-nginx-'));
  afterTest(() => rm(at, { recursive: true, force: true }));
  const ports = [await freePort(), await freePort(), await freePort()];
  await writeFile(join(at, 'nginx.conf'), nginx(at, up, ...ports));
  await start('nginx', 'nginx', ['-p', at, '-c', join(at, 'nginx.conf'), '-e', `${at}/start.log`],
    ports);
  return {
    port: ports[which],
    sent: async (path) => count(await readFile(join(at, 'access.log'), 'utf8'),
      new RegExp(`^sent ${path}$`, 'gm')),
  };
}

async function startHaproxy(up) {
  const at = await mkdtemp(join(tmpdir(), 'rtpush-haproxy-'));
  afterTest(() => rm(at, { recursive: true, force: true }));
  const port = await freePort();
  await writeFile(join(at, 'haproxy.cfg'), haproxy(up, port));
  const output = await start('haproxy', 'haproxy', ['-db', '-f', join(at, 'haproxy.cfg')], [port]);
  return { port, sent: async (path) => count(output(), new RegExp(`^sent ${path}$`, 'gm')) };
}

async function startCaddy(up) {
  const at = await mkdtemp(join(tmpdir(), 'rtpush-caddy-'));
  afterTest(() => rm(at, { recursive: true, force: true }));
  const port = await freePort();
  await writeFile(join(at, 'Caddyfile'), caddy(up, port));
  const output = await start('caddy', 'caddy', ['run', '--config', join(at, 'Caddyfile'),
    '--adapter', 'caddyfile'], [port], { HOME: at, XDG_DATA_HOME: at, XDG_CONFIG_HOME: at });
  return { port, sent: async (path) => count(output(), new RegExp(`"uri":"${path}"`, 'g')) };
}

async function startHttpProxy(up) {
  const port = await freePort();
  const output = await start('http-proxy', process.execPath, [join(here, 'http-proxy.mjs'),
    String(port), String(up)], [port]);
  return { port, sent: async (path) => count(output(), new RegExp(`^sent ${path}$`, 'gm')) };
}

export const PROXIES = [
  { name: 'nginx', websocket: true, start: (up) => startNginx(up, 0) },
  { name: 'nginx by HTTP/1.0', http10: true, start: (up) => startNginx(up, 1) },
  { name: 'nginx without buffers', start: (up) => startNginx(up, 2) },
  { name: 'HAProxy', websocket: true, start: startHaproxy },
  { name: 'Caddy', websocket: true, start: startCaddy },
  { name: 'http-proxy', websocket: true, start: startHttpProxy },
];
