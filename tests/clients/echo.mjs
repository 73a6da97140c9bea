// WebSocket echo: every message comes back, of any size and however it is split.
import crypto from 'node:crypto';
import WebSocket from 'ws';
import {
  check, connect, equal, onOneServer, parseAnswer, refusesArguments, test, until,
  withServer, within,
} from './harness.mjs';

export const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='; // the example of the RFC, and its answer
export const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';
const PATH = '/';

const run = (binary, use) => withServer(binary, ['--port', 0], use);

// A masked frame as a client sends it.
export function frame(opcode, payload, { fin = true, rsv = 0, mask = true, length } = {}) {
  const data = Buffer.from(payload);
  const n = length ?? data.length;
  let head;
  if (n < 126) {
    head = Buffer.from([0, n]);
  } else if (n < 65536) {
    head = Buffer.from([0, 126, n >> 8, n & 255]);
  } else {
    head = Buffer.alloc(10);
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(n), 2);
  }
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  if (!mask) {
    return Buffer.concat([head, data]);
  }
  head[1] |= 0x80;
  const key = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);
  return Buffer.concat([head, key, data.map((b, i) => b ^ key[i & 3])]);
}

// Opens a WebSocket by hand; frames() then gives the server's frames so far.
export async function upgrade(port, path = PATH, extra = '') {
  const c = connect(port);
  c.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n`
    + `Connection: Upgrade\r\nSec-WebSocket-Key: ${KEY}\r\n`
    + `Sec-WebSocket-Version: 13\r\n${extra}\r\n`);
  const answer = await c.until('101', (text) => parseAnswer(text));
  equal(answer.status, 101, 'status');
  equal(answer.headers['sec-websocket-accept'], ACCEPT, 'Sec-WebSocket-Accept');
  const skip = c.text.length - answer.rest.length;
  c.frames = () => {
    const b = Buffer.from(c.text.slice(skip), 'latin1');
    const list = [];
    for (let at = 0; at + 2 <= b.length;) {
      check((b[at + 1] & 0x80) === 0, 'the server masked a frame');
      check((b[at] & 0x70) === 0, 'the server set a reserved bit');
      let n = b[at + 1] & 127;
      let start = at + 2;
      if (n === 126) {
        n = b.readUInt16BE(start);
        start += 2;
      } else if (n === 127) {
        n = Number(b.readBigUInt64BE(start));
        start += 8;
      }
      if (start + n > b.length) {
        break;
      }
      list.push({ fin: b[at] >> 7, opcode: b[at] & 15, data: b.subarray(start, start + n) });
      at = start + n;
    }
    return list;
  };
  return c;
}

// Sends bytes that break the protocol and expects a close with this code, then the end.
async function expectClose(port, bytes, code) {
  const c = await upgrade(port);
  c.write(bytes);
  const close = await c.until(`a close with ${code}`, () => c.frames().find((f) => f.opcode === 8));
  equal(close.data.readUInt16BE(0), code, 'close code');
  c.write(frame(8, close.data.subarray(0, 2)));
  await c.end(5_000);
}

export function open(url, protocols = [], options = {}) {
  const ws = new WebSocket(url, protocols, { handshakeTimeout: 10_000, ...options });
  ws.messages = [];
  ws.on('message', (data, binary) => ws.messages.push(binary ? data : data.toString()));
  ws.over = new Promise((done) => {
    ws.on('close', (code, reason) => done({ code, reason: reason.toString() }));
  });
  ws.on('error', () => {});
  ws.opened = within(10_000, `opening ${url}`, new Promise((done, fail) => {
    ws.on('open', () => done(ws));
    ws.on('error', fail);
  }));
  return ws;
}

async function echoes(ws, message) {
  const from = ws.messages.length;
  ws.send(message);
  await until('the echo', () => ws.messages.length > from, 25_000);
  const got = ws.messages[from];
  if (typeof message === 'string') {
    check(got === message, `text of ${message.length} came back as ${String(got).length}`);
  } else {
    check(Buffer.isBuffer(got) && got.equals(message), `${message.length} bytes came back changed`);
  }
}

const SIZES = [0, 1, 2, 124, 125, 126, 127, 128, 387, 388, 508, 512, 1000, 4095, 4096, 65535, 65536,
  65537, 200_000];

function sizes(binary) {
  test('echo returns text of every size class', () => run(binary, async (s) => {
    const ws = await open(s.ws + PATH).opened;
    for (const n of SIZES) {
      await echoes(ws, 'ab\u00e9\u20ac'.repeat(Math.ceil(n / 4)).slice(0, n));
    }
    ws.close(1000);
    equal((await ws.over).code, 1000, 'close code');
  }));

  test('echo returns bytes of every size class', () => run(binary, async (s) => {
    const ws = await open(s.ws + PATH).opened;
    for (const n of SIZES) {
      await echoes(ws, crypto.randomBytes(n));
    }
    ws.close();
    await ws.over;
  }));

  for (const mib of [1, 16]) {
    test(`echo streams a message of ${mib} MiB through its small buffers`, () => (
      run(binary, async (s) => {
        const ws = await open(s.ws + PATH, [], { maxPayload: 32 << 20 }).opened;
        await echoes(ws, crypto.randomBytes(mib << 20));
        ws.close();
        await ws.over;
      })), 90_000);
  }

  test('echo keeps the order of many small messages', () => (
    run(binary, async (s) => {
      const ws = await open(s.ws + PATH).opened;
      const expected = [];
      for (let i = 0; i < 300; i++) {
        expected.push(`message ${i}`);
        ws.send(`message ${i}`);
      }
      await until('300 echoes', () => ws.messages.length >= 300, 20_000);
      equal(ws.messages, expected, 'messages');
      ws.close();
      await ws.over;
    })));

  test('echo serves several connections at once without mixing them', () => (
    run(binary, async (s) => {
      const all = await Promise.all([1, 2, 3].map(() => open(s.ws + PATH).opened));
      await Promise.all(all.map(async (ws, i) => {
        for (let n = 0; n < 20; n++) {
          await echoes(ws, `${i}:`.repeat(1 + n * 97));
        }
        ws.close();
        await ws.over;
      }));
    })));
}

function cuts(binary) {
  test('echo joins fragments and answers a ping between them', () => (
    run(binary, async (s) => {
      const ws = await open(s.ws + PATH).opened;
      const pongs = [];
      ws.on('pong', (d) => pongs.push(d.toString()));
      ws.send('first ', { fin: false });
      ws.ping('between');
      ws.send('second ', { fin: false });
      ws.send('', { fin: false });
      ws.send('third', { fin: true });
      await until('the echo', () => ws.messages.length === 1);
      equal(ws.messages, ['first second third'], 'message');
      equal(pongs, ['between'], 'pongs');
      ws.close();
      await ws.over;
    })));

  test('echo returns text whose characters are cut by fragments', () => (
    run(binary, async (s) => {
      const c = await upgrade(s.port);
      const bytes = Buffer.from('\u00e9\u20ac\u{1f600}');
      for (let i = 0; i < bytes.length; i++) {
        c.write(frame(i ? 0 : 1, bytes.subarray(i, i + 1), { fin: i === bytes.length - 1 }));
      }
      await c.until('the echo', () => c.frames().some((f) => f.fin && f.opcode < 3));
      const text = Buffer.concat(c.frames().filter((f) => f.opcode < 3).map((f) => f.data));
      equal(text.toString(), bytes.toString(), 'text');
      c.destroy();
    })));

  test('echo understands a handshake and frames that arrive byte by byte', () => (
    run(binary, async (s) => {
      const c = connect(s.port);
      const bytes = Buffer.concat([Buffer.from(`GET ${PATH} HTTP/1.1\r\nHost: localhost\r\n`
        + 'Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n'
        + `Sec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n`),
      frame(1, 'slowly'), frame(9, 'p'), frame(2, Buffer.alloc(130, 7))]);
      for (const byte of bytes) {
        c.write(Buffer.from([byte]));
        await new Promise(setImmediate);
      }
      await c.until('all answers', (t) => t.endsWith('\x07'.repeat(130)));
      check(c.text.includes('\x81\x06slowly'), 'no echo of the text');
      check(c.text.includes('\x8a\x01p'), 'no pong');
      c.destroy();
    })));

  test('echo reads frames that come in one segment with the handshake', () => (
    run(binary, async (s) => {
      const c = connect(s.port);
      c.write(Buffer.concat([Buffer.from(`GET ${PATH} HTTP/1.1\r\nHost: localhost\r\n`
        + `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${KEY}\r\n`
        + 'Sec-WebSocket-Version: 13\r\n\r\n'), frame(1, 'early')]));
      await c.until('the echo', (t) => t.endsWith('\x81\x05early'));
      c.destroy();
    })));

  test('echo answers pings of 0 to 125 bytes with the same bytes', () => (
    run(binary, async (s) => {
      const ws = await open(s.ws + PATH).opened;
      const pongs = [];
      ws.on('pong', (d) => pongs.push(d));
      for (const n of [0, 1, 64, 124, 125]) {
        const data = crypto.randomBytes(n);
        ws.ping(data);
        const pong = await until('a pong', () => pongs.pop());
        check(pong.equals(data), `the pong of ${n} bytes differs`);
      }
      ws.close();
      await ws.over;
    })));

  test('echo does not lose a message when it is flooded by a client that does not read', () => (
    run(binary, async (s) => {
      const ws = await open(s.ws + PATH, [], { maxPayload: 32 << 20 }).opened;
      ws.pause();
      const data = crypto.randomBytes(200_000);
      for (let i = 0; i < 20; i++) {
        ws.send(data);
      }
      await new Promise((done) => { setTimeout(done, 500); });
      ws.resume();
      await until('20 echoes', () => ws.messages.length === 20, 60_000);
      check(ws.messages.every((m) => m.equals(data)), 'an echo differs');
      ws.close();
      await ws.over;
    })), 90_000);
}

function closing(binary) {
  test('echo answers a close with the same code', () => (
    run(binary, async (s) => {
      for (const code of [1000, 1001, 1003, 1011, 3000, 3999, 4000, 4999]) {
        const c = await upgrade(s.port);
        c.write(frame(8, [code >> 8, code & 255, ...Buffer.from('why')]));
        const close = await c.until('close', () => c.frames().find((f) => f.opcode === 8));
        equal(close.data.readUInt16BE(0), code, 'close code');
        await c.end(5_000);
      }
    })));

  test('echo answers a close without a code', () => run(binary, async (s) => {
    const c = await upgrade(s.port);
    c.write(frame(8, []));
    await c.until('close', () => c.frames().find((f) => f.opcode === 8));
    await c.end(5_000);
  }));

  const broken = [
    ['an unmasked frame', frame(1, 'x', { mask: false }), 1002],
    ['a reserved bit', frame(1, 'x', { rsv: 4 }), 1002],
    ['opcode 3', frame(3, 'x'), 1002],
    ['opcode 7', frame(7, ''), 1002],
    ['opcode 11', frame(11, 'x'), 1002],
    ['opcode 15', frame(15, ''), 1002],
    ['a ping of 126 bytes', frame(9, Buffer.alloc(126)), 1002],
    ['a fragmented ping', frame(9, 'x', { fin: false }), 1002],
    ['a continuation without a start', frame(0, 'x'), 1002],
    ['a message inside a message', Buffer.concat([frame(1, 'a', { fin: false }), frame(1, 'b')]),
      1002],
    ['a length with its top bit set',
      Buffer.from([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]), 1002],
    ['a 16-bit length below 126', Buffer.from([0x82, 0xfe, 0, 5, 0, 0, 0, 0, 1, 2, 3, 4, 5]), 1002],
    ['a close of one byte', frame(8, [3]), 1002],
    ['close code 999', frame(8, [3, 231]), 1002],
    ['close code 1005', frame(8, [3, 237]), 1002],
    ['close code 1006', frame(8, [3, 238]), 1002],
    ['close code 2999', frame(8, [11, 183]), 1002],
    ['close code 65535', frame(8, [255, 255]), 1002],
    ['a close reason that is not UTF-8', frame(8, [3, 232, 0xff]), 1007],
    ['overlong text', frame(1, [0xc0, 0xaf]), 1007],
    ['a surrogate in text', frame(1, [0xed, 0xa0, 0x80]), 1007],
    ['a character above U+10FFFF', frame(1, [0xf4, 0x90, 0x80, 0x80]), 1007],
    ['text that ends inside a character', frame(1, [0xe2, 0x82]), 1007],
  ];
  const refuses = onOneServer(binary, ['--port', 0]);
  for (const [what, bytes, code] of broken) {
    refuses(`echo closes with ${code} on ${what}`, (s) => expectClose(s.port, bytes, code));
  }

  test('echo survives a client that disappears in the middle of a frame', () => (
    run(binary, async (s) => {
      for (let cut = 1; cut < 12; cut++) {
        const c = await upgrade(s.port);
        c.write(frame(2, Buffer.alloc(200, 1)).subarray(0, cut * 9));
        c.resetNow();
      }
      const ws = await open(s.ws + PATH).opened;
      await echoes(ws, 'still here');
      ws.close();
      await ws.over;
    })));

  test('echo ends with a message if it cannot use an argument or the port', () => (
    run(binary, (s) => refusesArguments(binary, [
      [['--port', s.port], /cannot listen on 127.0.0.1 port/],
      [['--port', 'x'], /cannot use --port x/], [['--port', -1], /cannot use --port -1/],
      [['--port', 65536], /cannot use --port 65536/], [['--port'], /--port without a value/],
      [['--conns', 0], /cannot use --conns 0/], [['--nothing', 1], /cannot use --nothing 1/],
    ]))));

  test('echo says 1001 to its clients when it is told to end', () => (
    run(binary, async (s) => {
      const ws = await open(s.ws + PATH).opened;
      await echoes(ws, 'hello');
      s.child.kill('SIGTERM');
      equal((await within(5_000, 'the close', ws.over)).code, 1001, 'close code');
    })));
}

export default function suite(binary) {
  sizes(binary);
  cuts(binary);
  closing(binary);
}
