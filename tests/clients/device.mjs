// Where the dashboard's application runs: on this machine (build/dashboard) or in firmware on an
// emulated board. The tests see the same from both: an address, lines of a log, an end.
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { randomBytes } from 'node:crypto';
import { EventSource } from 'eventsource';
import WebSocket from 'ws';
import {
  afterTest, call, check, EventParser, freePort, noticesOf, secure, sleep, startServer, until,
  within,
} from './harness.mjs';

const S = secure ? 's' : '';
const EVENTS = ['sample', 'log', 'burst']; // the topics that are not states, see app.c
const ALL = [...EVENTS, 'device', 'cpu', 'memory', 'network', 'temperature', 'server', 'control'];

// -- targets --------------------------------------------------------------------------------------

const children = new Set();
const folders = new Set();
process.on('exit', () => {
  children.forEach((child) => child.kill('SIGKILL'));
  folders.forEach((folder) => fs.rmSync(folder, { recursive: true, force: true }));
});

// What it prints goes to a file, not to a pipe: QEMU writes a serial line byte by byte, and a pipe
// of node is full after some 270 of them if node is busy; then the whole emulator waits.
function startQemu(args) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rtpush-device-'));
  const file = path.join(folder, 'log');
  const out = fs.openSync(file, 'w');
  const child = spawn('qemu-system-arm', args(folder), { stdio: ['ignore', out, out] });
  fs.closeSync(out);
  let failure = '';
  const program = {
    child,
    folder,
    over: false,
    get text() { return failure || fs.readFileSync(file, 'utf8'); },
  };
  children.add(child);
  folders.add(folder);
  program.ended = new Promise((done) => {
    child.on('exit', () => { children.delete(child); program.over = true; done(); });
    child.on('error', (e) => { failure = e.message; program.over = true; done(); });
  });
  return program;
}

// As the other tests start it, so its end is examined too: status 0, no sanitizer's report.
async function startHost({ binary, args = [] }) {
  const s = await startServer(binary, '--port', 0, ...args);
  return {
    ...s,
    log: s.output,
    alive: () => check(s.child.exitCode === null, `it ended: ${s.output().slice(-600)}`),
    emulated: false,
  };
}

// An image on a board of QEMU. The network has no way out, only the forwarded port. seedAt: where
// the image expects the bytes that stand for a source of randomness.
// httpToo: over TLS, forward a port to the board's 80 too. Over TLS without seedAt: it must refuse.
async function startBoard({ board, elf, seedAt, httpToo, probe = '/ping' }) {
  const port = await freePort();
  const plain = httpToo ? await freePort() : 0;
  const program = startQemu((folder) => {
    const seed = path.join(folder, 'seed.bin');
    fs.writeFileSync(seed, randomBytes(32));
    return ['-M', board, '-kernel', elf, '-display', 'none', '-monitor', 'none', '-serial', 'stdio',
      '-qmp', `unix:${path.join(folder, 'qmp')},server=on,wait=off`,
      ...(seedAt ? ['-device', `loader,file=${seed},addr=${seedAt},force-raw=on`] : []),
      '-nic', `user,restrict=on,hostfwd=tcp:127.0.0.1:${port}-10.0.2.15:${secure ? 443 : 80}${
        plain ? `,hostfwd=tcp:127.0.0.1:${plain}-10.0.2.15:80` : ''}`];
  });
  const device = {
    port,
    plain,
    url: `http${S}://127.0.0.1:${port}`,
    ws: `ws${S}://127.0.0.1:${port}`,
    log: () => program.text,
    alive: () => check(!program.over, `it ended: ${program.text.slice(-600)}`),
    emulated: true,
    reset: () => qmp(path.join(program.folder, 'qmp'), 'system_reset'),
    async stop() {
      program.child.kill('SIGKILL');
      await within(6_000, 'its end', program.ended);
    },
  };
  afterTest(() => device.stop());
  if (secure && !seedAt) {
    await until('the device to say why not', () => /no TLS/.test(program.text), 20_000);
  } else {
    await answers(device, probe);
  }
  return device;
}

// Until the first answer: booting takes some tens of milliseconds.
async function answers(device, probe) {
  await until('the device to answer', async () => {
    device.alive();
    const a = await call(device.url + probe).catch(() => null);
    return a && a.status < 500;
  }, 20_000);
}

// One command of QEMU's machine protocol.
async function qmp(at, command) {
  const socket = net.connect(at);
  let text = '';
  socket.on('data', (d) => { text += d; });
  socket.on('error', () => {});
  await until('the greeting', () => text.includes('QMP'));
  socket.write('{"execute":"qmp_capabilities"}\n');
  await until('the capabilities', () => text.includes('"return"'));
  text = '';
  socket.write(`{"execute":"${command}"}\n`);
  await until(command, () => text.includes('"return"'));
  socket.destroy();
}

// how: { binary, args } or { board, elf, seedAt }. What both offer: port, url, ws, log(), alive(),
// emulated, stop(); a board also reset().
export const startTarget = (how) => (how.binary ? startHost(how) : startBoard(how));

// -- readers: each checks that it gets every event once, or a gap notice --------------------------

// QEMU's forwarding accepts one connection at a time: what is refused is tried again.
async function patiently(what, attempt) {
  let last;
  for (let i = 0; i < 30; i++) {
    try {
      return await attempt();
    } catch (error) {
      last = error;
      await sleep(100);
    }
  }
  throw new Error(`${what}: ${last?.message}`);
}

// Follows the ids of a reader of all topics: sequence numbers go up by one, unless a notice said
// how many are missing.
export class Ledger {
  constructor(name) {
    this.name = name;
    this.seq = null;
    this.epoch = null;
    this.events = 0;
    this.told = 0; // missed, and reported by a gap notice
    this.notices = [];
    this.bursts = []; // numbers of burst events
    this.last = {}; // newest value of each topic
    this.wrong = null;
  }

  take(id, topic, data) {
    const m = /^([0-9a-f]{8})-([0-9a-f]{8})/.exec(id);
    if (!m) {
      this.fail(`the id ${JSON.stringify(id)}`);
      return;
    }
    const seq = parseInt(m[2], 16);
    if (topic === 'rtpush' && data === '') { // a keep-alive: a reader of all topics has this id
      if (m[1] !== this.epoch || seq !== this.seq) {
        this.fail(`a keep-alive with id ${id} at ${this.epoch}-${this.seq?.toString(16)}`);
      }
    } else if (topic === 'rtpush') {
      this.notice(...noticesOf([{ event: topic, data }]), m[1], seq);
    } else if (EVENTS.includes(topic)) {
      if (m[1] !== this.epoch || seq !== this.seq + 1) {
        this.fail(`event ${id} after ${this.epoch}-${this.seq?.toString(16)}, told of nothing`);
      }
      this.seq = seq;
      this.events += 1;
      if (topic === 'burst') {
        this.bursts.push(JSON.parse(data).n);
      }
    } else if (m[1] !== this.epoch || seq !== this.seq) {
      this.fail(`state ${topic} with id ${id} at ${this.epoch}-${this.seq?.toString(16)}`);
    }
    this.last[topic] = data;
  }

  notice(data, epoch, seq) {
    this.notices.push(data);
    const [kind, n] = data.split(' ');
    if (kind === 'gap') {
      if (epoch === this.epoch && seq !== this.seq + Number(n)) {
        this.fail(`"${data}" leads from ${this.seq} to ${seq}`);
      }
      this.told += Number(n);
      this.seq = seq;
    } else if (kind !== 'replayed' || this.seq === null) {
      this.seq = seq - (kind === 'replayed' ? Number(n) : 0);
    }
    this.epoch = epoch;
  }

  fail(why) {
    this.wrong ??= `${this.name}: ${why}`;
  }

  check() {
    check(!this.wrong, this.wrong);
  }
}

export async function openWebSocket(device, name) {
  const ledger = new Ledger(name);
  const ws = await patiently(name, async () => {
    const socket = new WebSocket(`${device.ws}/ws`, ['rtpush.1'], { handshakeTimeout: 5_000 });
    socket.on('error', () => {});
    socket.on('message', (data, binary) => {
      const text = String(data);
      const m = binary ? null : /^([^ \n]*) ([^ \n]+)\n([^]*)$/.exec(text);
      if (text[0] === '=') {
        (socket.plain ??= []).push(text.slice(1)); // what rtpush_send gave
      } else if (m) {
        ledger.take(m[1], m[2], m[3]);
      } else if (/^[0-9a-f]{8}-[0-9a-f]{8}$/.test(text)) {
        ledger.take(text, 'rtpush', '');
      } else if (text !== '') {
        ledger.fail(`not a message of rtpush.1: ${text}`);
      }
    });
    await within(6_000, 'opening', new Promise((done, fail) => {
      socket.on('open', done);
      socket.on('close', (code) => fail(new Error(`closed with ${code}`)));
    }));
    return socket;
  });
  afterTest(() => ws.terminate());
  await until(`the notice of ${name}`, () => ledger.notices.length);
  return {
    ledger,
    ws,
    over: () => ws.readyState !== WebSocket.OPEN,
    async close() {
      ws.close();
      await until(`the end of ${name}`, () => ws.readyState === WebSocket.CLOSED);
    },
  };
}

// The package eventsource. It reconnects by itself, with Last-Event-ID.
export async function openSource(device, name) {
  const ledger = new Ledger(name);
  const source = await patiently(name, async () => {
    const s = new EventSource(`${device.url}/events`);
    s.refused = 0;
    s.addEventListener('error', () => { s.refused += 1; });
    for (const topic of [...ALL, 'rtpush']) {
      s.addEventListener(topic, (e) => ledger.take(e.lastEventId, topic, e.data));
    }
    await until(`${name} to open`, () => s.readyState === 1 || s.refused > 0);
    if (s.readyState === 2) {
      s.close();
      throw new Error('refused');
    }
    return s;
  });
  afterTest(() => source.close());
  await until(`the notice of ${name}`, () => ledger.notices.length, 20_000);
  return { ledger, source, over: () => source.readyState === 2, close: () => source.close() };
}

// A poll loop.
export async function openPoll(device, name) {
  const ledger = new Ledger(name);
  let on = true;
  let id = '';
  const loop = (async () => {
    for (let failures = 0; on && failures < 30;) {
      const query = id ? `timeout=5&last_event_id=${id}` : 'timeout=5';
      const a = await call(`${device.url}/poll?${query}`).catch(() => null);
      if (!a || a.status !== 200) {
        failures += 1;
        await sleep(100);
        continue;
      }
      failures = 0;
      const parser = new EventParser();
      parser.push(a.body);
      parser.events.forEach((e) => ledger.take(e.id, e.event, e.data));
      id = parser.lastId;
    }
  })();
  const close = () => { on = false; };
  afterTest(close);
  await until(`the notice of ${name}`, () => ledger.notices.length, 20_000);
  return { ledger, over: () => !on, close: async () => { on = false; await loop; } };
}

export async function command(device, text) {
  const a = await patiently(text, async () => {
    const answer = await call(`${device.url}/control`, { method: 'POST', body: text });
    check(answer.status < 500, `status ${answer.status}`);
    return answer;
  });
  check(a.status < 300, `${text}: ${a.status} ${a.body}`);
}

export function curl(device, ...args) {
  return execFileSync('curl', ['-sS', '--max-time', '20', '--retry', '3', '--retry-all-errors',
    '--retry-delay', '1', ...args.slice(0, -1), `${device.url}${args.at(-1)}`],
  { maxBuffer: 1 << 24 });
}

// The client of tests/device/stall.py.
export async function openStalled(device, script) {
  const child = spawn('python3', [script, String(device.port), '/events'],
    { stdio: ['pipe', 'pipe', 'inherit'] });
  let text = '';
  let over = false;
  children.add(child);
  child.stdout.on('data', (d) => { text += d; });
  child.on('exit', () => { children.delete(child); over = true; });
  afterTest(() => child.kill('SIGKILL'));
  await until('the stalled client to be open', () => {
    check(!over, 'the stalled client could not connect');
    return text.startsWith('open');
  });
  return {
    async readOn() {
      child.stdin.write('\n');
      await until('the stalled client to end', () => over, 25_000);
      return JSON.parse(text.slice(text.indexOf('{')));
    },
  };
}
