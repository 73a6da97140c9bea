// What the client tests share: a runner, servers started and ended by process id, raw sockets, and
// small readers for HTTP answers and event streams. Nothing here waits without a limit.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import process from 'node:process';
import tls from 'node:tls';
import { patience } from '../patience.mjs';

const TEST_MS = 30_000; // one test
const ALL_MS = 1000 * (process.env.RTPUSH_LIMIT_S ?? 2_200); // all of them; by run.sh for a suite

// Over TLS if RTPUSH_TLS is set; the test CA comes by NODE_EXTRA_CA_CERTS and CURL_CA_BUNDLE.
export const secure = 'RTPUSH_TLS' in process.env;

// A TCP port of 127.0.0.1 that nobody listens on now.
export async function freePort() {
  const server = net.createServer();
  await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
  const { port } = server.address();
  await new Promise((done) => { server.close(done); });
  return port;
}

const S = secure ? 's' : '';
const web = secure ? https : http;

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// -- runner ---------------------------------------------------------------------------------------

const tests = [];
const children = new Set();

export function test(name, run, ms = TEST_MS, group = null) {
  tests.push({ name, run, ms, group });
}

// Tests of requests that leave nothing behind, beside one another, have one server: to start one
// costs more than they do. A group of them is made by `const on = onOneServer(binary, args)` and
// `on(name, use)`. The last one examines its end, as withServer does; after one that failed the
// next one starts another server.
export function onOneServer(binary, args) {
  const group = { server: null, failures: 0 };
  return (name, use) => test(name, async (last) => {
    const server = group.server ?? await startSearched(binary, args);
    const { failures } = group;
    group.server = null;
    await use(server);
    if (last) {
      await finish(binary, server);
    } else if (group.failures === failures) { // else its time was over before
      group.server = server;
    }
  }, TEST_MS, group);
}

export function check(condition, message) {
  if (!condition) {
    throw new Error(message);
  }
}

export function equal(actual, expected, what = 'value') {
  const a = JSON.stringify(actual);
  const b = JSON.stringify(expected);
  if (a !== b) {
    throw new Error(`${what}: got ${shorten(a)}, expected ${shorten(b)}`);
  }
}

function shorten(text) {
  return text && text.length > 300 ? `${text.slice(0, 300)}... (${text.length})` : text;
}

// Rejects if `promise` takes longer than ms (by patience.mjs).
export function within(ms, what, promise) {
  let timer;
  const most = ms * patience();
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing after ${most} ms`)), most);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Waits until `probe` (may be async) gives something true, and returns that.
export async function until(what, probe, ms = 10_000) {
  const most = ms * patience();
  const end = Date.now() + most;
  for (;;) {
    const value = await probe();
    if (value) {
      return value;
    }
    if (Date.now() > end) {
      throw new Error(`${what}: not within ${most} ms`);
    }
    await sleep(10);
  }
}

// CPU seconds of this process and of its children that have ended. With RTPUSH_CPU=1 each test says
// what it took.
function cpuSeconds() {
  const { userCPUTime, systemCPUTime } = process.resourceUsage();
  const stat = fs.readFileSync('/proc/self/stat', 'latin1').split(') ')[1].split(' ');
  return (userCPUTime + systemCPUTime) / 1e6 + (Number(stat[13]) + Number(stat[14])) / 100;
}

export async function runAll(only) {
  let passed = 0;
  let failed = 0;
  const report = () => console.log(`${passed} passed, ${failed} failed`);
  const overall = setTimeout(() => {
    console.log(`FAIL the tests together took longer than ${ALL_MS} ms`);
    failed += 1;
    report();
    endChildren();
    process.exit(1);
  }, ALL_MS);
  let cpu = cpuSeconds();
  const chosen = tests.filter(({ name }) => !only || name.includes(only));
  for (const [i, { name, run, ms, group }] of chosen.entries()) {
    const last = !group || group !== chosen[i + 1]?.group;
    try {
      await within(ms, 'the test', run(last));
      passed += 1;
    } catch (error) {
      failed += 1;
      if (group) {
        group.failures += 1;
      }
      console.log(`FAIL ${name}\n    ${error.message}`);
      const where = (error.stack || '').split('\n').find((l) => l.includes('.test.mjs'));
      if (where) {
        console.log(`    ${where.trim().replace(/file:.*\//, '').replace(/[()]/g, '')}`);
      }
    }
    await endAllOf(leftOvers);
    if (!group?.server) {
      await endAllOf(running);
    }
    if (process.env.RTPUSH_CPU) {
      const now = cpuSeconds();
      console.log(`${(now - cpu).toFixed(2)} s  ${name}`);
      cpu = now;
    }
  }
  clearTimeout(overall);
  endChildren();
  report();
  process.exit(failed || !passed ? 1 : 0);
}

// -- servers --------------------------------------------------------------------------------------

const leftOvers = new Set(); // how to end the sockets and proxies of the test under way
const running = new Set(); // ... and its servers

function endChildren() {
  for (const child of children) {
    child.kill('SIGKILL');
  }
}

async function endAllOf(set) {
  for (const end of [...set]) {
    try {
      await within(6_000, 'cleaning up', Promise.resolve(end()));
    } catch (error) {
      console.log(`    ${error.message}`);
    }
  }
  set.clear();
}

process.on('exit', endChildren);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => process.exit(1));
}

// Stops a program until it gets SIGCONT. One of its threads takes the signal, when it is scheduled;
// the others go on until then, so this waits for all.
export async function suspend(child) {
  child.kill('SIGSTOP');
  const tasks = `/proc/${child.pid}/task`;
  const state = (task) => {
    try {
      return fs.readFileSync(`${tasks}/${task}/stat`, 'latin1').replace(/.*\) /s, '')[0];
    } catch {
      return ''; // it ends just now
    }
  };
  await until('a program to stop', () => fs.readdirSync(tasks).every((t) => state(t) === 'T'));
}

// Starts an example and waits for `listening on http://ADDRESS:PORT`, or ws: for echo. A
// sanitizer's report, or an end other than by SIGKILL or with status 0, makes stop() fail.
export async function startServer(binary, ...args) {
  return startIn(process.env, binary, args);
}

async function startIn(env, binary, args) {
  const child = spawn(binary, args.map(String), { stdio: ['ignore', 'pipe', 'pipe'], env });
  children.add(child);
  let text = '';
  const ended = new Promise((done) => {
    child.on('exit', (code, signal) => {
      children.delete(child);
      done({ code, signal });
    });
    child.on('error', (error) => {
      text += error.message;
      done({ code: -1, signal: null });
    });
  });
  child.stdout.on('data', (d) => { text += d; });
  child.stderr.on('data', (d) => { text += d; });
  let over = null;
  ended.then((how) => { over = how; });
  const match = await until(`${binary} ${args.join(' ')} to listen`, () => {
    check(!over, `${binary} ended: ${text.slice(-500)}`);
    return /listening on \w+:\/\/([\d.]+):(\d+)/.exec(text);
  }, 20_000);
  const port = Number(match[2]);
  const server = {
    port,
    url: `http${S}://${match[1]}:${port}`,
    ws: `ws${S}://${match[1]}:${port}`,
    child,
    ended,
    output: () => text,
    // Asks it to end, as an operator does, and looks at how it went.
    async stop(signal = 'SIGTERM') {
      running.delete(stop);
      if (!over) {
        child.kill(signal);
      }
      let how;
      try {
        how = await within(6_000, 'the server to end', ended);
      } catch (error) {
        child.kill('SIGKILL');
        throw error;
      }
      const found = /(ERROR: \w+Sanitizer|runtime error)[^\n]*/.exec(text);
      check(!found, `${found?.[0]}\n${text.slice(-1500)}`);
      if (signal !== 'SIGKILL') {
        equal(how, { code: 0, signal: null }, 'how the server ended');
      }
    },
  };
  const stop = () => {
    if (!over) {
      child.kill('SIGKILL');
    }
    return ended;
  };
  running.add(stop);
  return server;
}

// A server for one test: started, used, stopped, and its end examined. A hub is asked first whether
// all its slots became free when its clients had left.
export async function withServer(binary, args, use) {
  const server = await startSearched(binary, args);
  await use(server);
  await finish(binary, server);
}

// To look for leaks at the end takes as long as all else of a short test, and these servers take
// memory only when they start: it is done for the first one with the same arguments.
const searched = new Set();
function startSearched(binary, args) {
  const what = [binary, ...args].join(' ');
  const leaks = searched.has(what) ? 0 : 1;
  searched.add(what);
  const options = [process.env.ASAN_OPTIONS, `detect_leaks=${leaks}`].filter(Boolean).join(':');
  return startIn({ ...process.env, ASAN_OPTIONS: options }, binary, args);
}

async function finish(binary, server) {
  await endAllOf(leftOvers);
  if (/hub/.test(binary) && server.child.exitCode === null) {
    let numbers = '';
    await until('all slots to be free', async () => {
      const answer = await call(`${server.url}/stats`).catch(() => null);
      numbers = answer?.body;
      const now = answer?.status === 200 && JSON.parse(numbers);
      return now && now.streams === 0 && now.slots_used === 1; // 1 is this very request
    }, 6_000).catch((error) => {
      throw new Error(`${error.message}: ${numbers}`);
    });
  }
  await server.stop();
}

// -- other programs -------------------------------------------------------------------------------

// Runs one, whatever its exit status: { code, text }. Its input ends after `wait` ms.
export function run(program, args, { input = '', wait = 0, ms = 20_000 } = {}) {
  return within(ms, `${program} ${args.join(' ')}`, new Promise((done, fail) => {
    const child = spawn(program, args);
    let text = '';
    afterTest(() => child.kill('SIGKILL'));
    child.on('error', fail);
    child.stdout.on('data', (d) => { text += d; });
    child.stderr.on('data', (d) => { text += d; });
    child.stdin.on('error', () => {});
    child.on('close', (code) => done({ code, text }));
    setTimeout(() => child.stdin.end(input), wait);
  }));
}

// What a program cannot use ends it: rows are [arguments, what it then says, without its usage].
export async function refusesArguments(program, rows) {
  for (const [args, words] of rows) {
    const { code, text } = await run(program, args.map(String));
    check(code > 0 && words.test(text), `${args.join(' ')}: exit ${code}: ${text}`);
  }
  const { code, text } = await run(program, ['--help']);
  check(code === 0 && text.startsWith('usage: '), `--help: exit ${code}: ${text}`);
}

// -- HTTP by hand ---------------------------------------------------------------------------------

// Sessions of TLS by port. What asks once resumes the one before: a whole handshake takes twice the
// time of all the request, and connect, openEvents and WebSockets make enough of them.
const sessions = new Map();

// A connection that keeps all it receives as a latin1 string, one character a byte.
export function connect(port, session) {
  const raw = net.connect({ port, host: '127.0.0.1', noDelay: true });
  const socket = secure ? tls.connect({ socket: raw, host: '127.0.0.1', session }) : raw;
  socket.on('session', (s) => sessions.set(port, s));
  const c = {
    socket,
    resetNow: () => raw.resetAndDestroy(),
    text: '',
    closed: false,
    reset: false,
    write: (data) => socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data),
    // Waits for `probe(text)` to be true; a closed connection ends the wait with an error.
    until: (what, probe, ms = 10_000) => until(what, () => {
      const value = probe(c.text);
      check(value || !c.closed, `${what}: the connection ended after ${JSON.stringify(
        shorten(c.text))}`);
      return value;
    }, ms),
    end: (ms = 10_000) => until('the end of the connection', () => c.closed, ms),
    destroy: () => socket.destroy(),
  };
  socket.on('data', (d) => { c.text += d.toString('latin1'); });
  socket.on('error', () => { c.reset = true; });
  socket.on('close', () => { c.closed = true; });
  const destroy = () => socket.destroy();
  leftOvers.add(destroy);
  socket.on('close', () => leftOvers.delete(destroy));
  return c;
}

// Takes one HTTP answer from the start of text: { status, headers, body, rest }, or null if it is
// not complete. `closed`: the connection has ended, which ends a body without a length.
export function parseAnswer(text, { closed = false, head = false } = {}) {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) {
    return null;
  }
  const lines = text.slice(0, end).split('\r\n');
  const status = /^HTTP\/1\.1 (\d{3}) [ -~]*$/.exec(lines[0]);
  check(status, `not a status line: ${JSON.stringify(lines[0])}`);
  const headers = {};
  for (const line of lines.slice(1)) {
    const m = /^([A-Za-z0-9-]+): ([ -~]*)$/.exec(line);
    check(m, `not a header line: ${JSON.stringify(line)}`);
    check(!(m[1].toLowerCase() in headers), `header ${m[1]} twice`);
    headers[m[1].toLowerCase()] = m[2];
  }
  const answer = { status: Number(status[1]), headers, body: '', rest: text.slice(end + 4) };
  if (answer.status === 100) {
    return parseAnswer(answer.rest, { closed, head });
  }
  if (head || [101, 204, 304].includes(answer.status)) {
    return answer;
  }
  if (headers['transfer-encoding'] === 'chunked') {
    for (;;) {
      const m = /^([0-9A-Fa-f]+)\r\n/.exec(answer.rest);
      if (!m) {
        check(answer.rest.length < 20, `not a chunk: ${JSON.stringify(answer.rest.slice(0, 40))}`);
        return null;
      }
      const size = parseInt(m[1], 16);
      const whole = m[0].length + size + 2;
      if (answer.rest.length < whole) {
        return null;
      }
      equal(answer.rest.slice(whole - 2, whole), '\r\n', 'the end of a chunk');
      answer.body += answer.rest.slice(m[0].length, whole - 2);
      answer.rest = answer.rest.slice(whole);
      if (size === 0) {
        return answer;
      }
    }
  }
  if ('content-length' in headers) {
    const length = Number(headers['content-length']);
    if (answer.rest.length < length) {
      return null;
    }
    answer.body = answer.rest.slice(0, length);
    answer.rest = answer.rest.slice(length);
    return answer;
  }
  if (!closed) {
    return null;
  }
  answer.body = answer.rest;
  answer.rest = '';
  return answer;
}

// Sends raw bytes on a new connection and returns the first answer.
export async function ask(port, bytes, { ms = 10_000, head = false } = {}) {
  const c = connect(port, sessions.get(port));
  c.write(bytes);
  const answer = await until(`an answer to ${JSON.stringify(shorten(String(bytes)))}`, () => {
    const parsed = parseAnswer(c.text, { closed: c.closed, head });
    check(parsed || !c.closed, `closed after ${JSON.stringify(shorten(c.text))}`);
    return parsed;
  }, ms);
  c.destroy();
  return answer;
}

export function request(method, target, headers = {}, body = '') {
  const all = { Host: '127.0.0.1', ...headers };
  const lines = Object.entries(all).filter(([, v]) => v !== null).map(([k, v]) => `${k}: ${v}\r\n`);
  return `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
}

// A request by node's own client, on a connection of its own: { status, headers, body }.
const resuming = secure && new https.Agent();
export function call(url, { method = 'GET', headers = {}, body, agent = resuming } = {}) {
  return within(15_000, `${method} ${url}`, new Promise((done, fail) => {
    const req = web.request(url, { method, headers, agent }, (res) => {
      const parts = [];
      res.on('data', (d) => parts.push(d));
      res.on('error', fail);
      res.on('end', () => done({
        status: res.statusCode, headers: res.headers, body: Buffer.concat(parts).toString(),
      }));
    });
    req.on('error', fail);
    req.end(body);
  }));
}

// -- event streams --------------------------------------------------------------------------------

// The algorithm of WHATWG HTML 9.2.6, on text that may end anywhere: only whole blocks count.
export class EventParser {
  constructor() {
    this.events = [];
    this.lastId = '';
    this.retry = null;
    this.comments = 0;
    this.rest = '';
    this.block = { data: [], event: '', id: null };
  }

  // WHATWG HTML 9.2.6: CR LF, LF and CR end a line. What follows a CR at the end may be its LF.
  push(text) {
    this.rest += text;
    const lines = this.rest.split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop();
    for (const line of lines) {
      this.line(line);
    }
  }

  line(line) {
    if (line === '') {
      const { data, event, id } = this.block;
      if (id !== null) {
        this.lastId = id;
      }
      if (data.length) {
        this.events.push({ id: this.lastId, event: event || 'message', data: data.join('\n') });
      }
      this.block = { data: [], event: '', id: null };
      return;
    }
    const m = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
    const value = m[2] ?? '';
    if (m[1] === '') {
      this.comments += 1;
    } else if (m[1] === 'data') {
      this.block.data.push(value);
    } else if (m[1] === 'event') {
      this.block.event = value;
    } else if (m[1] === 'id') {
      this.block.id = value;
    } else if (m[1] === 'retry') {
      this.retry = Number(value);
    } else {
      throw new Error(`unknown field in ${JSON.stringify(line)}`);
    }
  }
}

// The notices among events of the topic rtpush, as { event, data }: those without data are
// keep-alives. The last word, the period of these in seconds, is taken off.
export function noticesOf(events) {
  return events.filter((e) => e.event === 'rtpush' && e.data !== '').map((e) => {
    const m = /^(fresh|reset|replayed \d+|gap \d+) [1-9]\d*$/.exec(e.data);
    check(m || e.data === 'expired', `the notice ${JSON.stringify(e.data)}`);
    return m ? m[1] : e.data;
  });
}

// Opens an event stream by node's own client and waits for its head.
export async function openEvents(url, { lastId, headers = {}, pause = false } = {}) {
  const parser = new EventParser();
  const all = { Accept: 'text/event-stream', ...headers };
  if (lastId) {
    all['Last-Event-ID'] = lastId;
  }
  const req = web.request(url, { headers: all, agent: false });
  const stream = {
    parser,
    closed: false,
    status: 0,
    get events() { return parser.events.filter((e) => e.event !== 'rtpush'); },
    get notices() { return noticesOf(parser.events); },
    close: () => req.destroy(),
    wait: (what, probe, ms) => until(what, () => {
      check(!stream.error, `${what}: ${stream.error?.message}`);
      return probe(stream);
    }, ms),
  };
  leftOvers.add(stream.close);
  const res = await within(10_000, `the head of ${url}`, new Promise((done, fail) => {
    req.on('response', done);
    req.on('error', (error) => { stream.closed = true; fail(error); });
    req.end();
  }));
  req.on('close', () => { stream.closed = true; leftOvers.delete(stream.close); });
  stream.status = res.statusCode;
  stream.headers = res.headers;
  stream.response = res;
  res.on('error', () => {});
  if (pause) {
    res.pause();
  }
  res.setEncoding('utf8');
  const listen = () => res.on('data', (text) => {
    try {
      parser.push(text);
    } catch (error) {
      stream.error = error;
    }
  });
  stream.listen = listen;
  if (!pause) {
    listen();
  }
  return stream;
}

// -- a proxy that can cut -------------------------------------------------------------------------

// Forwards to a port and cuts every connection on demand, as a bad network does.
export async function startProxy(port) {
  const pairs = new Set();
  let target = port;
  const server = net.createServer((a) => {
    const b = net.connect(target, '127.0.0.1');
    const pair = { destroy: () => { a.destroy(); b.destroy(); } };
    pairs.add(pair);
    for (const s of [a, b]) {
      s.on('error', () => pair.destroy());
      s.on('close', () => { pair.destroy(); pairs.delete(pair); });
    }
    a.pipe(b);
    b.pipe(a);
  });
  await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
  const cut = () => pairs.forEach((p) => p.destroy());
  const close = () => { cut(); server.close(); };
  leftOvers.add(close);
  return {
    port: server.address().port,
    url: `http${S}://127.0.0.1:${server.address().port}`,
    cut,
    close,
    aim: (other) => { target = other; },
    get connections() { return pairs.size; },
  };
}

// Ends something with the test it belongs to.
export function afterTest(end) {
  leftOvers.add(end);
}
