// Bodies in both directions against a server on real sockets (upload.c): forms of curl and fetch,
// chunked uploads, media types, rates, and downloads that are resumed.
//     node tests/clients/upload.test.mjs build/upload [PART OF A TEST NAME]
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import {
  afterTest, ask, call, check, connect, equal, parseAnswer, request, run, runAll, sleep, test,
  withServer,
} from './harness.mjs';

const [binary, only] = process.argv.slice(2);
if (!binary) {
  console.log('usage: node tests/clients/upload.test.mjs UPLOAD [PART OF A TEST NAME]');
  process.exit(2);
}
const server = (name, use, ms = undefined) => (
  test(name, () => withServer(binary, ['--port', 0], use), ms));

// -- what the other side computes -----------------------------------------------------------------

function fnv(data) {
  let sum = 2166136261;
  for (const byte of data) {
    sum = Math.imul(sum ^ byte, 16777619) >>> 0;
  }
  return sum.toString(16).padStart(8, '0');
}
const bytes = (n) => Buffer.from(Array.from({ length: n },
  (_, i) => (i * 7 + Math.trunc(i / 251)) & 255));
const line = (name, filename, type, data) => `${name}|${filename}|${type}|${
  Buffer.from(data).length}|${fnv(Buffer.from(data))}\n`;
const digest = (data) => `${data.length} ${fnv(data)}`;

async function folder() {
  const path = await mkdtemp(join(tmpdir(), 'rtpush-upload-'));
  afterTest(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function curl(...args) {
  const { code, text } = await run('curl', ['-sS', '--max-time', '20', ...args]);
  return { code, text };
}

// -- forms ----------------------------------------------------------------------------------------

server('curl -F sends files and fields, which come whole', async (s) => {
  const at = await folder();
  const image = bytes(300_000);
  await writeFile(join(at, 'fw 1.bin'), image);
  await writeFile(join(at, 'empty'), '');
  const { text } = await curl('-F', 'note=two\nlines', '-F', `fw=@${join(at, 'fw 1.bin')}`, '-F',
    `none=@${join(at, 'empty')};type=text/x-none`, `${s.url}/form`);
  equal(text, line('note', '-', '-', 'two\nlines')
    + line('fw', 'fw 1.bin', 'application/octet-stream', image)
    + line('none', 'empty', 'text/x-none', ''), 'the parts');
});

server('curl writes names with quotes in two ways', async (s) => {
  const at = await folder();
  await writeFile(join(at, 'f'), 'x');
  for (const escape of [[], ['--form-escape']]) {
    const { text } = await curl(...escape, '-F',
      `a"b=@${join(at, 'f')};filename="say \\"hi\\".bin"`, `${s.url}/form`);
    equal(text, line('a"b', 'say "hi".bin', 'application/octet-stream', 'x'), escape.join());
  }
});

server('curl sends a form in chunks', async (s) => {
  const at = await folder();
  const image = bytes(70_000);
  await writeFile(join(at, 'f'), image);
  const { text } = await curl('-H', 'Transfer-Encoding: chunked', '-F', `f=@${join(at, 'f')}`,
    `${s.url}/form`);
  equal(text, line('f', 'f', 'application/octet-stream', image), 'the part');
});

server('fetch sends a FormData', async (s) => {
  const image = bytes(50_000);
  const form = new FormData();
  form.append('grüße "1"', 'ä€');
  form.append('file', new Blob([image]), 'a/b\\ü.bin');
  const a = await fetch(`${s.url}/form`, { method: 'POST', body: form });
  const text = await a.text();
  equal(text, line('grüße "1"', '-', '-', 'ä€')
    + line('file', 'ü.bin', 'application/octet-stream', image), 'the parts');
});

server('a form that is cut, malformed or none is refused', async (s) => {
  const post = (body, type = 'multipart/form-data; boundary=x') => ask(s.port, request('POST',
    '/form', { 'Content-Type': type, 'Content-Length': body.length }, body));
  const part = '--x\r\nContent-Disposition: form-data; name=a\r\n\r\n';
  equal((await post(`${part}1\r\n--x--`)).status, 200, 'whole');
  equal((await post(`${part}1\r\n--x`)).status, 400, 'cut');
  equal((await post('--x\r\n\r\n1\r\n--x--')).status, 400, 'without a name');
  equal((await post(`${part}1\r\n--x--`, 'multipart/form-data')).status, 415, 'no boundary');
  const a = await post(`${part}1\r\n--x--`, 'multipart/mixed; boundary=x');
  equal(a.status, 415, 'another multipart');
  equal(a.headers.accept, 'multipart/form-data', 'Accept');
});

// -- images ---------------------------------------------------------------------------------------

server('curl -F to a route for images is 415, and nothing is stored', async (s) => {
  const at = await folder();
  await writeFile(join(at, 'fw.bin'), bytes(3_000));
  const form = await curl('-i', '-F', `fw=@${join(at, 'fw.bin')}`, `${s.url}/image`);
  check(/^HTTP\/1\.1 415 [^]*Accept: application\/octet-stream/m.test(form.text), form.text);
  const plain = await curl('-i', '--data-binary', `@${join(at, 'fw.bin')}`, `${s.url}/image`);
  check(/^HTTP\/1\.1 415 /m.test(plain.text), plain.text);
  equal((await call(`${s.url}/seen`)).body.split(' ')[1], '0', 'requests the application saw');
});

server('images come whole, with a length and in chunks', async (s) => {
  const at = await folder();
  for (const n of [1, 2_047, 2_048, 2_049, 65_536, 400_001]) {
    const image = bytes(n);
    await writeFile(join(at, 'fw.bin'), image);
    const sized = await curl('-T', join(at, 'fw.bin'), `${s.url}/image`);
    equal(sized.text, digest(image), `${n} bytes`);
    const { text } = await run('sh', ['-c',
      `cat "${join(at, 'fw.bin')}" | curl -sS --max-time 20 -T - "${s.url}/image"`]);
    equal(text, digest(image), `${n} bytes in chunks`);
  }
  const empty = await run('sh', ['-c', `: | curl -sS --max-time 20 -T - "${s.url}/image"`]);
  equal(empty.text, '0 811c9dc5', 'no bytes in chunks');
});

server('an image of 5 MB is not held back where the route says so', async (s) => {
  const image = bytes(5_000_000);
  const began = Date.now();
  const a = await fetch(`${s.url}/image`, { method: 'POST', body: image });
  equal(await a.text(), digest(image), 'the image');
  check(Date.now() - began < 15_000, `${Date.now() - began} ms`); // 18 s by the server's rate
});

server('a route that is slow by its rate and by LATER gets all of it', async (s) => {
  const image = bytes(200_000);
  const began = Date.now();
  const a = await fetch(`${s.url}/slow`, { method: 'POST', body: image });
  equal(await a.text(), digest(image), 'the image');
  check(Date.now() - began > 500, `${Date.now() - began} ms`); // 131,072 bytes are the burst
});

server('an upload that is too large is told so while it is sent', async (s) => {
  const c = connect(s.port);
  c.write(request('PUT', '/image', { 'Transfer-Encoding': 'chunked' }));
  const chunk = `186a0\r\n${'x'.repeat(100_000)}\r\n`;
  for (let i = 0; i < 100 && !parseAnswer(c.text, { closed: c.closed }); i++) {
    c.write(chunk);
    await sleep(1);
  }
  const a = await c.until('an answer', (text) => parseAnswer(text, { closed: c.closed }));
  equal(a.status, 413, 'status');
});

server('an upload that is cut leaves nothing behind', async (s) => {
  for (let i = 0; i < 40; i++) {
    const c = connect(s.port);
    c.write(`${request('PUT', '/image', { 'Transfer-Encoding': 'chunked' })}400\r\n${
      'x'.repeat(100 + i)}`);
    await sleep(2);
    if (i % 2) {
      c.resetNow();
    } else {
      c.destroy();
    }
  }
  const image = bytes(10_000);
  const a = await fetch(`${s.url}/image`, { method: 'POST', body: image });
  equal(await a.text(), digest(image), 'the next image');
});

// -- downloads ------------------------------------------------------------------------------------

server('a pull has a length, or chunks if it has none', async (s) => {
  const sized = await call(`${s.url}/pull/50000`);
  equal(sized.headers['content-length'], '50000', 'Content-Length');
  check(!('transfer-encoding' in sized.headers), 'chunks beside a length');
  equal(sized.headers['accept-ranges'], 'bytes', 'Accept-Ranges');
  const chunked = await call(`${s.url}/pull/50000/chunked`);
  equal(chunked.headers['transfer-encoding'], 'chunked', 'Transfer-Encoding');
});

for (const path of ['/pull/100000', '/static']) {
  server(`curl resumes a download of ${path} where it broke`, async (s) => {
    const at = await folder();
    const file = join(at, 'file');
    const whole = bytes(100_000);
    for (const have of [1, 1_000, 99_999]) {
      await writeFile(file, whole.subarray(0, have));
      const { code, text } = await curl('-C', '-', '-o', file, `${s.url}${path}`);
      equal(code, 0, text);
      check((await readFile(file)).equals(whole), `another file, resumed at ${have}`);
    }
    const part = await curl('-i', '-r', '10-19', `${s.url}${path}`);
    check(/^HTTP\/1\.1 206 [^]*Content-Range: bytes 10-19\/100000\r/m.test(part.text), part.text);
    const beyond = await curl('-i', '-r', '100000-', `${s.url}${path}`);
    check(/^HTTP\/1\.1 416 [^]*Content-Range: bytes \*\/100000\r/m.test(beyond.text), beyond.text);
  });

  server(`ranges of ${path} are those bytes`, async (s) => {
    const whole = bytes(100_000);
    for (const [range, from, to] of [
      ['0-0', 0, 1], ['0-', 0, 100_000], ['500-1499', 500, 1500], ['-1', 99_999, 100_000],
      ['99999-200000', 99_999, 100_000], ['-65536', 34_464, 100_000], ['2040-70000', 2040, 70_001],
    ]) {
      const a = await fetch(`${s.url}${path}`, { headers: { Range: `bytes=${range}` } });
      equal(a.status, 206, `status of ${range}`);
      equal(a.headers.get('content-range'), `bytes ${from}-${to - 1}/100000`, 'Content-Range');
      check(Buffer.from(await a.arrayBuffer()).equals(whole.subarray(from, to)), range);
    }
  });

  server(`a range of ${path} holds only for the same version`, async (s) => {
    const tag = (await call(`${s.url}${path}`)).headers.etag;
    const ranged = async (headers) => (await fetch(`${s.url}${path}`, { headers })).status;
    equal(await ranged({ Range: 'bytes=1-2', 'If-Range': tag }), 206, 'the same');
    equal(await ranged({ Range: 'bytes=1-2', 'If-Range': '"other"' }), 200, 'another');
    equal(await ranged({ Range: 'bytes=1-2', 'If-Range': `W/${tag}` }), 200, 'a weak one');
    equal(await ranged({ Range: 'bytes=1-2,4-5' }), 200, 'two ranges');
  });
}

runAll(only);
