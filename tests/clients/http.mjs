// HTTP of the hub: what it answers, what it refuses and how, and Host and Origin.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import {
  ask, call, check, connect, equal, onOneServer, parseAnswer, refusesArguments, request, secure,
  test, until, withServer,
} from './harness.mjs';
import { KEY } from './echo.mjs';

const run = promisify(execFile);

function curl(...args) {
  return run('curl', ['-sS', '--max-time', '10', ...args], { encoding: 'latin1' });
}

const UPGRADE = {
  Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Key': KEY,
  'Sec-WebSocket-Version': '13',
};

let binary;
let hub; // (name, use): of one server for all
const hubWith = (name, use, ...args) => test(name, () => (
  withServer(binary, ['--port', 0, '--topics', 'a,b', ...args], use)));

// One request by hand and the status it must get; `then` looks at the rest.
const table = [];
function answers(name, bytes, status, then) {
  table.push({ name, bytes, status, then });
}

function refusals() {
  const path = '/healthz';
  answers('an unknown path with 404', request('GET', '/nothing/here'), 404);
  answers('a method the route does not take with 405 and Allow', request('DELETE', path), 405,
    (a) => check(/\bGET\b/.test(a.headers.allow), `Allow: ${a.headers.allow}`));
  answers('GET of a POST route with 405 and Allow', request('GET', '/publish/a'), 405,
    (a) => check(/\bPOST\b/.test(a.headers.allow), `Allow: ${a.headers.allow}`));
  answers('a method it does not know with 501', request('BREW', path), 501);
  answers('CONNECT with 501', request('CONNECT', path), 501);
  answers('HTTP/2.0 with 505', `GET ${path} HTTP/2.0\r\nHost: localhost\r\n\r\n`, 505);
  answers('HTTP/1.2 as HTTP/1.1', `GET ${path} HTTP/1.2\r\nHost: localhost\r\n\r\n`, 200);
  answers('a path of 8 KB with 414', request('GET', `/${'x'.repeat(8192)}`), 414);
  answers('a Host of 8 KB with 431', request('GET', path, { Host: 'h'.repeat(8192) }), 431);
  answers('a head of 20 KB with 431', request('GET', path, Object.fromEntries(
    [...Array(20).keys()].map((i) => [`X-Padding-${i}`, 'p'.repeat(1000)]))), 431);
  answers('a second transfer coding with 501', request('POST', '/publish/a', {
    'Transfer-Encoding': 'gzip, chunked' }, '1\r\nx\r\n0\r\n\r\n'), 501);
  answers('a chunked body for a route that takes none with 413', request('GET', path, {
    'Transfer-Encoding': 'chunked' }, '0\r\n\r\n'), 413);
  answers('Transfer-Encoding beside Content-Length with 400', request('POST', '/publish/a', {
    'Transfer-Encoding': 'chunked', 'Content-Length': '5' }, 'hello'), 400);
  answers('an expectation it cannot meet with 417', request('POST', '/publish/a', {
    'Content-Length': '1', Expect: '200-ok' }, 'x'), 417);
  for (const [what, bytes] of [
    ['an empty method', ` ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`],
    ['a target without a slash', 'GET healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['no target', 'GET HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['a version that is no version', `GET ${path} HTTQ/1.1\r\nHost: localhost\r\n\r\n`],
    ['HTTP/1.1x', `GET ${path} HTTP/1.1x\r\nHost: localhost\r\n\r\n`],
    ['two spaces before the target', `GET  ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`],
    ['HTTP/1.1 without Host', `GET ${path} HTTP/1.1\r\nAccept: */*\r\n\r\n`],
    ['two Hosts', `GET ${path} HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n`],
    ['a space before a colon', `GET ${path} HTTP/1.1\r\nHost : localhost\r\n\r\n`],
    ['a header without a colon', `GET ${path} HTTP/1.1\r\nHost: localhost\r\nNothing\r\n\r\n`],
    ['a header without a name', `GET ${path} HTTP/1.1\r\nHost: localhost\r\n: x\r\n\r\n`],
    ['a folded header', `GET ${path} HTTP/1.1\r\nHost: localhost\r\nA: b\r\n c\r\n\r\n`],
    ['NUL in a header', `GET ${path} HTTP/1.1\r\nHost: localhost\r\nA: b\0c\r\n\r\n`],
    ['a bare CR in a header', `GET ${path} HTTP/1.1\r\nHost: localhost\r\nA: b\rc\r\n\r\n`],
    ['%zz in the path', request('GET', '/healt%zz')],
    ['%00 in the path', request('GET', '/healthz%00')],
    ['an escaped slash for a separator', request('POST', '/publish%2Fa', {
      'Content-Length': '1' }, 'x')],
    ['an escaped slash in a path', request('POST', '/publish/a%2Fb', {
      'Content-Length': '1' }, 'x')],
    ['an escaped backslash in a path', request('POST', '/publish/%5Ca', {
      'Content-Length': '1' }, 'x')],
    ['a timeout of half a second', request('GET', '/poll?topics=a&timeout=0.5')],
    ['two timeouts', request('GET', '/poll?topics=a&timeout=1&timeout=1')],
    ['a broken escape in topics', request('GET', '/events?topics=a%')],
    ['a Content-Length that is no number', request('POST', '/publish/a',
      { 'Content-Length': '0x1' }, 'x')],
    ['a negative Content-Length', request('POST', '/publish/a', { 'Content-Length': '-1' }, 'x')],
    ['a signed Content-Length', request('POST', '/publish/a', { 'Content-Length': '+1' }, 'x')],
    ['an empty Content-Length', request('POST', '/publish/a', { 'Content-Length': '' }, 'x')],
    ['two Content-Lengths', 'POST /publish/a HTTP/1.1\r\nHost: localhost\r\n'
      + 'Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy'],
    ['TLS on the plain port', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n\r\n'],
  ]) {
    answers(`${what} with 400`, bytes, 400);
  }
  answers('a Content-Length of 40 digits with 400 or 413', request('POST', '/publish/a',
    { 'Content-Length': '9'.repeat(40) }), [400, 413]);
}

function upgrades() {
  const missing = (name, value) => request('GET', '/ws?topics=a', { ...UPGRADE, [name]: value });
  answers('a WebSocket path without an upgrade with 426', request('GET', '/ws?topics=a'), 426,
    (a) => check(/websocket/i.test(a.headers.upgrade || ''), `Upgrade: ${a.headers.upgrade}`));
  answers('WebSocket version 8 with 426 and the version it speaks',
    missing('Sec-WebSocket-Version', '8'), 426,
    (a) => equal(a.headers['sec-websocket-version'], '13', 'Sec-WebSocket-Version'));
  answers('an upgrade without a key with 400', missing('Sec-WebSocket-Key', null), 400);
  answers('an upgrade with a short key with 400', missing('Sec-WebSocket-Key', 'c2hvcnQ='), 400);
  answers('an upgrade with a key that is no base64 with 400',
    missing('Sec-WebSocket-Key', '************************'), 400);
  answers('a POST upgrade with 400, 405 or 426', request('POST', '/ws?topics=a', {
    ...UPGRADE, 'Content-Length': '0' }), [400, 405, 426]);
  answers('an unknown topic on a WebSocket with 404', request('GET', '/ws?topics=zzz', UPGRADE),
    404);
  answers('an unknown topic on an event stream with 404', request('GET', '/events?topics=zzz'),
    404);
  answers('an unknown topic on a poll with 404', request('GET', '/poll?topics=zzz'), 404);
}

function visitors() {
  const foreign = ['http://evil.example', 'null', 'http://127.0.0.1.evil.example',
    'https://127.0.0.1:1', 'http://evil.example:80'];
  for (const origin of foreign) {
    answers(`a publish from the origin ${origin} with 403`, request('POST', '/publish/a', {
      Origin: origin, 'Content-Length': '1' }, 'x'), 403);
    answers(`a WebSocket from the origin ${origin} with 403`, request('GET', '/ws?topics=a', {
      ...UPGRADE, Origin: origin }), 403);
    answers(`an event stream from the origin ${origin} with 403`, request('GET',
      '/events?topics=a', { Origin: origin }), 403);
    answers(`a poll from the origin ${origin} with 403`, request('GET', '/poll?topics=a', {
      Origin: origin }), 403);
  }
  for (const site of ['cross-site', 'same-site']) {
    for (const path of ['/healthz', '/events?topics=a', '/poll?topics=a']) {
      answers(`a GET of ${path} by an image of a page that is ${site} with 403`,
        request('GET', path, { 'Sec-Fetch-Site': site, 'Sec-Fetch-Dest': 'image' }), 403);
    }
    answers(`a link to a handler from a page that is ${site} with its answer`,
      request('GET', '/healthz', { 'Sec-Fetch-Site': site, 'Sec-Fetch-Dest': 'document' }),
      [200, 204]);
  }
  answers('a publish by a form under no-referrer with its answer', request('POST', '/publish/a', {
    Origin: 'null', 'Sec-Fetch-Site': 'same-origin', 'Content-Length': '1' }, 'x'), [200, 204]);
  for (const [host, origin] of [['127.0.0.1:443', 'https://127.0.0.1'],
    ['127.0.0.1:80', 'http://127.0.0.1'], ['127.0.0.1', 'http://127.0.0.1:80']]) {
    // RFC 6454 4: the scheme counts. Over TLS a page that came by http is another site.
    const own = !secure || origin.startsWith('https:');
    answers(`the Origin ${origin} at the Host ${host} with ${own ? 'its answer' : '403'}`,
      request('POST', '/publish/a', { Host: host, Origin: origin, 'Content-Length': '1' }, 'x'),
      own ? [200, 204] : 403);
  }
  for (const host of ['evil.example', 'evil.example:8080', 'localhost.evil.example',
    '127.0.0.1.evil.example', 'notlocalhost', 'device.local', '1.2.3.4x', '']) {
    answers(`the Host "${host}" with 421 or 400`, request('GET', '/healthz', { Host: host }),
      [421, 400]);
  }
  for (const host of ['localhost', 'LOCALHOST', 'localhost:99', '127.0.0.1', '10.1.2.3:80', '[::1]',
    '[fe80::1]:8080']) {
    answers(`the Host ${host} with its answer`, request('GET', '/healthz', { Host: host }),
      [200, 204]);
  }
}

function tableTests() {
  refusals();
  upgrades();
  visitors();
  for (const { name, bytes, status, then } of table) {
    hub(`hub answers ${name}`, async (s) => {
      const a = await ask(s.port, bytes);
      const allowed = [status].flat();
      check(allowed.includes(a.status), `status ${a.status}, expected ${allowed.join(' or ')}`);
      if (then) {
        then(a);
      }
      const still = await call(`${s.url}/healthz`);
      check(still.status < 300, 'the next request was refused');
    });
  }
}

function connections() {
  hub('hub keeps a connection alive over 100 requests', async (s) => {
    const c = connect(s.port);
    for (let i = 0; i < 100; i++) {
      const before = c.text.length;
      c.write(request('GET', '/healthz'));
      const a = await c.until('an answer', (t) => parseAnswer(t.slice(before)));
      check(a.status === 200 || a.status === 204, `status ${a.status} to request ${i}`);
    }
    c.destroy();
  });

  hub('hub answers pipelined requests in order', async (s) => {
    const c = connect(s.port);
    c.write(request('GET', '/healthz') + request('GET', '/missing') + request('POST', '/publish/a',
      { 'Content-Length': '5' }, 'hello') + request('GET', '/stats', { Connection: 'close' }));
    await c.end();
    const statuses = [];
    for (let rest = c.text; rest;) {
      const a = parseAnswer(rest, { closed: true });
      check(a, `cut off: ${rest}`);
      statuses.push(Math.floor(a.status / 100));
      rest = a.rest;
    }
    equal(statuses, [2, 4, 2, 2], 'classes of the statuses');
  });

  hub('hub answers a request that arrives byte by byte', async (s) => {
    const c = connect(s.port);
    for (const byte of request('POST', '/publish/a', { 'Content-Length': '5' }, 'hello')) {
      c.write(byte);
      await new Promise(setImmediate);
    }
    const a = await c.until('an answer', (t) => parseAnswer(t));
    check(a.status >= 200 && a.status < 300, `status ${a.status}`);
    c.destroy();
  });

  hub('hub answers a request with a trailing half before its connection ends', async (s) => {
    const c = connect(s.port);
    c.socket.end(request('GET', '/healthz') + 'GET /heal');
    await c.end();
    const a = parseAnswer(c.text, { closed: true });
    check(a && a.status < 300, `got ${JSON.stringify(c.text)}`);
  });

  hub('hub closes after an HTTP/1.0 request', async (s) => {
    const c = connect(s.port);
    c.write('GET /healthz HTTP/1.0\r\n\r\n');
    await c.end();
    const a = parseAnswer(c.text, { closed: true });
    check(a.status < 300, `status ${a.status}`);
    check(!('transfer-encoding' in a.headers), 'chunked in an answer to HTTP/1.0');
  });

  hub('hub closes when it is asked to with Connection: close', async (s) => {
    const c = connect(s.port);
    c.write(request('GET', '/healthz', { Connection: 'close' }));
    await c.end();
    equal(parseAnswer(c.text, { closed: true }).headers.connection, 'close', 'Connection');
  });

  hub('hub gives HEAD the same head as GET and no body', async (s) => {
    for (const path of ['/healthz', '/stats']) {
      const c = connect(s.port);
      c.write(request('HEAD', path, { Connection: 'close' }));
      await c.end();
      const head = parseAnswer(c.text, { head: true });
      const get = await ask(s.port, request('GET', path, { Connection: 'close' }));
      equal(head.status, get.status, 'status');
      equal(head.rest, '', 'body of HEAD');
      equal(Object.keys(head.headers).sort(), Object.keys(get.headers).sort(), 'headers');
    }
  });

  hub('hub answers OPTIONS with the methods of the route', async (s) => {
    const a = await ask(s.port, request('OPTIONS', '/publish/a'));
    check(a.status === 200 || a.status === 204, `status ${a.status}`);
    check(/\bPOST\b/.test(a.headers.allow), `Allow: ${a.headers.allow}`);
    const b = await ask(s.port, request('OPTIONS', '*'));
    check([200, 204, 400, 404].includes(b.status), `status ${b.status} to OPTIONS *`);
  });

  hub('hub outlives clients that connect and send nothing, half a head, or a reset', async (s) => {
    for (let i = 0; i < 30; i++) {
      const c = connect(s.port);
      await until('the connection', () => c.socket.readyState === 'open');
      if (i % 3 === 1) {
        c.write('GET /heal');
      } else if (i % 3 === 2) {
        c.write(request('GET', '/stats'));
        c.resetNow();
      }
    }
    await until('an answer', async () => {
      const a = await call(`${s.url}/healthz`).catch(() => null);
      return a && a.status < 300;
    });
  });

  hubWith('hub evicts an idle connection for a new one', async (s) => {
    const idle = [];
    for (let i = 0; i < 12; i++) { // --conns and eight more
      const c = connect(s.port);
      c.write(request('GET', '/healthz'));
      await c.until('an answer', (t) => parseAnswer(t));
      idle.push(c);
    }
    // Within a second none of them gives way, or those of one browser would evict one another.
    const a = await until('an answer', () => call(`${s.url}/healthz`).catch(() => null));
    check(a.status < 300, `status ${a.status}`);
    await until('the oldest to be closed', () => idle[0].closed);
    equal(idle.filter((c) => c.closed).length, 1, 'closed');
  }, '--conns', 4);
}

function byCurl() {
  hub('curl publishes, and is told the id', async (s) => {
    const { stdout } = await curl('-i', '-d', 'from curl', `${s.url}/publish/a`);
    check(/^HTTP\/1\.1 2/.test(stdout), stdout);
    check(/\b[0-9a-f]{8}-[0-9a-f]{8}\b/.test(stdout), `no id in ${stdout}`);
  });

  hub('curl asks twice over one connection', async (s) => {
    const { stdout } = await curl('-v', '--stderr', '-', `${s.url}/healthz`, `${s.url}/healthz`);
    check(/Re-using existing connection/.test(stdout), stdout);
  });

  hub('curl reads an event stream', async (s) => {
    const ids = [];
    for (const text of ['one', 'two', 'three']) {
      ids.push((await call(`${s.url}/publish/a`, { method: 'POST', body: text })).body
        .match(/[0-9a-f]{8}-[0-9a-f]{8}/)[0]);
    }
    const { stdout } = await curl('-N', '--max-time', '2', '-H', `Last-Event-ID: ${ids[0]}`,
      `${s.url}/events?topics=a`).catch((error) => error); // it ends by its time limit
    check(!stdout.includes('data: one'), `the known event came again: ${stdout}`);
    check(/data: two\n[^]*data: three\n/.test(stdout), stdout);
  });

  hub('curl speaks HTTP/1.0', async (s) => {
    const { stdout } = await curl('-0', '-i', `${s.url}/healthz`);
    check(/^HTTP\/1\.[01] 20[04] /.test(stdout), stdout);
  });

  hub('curl publishes a body whose length it does not know', async (s) => {
    const sending = curl('-i', '-X', 'POST', '-T', '-', `${s.url}/publish/a`); // in chunks
    sending.child.stdin.end('from a pipe');
    const { stdout } = await sending;
    check(/HTTP\/1\.1 200/.test(stdout), stdout);
    const since = stdout.match(/[0-9a-f]{8}-[0-9a-f]{8}/)[0].replace(/[0-9a-f]$/, '0');
    const poll = await curl(`${s.url}/poll?topics=a&timeout=0&last_event_id=${since}`);
    check(poll.stdout.includes('data: from a pipe\n'), poll.stdout);
  });

  hub('fetch publishes a stream', async (s) => {
    const body = new ReadableStream({
      start(c) {
        for (const part of ['one ', 'two ', 'three']) {
          c.enqueue(new TextEncoder().encode(part));
        }
        c.close();
      },
    });
    const a = await fetch(`${s.url}/publish/a`, { method: 'POST', body, duplex: 'half' });
    const id = (await a.text()).match(/[0-9a-f]{8}-[0-9a-f]{8}/)[0];
    equal(a.status, 200, 'status');
    const poll = await fetch(`${s.url}/poll?topics=a&timeout=0&last_event_id=${
      id.replace(/[0-9a-f]$/, '0')}`);
    const text = await poll.text();
    check(text.includes('data: one two three\n'), text);
  });

  hub('curl is told to go on with a large body, and that it is too large', async (s) => {
    const sending = curl('-i', '-H', 'Expect: 100-continue', '-d', '@-', `${s.url}/publish/a`);
    sending.child.stdin.on('error', () => {});
    sending.child.stdin.end('x'.repeat(2_000_000));
    const { stdout } = await sending.catch((error) => error);
    check(/HTTP\/1\.1 413/.test(stdout), (stdout || '').slice(0, 300));
  });
}

function publishing() {
  hub('hub answers a publish with the id its readers see', async (s) => {
    const first = await call(`${s.url}/publish/a`, { method: 'POST', body: 'x' });
    check(first.status >= 200 && first.status < 300, `status ${first.status}`);
    const second = await call(`${s.url}/publish/b`, { method: 'POST', body: 'y' });
    const [e1, n1] = first.body.match(/([0-9a-f]{8})-([0-9a-f]{8})/).slice(1);
    const [e2, n2] = second.body.match(/([0-9a-f]{8})-([0-9a-f]{8})/).slice(1);
    equal(e1, e2, 'epochs');
    equal(parseInt(n2, 16), parseInt(n1, 16) + 1, 'sequence');
  });

  hub('hub answers a publish to an unknown topic with 404', async (s) => {
    const a = await call(`${s.url}/publish/zzz`, { method: 'POST', body: 'x' });
    equal(a.status, 404, 'status');
  });

  hub('hub answers a body that is too large with 413, also while it is still sent', async (s) => {
    const a = await ask(s.port, request('POST', '/publish/a', { 'Content-Length': '100000' }));
    equal(a.status, 413, 'status');
    const c = connect(s.port);
    c.write(request('POST', '/publish/a', { 'Content-Length': '1000000' }));
    c.write('x'.repeat(1_000_000));
    const late = await c.until('an answer', (t) => parseAnswer(t));
    equal(late.status, 413, 'status');
    c.destroy();
  });

  hub('hub refuses text that is not UTF-8', async (s) => {
    const a = await ask(s.port, request('POST', '/publish/a', { 'Content-Length': '2' },
      '\xc0\xaf'));
    check(a.status >= 400 && a.status < 500, `status ${a.status}`);
  });

  hub('hub takes a publish from its own origin', async (s) => {
    const a = await call(`${s.url}/publish/a`, {
      method: 'POST', headers: { Origin: s.url }, body: 'x',
    });
    check(a.status < 300, `status ${a.status}`);
  });

  hub('hub tells its numbers as JSON', async (s) => {
    await call(`${s.url}/publish/a`, { method: 'POST', body: 'x' });
    const a = await call(`${s.url}/stats`);
    equal(a.status, 200, 'status');
    check(/application\/json/.test(a.headers['content-type']), a.headers['content-type']);
    const numbers = JSON.parse(a.body);
    check(Object.keys(numbers).length > 5, a.body);
  });
}

export default function suite(path) {
  binary = path;
  hub = onOneServer(binary, ['--port', 0, '--topics', 'a,b']);
  tableTests();
  byCurl();
  publishing();
  connections();
  hub('the hub ends with a message if it cannot use an argument or the port', (s) => (
    refusesArguments(binary, [
      [['--port', s.port], /cannot listen on 127.0.0.1 port/],
      [['--host', 'localhost', '--port', 0], /localhost port 0: not an address/],
      [['--port', 'x'], /cannot use --port x/], [['--port'], /--port without a value/],
      [['--max', 60001], /cannot use --max 60001/], [['--log', -1], /cannot use --log -1/],
    ])));
}
