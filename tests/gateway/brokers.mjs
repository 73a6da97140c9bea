// What the gateway's tests start beside the gateways: brokers and HAProxy, in the foreground, on
// free ports of 127.0.0.1, with files of their own in a temporary folder, ended by their process.
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import {
  cp, mkdtemp, readdir, readFile, rm, writeFile,
} from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import {
  afterTest, check, equal, freePort, run, sleep, suspend, until, within,
} from '../clients/harness.mjs';

// In a network namespace of the test (cut.sh) a broker is reached by all addresses of it.
const LISTEN = process.env.RTPUSH_PEER ? '0.0.0.0' : '127.0.0.1';

const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));

function answers(port) {
  return new Promise((done) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => { socket.destroy(); done(true); });
    socket.on('error', () => done(false));
  });
}

export async function folder(name) {
  const at = await mkdtemp(join(tmpdir(), `rtpush-${name}-`));
  afterTest(() => rm(at, { recursive: true, force: true }));
  return at;
}

// A certificate for one name or address, which is its own authority.
export async function certificate(at, subject = 'IP:127.0.0.1') {
  const { code, text } = await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt',
    'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${at}/key.pem`, '-out', `${at}/cert.pem`,
    '-subj', '/CN=test', '-addext', `subjectAltName=${subject}`, '-days', '2']);
  equal(code, 0, text);
  return { cert: `${at}/cert.pem`, key: `${at}/key.pem` };
}

// A program that listens on a port. kill: with a signal, and waits for its end; again: starts it
// anew. kept: not ended with the test, but with the process. asks: it reads commands from d.input.
export async function daemon(program, args, port, { env = {}, kept = false, asks = false } = {}) {
  const d = { port, text: '' };
  d.again = async () => {
    const child = spawn(program, args, {
      stdio: [asks ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin`, ...env },
    });
    let over = false;
    d.over = () => over;
    children.add(child);
    child.stdout.on('data', (data) => { d.text += data; });
    child.stderr.on('data', (data) => { d.text += data; });
    const ended = new Promise((done) => {
      child.on('error', (error) => { d.text += error.message; done(); });
      child.on('exit', done);
    }).then(() => { over = true; children.delete(child); });
    d.input = child.stdin;
    d.signal = (signal) => (signal === 'SIGSTOP' ? suspend(child) : child.kill(signal));
    d.kill = (signal = 'SIGKILL') => {
      child.kill(signal);
      return within(5_000, `${program} to end`, ended);
    };
    await until(`${program} to listen`, () => {
      check(!over, `${program} ended: ${d.text.slice(-1500)}`);
      return answers(port);
    }, kept ? 60_000 : 20_000);
  };
  if (!kept) {
    afterTest(async () => {
      d.signal('SIGCONT');
      await d.kill('SIGKILL');
    });
  }
  await d.again();
  return d;
}

// durable: what was acknowledged is there after a restart.
async function startRedis({ durable = false, args = [], password = '' } = {}) {
  const at = await folder('redis');
  const port = await freePort();
  const d = await daemon('redis-server', ['--port', port, '--bind', LISTEN, '--dir', at,
    '--protected-mode', 'no', // which would refuse who comes from elsewhere in the namespace
    '--save', '', '--appendonly', durable ? 'yes' : 'no', '--daemonize', 'no',
    '--appendfsync', 'always', // everysec puts writes off while the disk is busy
    ...(password ? ['--requirepass', password] : []), ...args].map(String), port);
  const cli = async (args, input) => {
    const all = ['-p', String(port), ...(password ? ['-a', password, '--no-auth-warning'] : []),
      ...(input === undefined ? [] : ['-x']), ...args];
    const { code, text } = await run('redis-cli', all, { input: input ?? '' });
    equal(code, 0, `redis-cli ${args.join(' ')}: ${text}`);
    return text.trim();
  };
  d.cli = cli;
  d.url = `redis://${password ? `:${password}@` : ''}127.0.0.1:${port}/ev`;
  // Puts an event into the stream as another gateway would: its topic and its bytes.
  d.put = async (topic, data) => {
    const last = (await cli(['XINFO', 'STREAM', 'ev'])).split('\n');
    const id = last[last.indexOf('last-generated-id') + 1];
    return cli(['XADD', 'ev', `${id.split('-')[0]}-*`, 't', topic, 'd'], data);
  };
  // Is this the value that is kept of a topic?
  d.kept = (topic, value) => async () => {
    await sleep(200);
    return (await cli(['HGET', 'ev:values', topic])).endsWith(` ${value}`);
  };
  d.remove = () => cli(['DEL', 'ev']);
  d.trim = (keep) => cli(['XTRIM', 'ev', 'MAXLEN', '=', String(keep)]);
  // Goes back to an earlier state, as a power cut may do, while the gateways are told that it
  // cannot.
  d.snapshot = () => cli(['SAVE']);
  d.rollback = async () => {
    await d.kill();
    await d.again();
  };
  d.sure = `${d.url}?durable=1`;
  return d;
}

// A few commands of the NATS protocol, on a connection of its own: what one is answered.
async function natsAsk(port, subject, data) {
  const socket = net.connect(port, '127.0.0.1');
  let text = '';
  socket.on('data', (d) => { text += d.toString('latin1'); });
  socket.on('error', () => {});
  afterTest(() => socket.destroy());
  const bytes = Buffer.from(data);
  socket.write('CONNECT {"verbose":false}\r\nSUB _INBOX.t 1\r\n');
  socket.write(Buffer.concat([Buffer.from(`PUB ${subject} _INBOX.t ${bytes.length}\r\n`), bytes,
    Buffer.from('\r\n')]));
  await until(`an answer to ${subject}`, () => /MSG _INBOX.t 1 +\d+\r\n[^]*\r\n/.test(text));
  socket.destroy();
  check(!/"error"|-ERR/.test(text), `${subject}: ${text}`);
  return text;
}

async function startNats({ durable = false, password = '', secure = false } = {}) {
  const at = await folder('nats');
  const tls = secure ? await certificate(at) : null;
  const port = await freePort();
  const d = await daemon('nats-server', ['-a', LISTEN, '-p', port, '-js', '-sd', `${at}/now`,
    ...(tls ? ['--tls', '--tlscert', tls.cert, '--tlskey', tls.key] : []),
    ...(password ? ['--user', 'me', '--pass', password] : [])].map(String), port);
  d.sure = `nats://${password ? `me:${password}@` : ''}127.0.0.1:${port}/ev`;
  d.tls = tls;
  d.over = `nats://127.0.0.1:${port}/ev?tls=1`;
  d.overOther = `nats://localhost:${port}/ev?tls=1`;
  d.url = durable ? d.sure : `${d.sure}?memory=1`;
  d.put = (topic, data) => natsAsk(port, `ev.${topic}`, data);
  d.kept = (topic, value) => async () => {
    await sleep(200);
    const text = await natsAsk(port, '$JS.API.STREAM.MSG.GET.KV_rtpush_values',
      JSON.stringify({ last_by_subj: `$KV.rtpush_values.ev.${topic}` })).catch(() => '');
    const data = /"data":"([^"]*)"/.exec(text)?.[1] ?? '';
    return Buffer.from(data, 'base64').toString().endsWith(` ${value}`);
  };
  d.remove = () => natsAsk(port, '$JS.API.STREAM.DELETE.ev', '');
  d.trim = (keep) => natsAsk(port, '$JS.API.STREAM.PURGE.ev', JSON.stringify({ keep }));
  d.snapshot = async () => {
    await d.kill('SIGTERM');
    await cp(`${at}/now`, `${at}/then`, { recursive: true });
    await d.again();
  };
  d.rollback = async () => {
    await d.kill();
    await rm(`${at}/now`, { recursive: true });
    await cp(`${at}/then`, `${at}/now`, { recursive: true });
    await d.again();
  };
  return d;
}

// RabbitMQ needs seconds of a core to start: one for all tests, started before them, so that the
// limit of none has to hold it; each test has a stream of its own.
// Not by the wrapper in /usr/sbin, which changes the user. epmd is ours, or Erlang would start one
// that stays.
let shared = null;
async function prepareRabbit() {
  const at = await mkdtemp(join(tmpdir(), 'rtpush-rabbit-'));
  process.on('exit', () => rmSync(at, { recursive: true, force: true }));
  const [port, distribution, epmd] = [await freePort(), await freePort(), await freePort()];
  await writeFile(`${at}/plugins`, '[].');
  await writeFile(`${at}/environment`, '');
  const tls = await certificate(at, 'DNS:localhost'); // rabbitmq-c 0.11 verifies no addresses
  const secure = await freePort();
  await writeFile(`${at}/rabbit.conf`, `default_user = me
default_pass = right
listeners.ssl.1 = 127.0.0.1:${secure}
ssl_options.certfile = ${tls.cert}
ssl_options.keyfile = ${tls.key}
`);
  const env = {
    HOME: at, // for the cookie
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_EPMD_PORT: String(epmd),
    RUNNING_UNDER_SYSTEMD: '1', // the script becomes the server
    RABBITMQ_NODENAME: 'rtpush@localhost',
    RABBITMQ_NODE_IP_ADDRESS: LISTEN,
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_MNESIA_BASE: `${at}/now`,
    RABBITMQ_LOG_BASE: `${at}/log`,
    RABBITMQ_ENABLED_PLUGINS_FILE: `${at}/plugins`,
    RABBITMQ_CONFIG_FILE: `${at}/rabbit.conf`,
    RABBITMQ_CONF_ENV_FILE: `${at}/environment`,
    RABBITMQ_PID_FILE: `${at}/pid`,
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1} '
      + '+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none', // one scheduler, which does not spin
  };
  await daemon('epmd', [], epmd, { env, kept: true });
  const lib = '/usr/lib/rabbitmq/lib';
  const [version] = await readdir(lib);
  const scripts = `${lib}/${version}/sbin`;
  const d = await daemon('sh', [`${scripts}/rabbitmq-server`], port, { env, kept: true });
  shared = Object.assign(d, { at, env, scripts, tls, secure });
}

// A node that is killed a moment after its first stream was made has not written down that it has
// streams, and says of each for ever that it is down.
const knowsStreams = async (at) => (
  await readFile(`${at}/now/rtpush@localhost/coordination/rtpush@localhost/names.dets`, 'latin1')
    .catch(() => '')).includes('rabbit_stream_coordinator');

let streams = 0;
async function startRabbit({ durable = false, maxbytes = 100_000_000 } = {}) {
  if (shared.over()) {
    await shared.again();
  }
  const stream = `ev${++streams}`;
  const { at, port } = shared;
  const server = `amqp://me:right@127.0.0.1:${port}`;
  const url = `${server}/${stream}?maxbytes=${maxbytes}`;
  const tool = async (program, args, input = '', expected = 0) => {
    const { code, text } = await run(program, ['-u', server, ...args], { input });
    equal(code, expected, `${program} ${args.join(' ')}: ${text}`);
    return text;
  };
  afterTest(() => shared.signal('SIGCONT'));
  return {
    port,
    url,
    sure: url,
    tls: shared.tls,
    over: `amqps://me:right@localhost:${shared.secure}/${stream}`,
    overOther: `amqps://me:right@127.0.0.1:${shared.secure}/${stream}`,
    signal: (signal) => shared.signal(signal),
    kill: async (signal) => {
      if (durable) {
        await until('RabbitMQ to know its streams after a restart', () => knowsStreams(at));
      }
      return shared.kill(signal);
    },
    again: async () => {
      if (!durable) {
        await rm(`${at}/now`, { recursive: true });
      }
      await shared.again();
    },
    put: (topic, data) => tool('amqp-publish', ['-e', 'amq.topic', '-r', `${stream}.${topic}`],
      data),
    foreign: (data) => tool('amqp-publish', ['-r', stream], data), // not by its exchange
    queue: () => tool('amqp-declare-queue', ['-d', '-q', stream]), // that is no stream
    get: () => tool('amqp-get', ['-q', stream]),
    getNone: () => tool('amqp-get', ['-q', stream], '', 2),
    // An alarm as of a machine without memory, or its end.
    alarm: async (on) => {
      const term = on ? 'set_alarm({{resource_limit, memory, node()}, []})'
        : 'clear_alarm({resource_limit, memory, node()})';
      const { code, text } = await run('env', [
        ...Object.entries(shared.env).map(([key, value]) => `${key}=${value}`), 'sh',
        `${shared.scripts}/rabbitmqctl`, '-n', 'rtpush@localhost', 'eval', `rabbit_alarm:${term}.`],
      { ms: 60_000 });
      equal(code, 0, `rabbitmqctl: ${text}`);
    },
    remove: () => tool('amqp-delete-queue', ['-q', stream]),
    snapshot: async () => {
      await shared.kill('SIGTERM');
      await rm(`${at}/then`, { recursive: true, force: true });
      await cp(`${at}/now`, `${at}/then`, { recursive: true });
      await shared.again();
    },
    rollback: async () => {
      await shared.kill();
      await rm(`${at}/now`, { recursive: true });
      await cp(`${at}/then`, `${at}/now`, { recursive: true });
      await shared.again();
    },
  };
}

// HAProxy in the place of a broker that speaks TLS.
async function startTls(at, port, to) {
  const tls = await certificate(at);
  await writeFile(`${at}/both.pem`, await readFile(tls.cert, 'utf8')
    + await readFile(tls.key, 'utf8'));
  await writeFile(`${at}/haproxy.cfg`, `
defaults
  mode tcp
  timeout connect 1s
  timeout client 60s
  timeout server 60s
listen tls
  bind 127.0.0.1:${port} ssl crt ${at}/both.pem
  server broker 127.0.0.1:${to}
`);
  await daemon('haproxy', ['-db', '-f', `${at}/haproxy.cfg`], port);
  return tls;
}

// Kafka's mock, which has its messages in memory: durable is away and back, not a restart. An empty
// Fetch is answered after its whole time, so that is short here, by a file of properties. The mock
// has no TLS: with `secure` it tells its clients the port of a proxy that has.
async function startKafka({ durable = false, secure = false } = {}) {
  const at = await folder('kafka');
  const port = await freePort();
  const proxy = secure ? await freePort() : port;
  const tls = secure ? await startTls(at, proxy, port) : null;
  await writeFile(`${at}/config`, '# of the tests\n\nfetch.wait.max.ms=100\n'
    + `security.protocol=${secure ? 'ssl' : 'plaintext'}\n`);
  const d = await daemon('build/kafka-mock', [`${port}:${proxy}`, 'ev=1', 'ev.epoch=1', 'wide=4',
    'wide.epoch=1'], port, { asks: true });
  d.say = async (command) => {
    const count = d.text.split('ok\n').length;
    d.input.write(`${command}\n`);
    await until(`kafka-mock to obey: ${command}`, () => d.text.split('ok\n').length > count);
  };
  d.tls = tls;
  d.server = `127.0.0.1:${proxy}`;
  d.url = `kafka://${d.server}/ev?config=${at}/config`;
  d.over = d.url;
  d.overOther = d.url.replace('127.0.0.1', 'localhost');
  d.sure = d.url;
  if (durable) {
    d.kill = () => d.say('down');
    d.again = () => d.say('up');
  }
  d.put = async (key, data, topic = 'ev') => {
    const { code, text } = await run('kcat', ['-P', '-b', d.server, '-t', topic, '-k', key],
      { input: data });
    equal(code, 0, `kcat: ${text}`);
  };
  return d;
}

// A hub in the place of a device. secure: over TLS, with the certificate of build/cert.
async function startDevice({ args = [], secure = false } = {}) {
  const port = await freePort();
  const d = await daemon(secure ? 'build/hub-tls' : 'build/hub',
    ['--port', port, '--topics', 'a,b,c', ...args].map(String), port,
    { env: secure ? { RTPUSH_TLS: 'ec' } : {} });
  d.direct = `http${secure ? 's' : ''}://127.0.0.1:${port}`;
  d.url = `${d.direct}/events?topics=a,b,c`;
  return d;
}

// prepare: what all tests of a broker share is started, before the first of them.
export const BROKERS = {
  redis: { start: startRedis, nowhere: (port) => `redis://127.0.0.1:${port}/ev` },
  nats: { start: startNats, nowhere: (port) => `nats://127.0.0.1:${port}/ev` },
  rabbit: {
    prepare: prepareRabbit,
    start: startRabbit,
    nowhere: (port) => `amqp://127.0.0.1:${port}/ev`,
  },
  kafka: { start: startKafka, nowhere: (port) => `kafka://127.0.0.1:${port}/ev` },
  http: { start: startDevice },
};

// In front of gateways on these ports, or at these addresses with ports, without stickiness.
export async function startHaproxy(ports) {
  const at = await folder('haproxy');
  const port = await freePort();
  const file = join(at, 'haproxy.cfg');
  await writeFile(file, `
global
  maxconn 2000
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
  option redispatch
  option abortonclose
frontend in
  bind 127.0.0.1:${port}
  http-request return status 200 content-type text/event-stream ${''
}lf-string "retry: %[rand(1000),add(300)]\\n\\n" if { path_beg /events } { nbsrv(g) eq 0 }
  default_backend g
backend g
  balance leastconn
  option httpchk GET /healthz
  http-check disable-on-404
  default-server check inter 200ms fall 2 rise 1 on-marked-down shutdown-sessions
${ports.map((p) => (typeof p === 'number' ? `127.0.0.1:${p}` : p))
    .map((address, i) => `  server g${i} ${address}\n`).join('')}`);
  return daemon('haproxy', ['-db', '-f', file], port);
}

// The same by nginx, as README.md of the gateway has it.
export async function startNginx(ports) {
  const at = await folder('nginx');
  const port = await freePort();
  const file = join(at, 'nginx.conf');
  const pass = `proxy_pass http://gateways;
      proxy_http_version 1.1;
      proxy_buffering off;
      proxy_read_timeout 60s;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_next_upstream error timeout;`;
  await writeFile(file, `
daemon off;
master_process off;
pid ${at}/nginx.pid;
error_log ${at}/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path ${at}/body; proxy_temp_path ${at}/proxy; fastcgi_temp_path ${at}/fastcgi;
  uwsgi_temp_path ${at}/uwsgi; scgi_temp_path ${at}/scgi;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream gateways {
    least_conn;
    ${ports.map((p) => `server 127.0.0.1:${p} max_fails=1 fail_timeout=2s;`).join(' ')}
  }
  server {
    listen 127.0.0.1:${port};
    location / { ${pass} }
    location /events {
      ${pass}
      error_page 502 503 504 =200 @away;
    }
    location @away { default_type text/event-stream; return 200 "retry: 500\n\n"; }
  }
}
`);
  return daemon('nginx', ['-p', at, '-c', file, '-e', `${at}/start.log`], port);
}

// TLS, HTTP/2 and HTTP/3 by Caddy, as README.md of the gateway has it, with shorter times and a log
// of the requests that have ended: { path, proto, port }, port being the client's.
export async function startCaddy(ports) {
  const at = await folder('caddy');
  const port = await freePort();
  const file = join(at, 'Caddyfile');
  const cert = join(process.cwd(), 'build/cert/ec');
  await writeFile(file, `{
  admin off
  auto_https disable_redirects
  storage file_system ${at}
}
https://localhost:${port} {
  bind 127.0.0.1
  log {
    output file ${at}/access.log
  }
  tls ${cert}.pem ${cert}.key
  reverse_proxy ${ports.map((p) => `127.0.0.1:${p}`).join(' ')} {
    flush_interval -1
    lb_policy least_conn
    lb_try_duration 1s
    health_uri /healthz
    health_interval 200ms
    health_timeout 1s
  }
  handle_errors {
    @events path /events
    header @events Content-Type text/event-stream
    respond @events "retry: 300

" 200
    respond 503
  }
}
`);
  const d = await daemon('caddy', ['run', '--adapter', 'caddyfile', '--config', file], port,
    { env: { HOME: at, XDG_DATA_HOME: at, XDG_CONFIG_HOME: at } });
  d.url = `https://localhost:${port}`;
  d.log = async () => (await readFile(`${at}/access.log`, 'utf8')).trim().split('\n')
    .map((line) => JSON.parse(line).request)
    .map((r) => ({ path: r.uri.split('?')[0], proto: r.proto, port: r.remote_port }));
  return d;
}
