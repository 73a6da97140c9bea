// Other programs against the TLS port: openssl s_client, curl, sslscan, node's own TLS. The
// server is the hub over a filter (Makefile: build/hub-tls, build/hub-mbedtls), certificates are of
// build/cert.
//     node tests/tls/tools.test.mjs build/hub-tls build/hub [PART OF A TEST NAME]
import { readFileSync } from 'node:fs';
import net from 'node:net';
import process from 'node:process';
import tls from 'node:tls';
import {
  afterTest, check, equal, run, runAll, startServer, test, until, within,
} from '../clients/harness.mjs';

const [secure, plain, only] = process.argv.slice(2);
if (!plain) {
  console.log('usage: node tests/tls/tools.test.mjs HUB-TLS HUB [PART OF A TEST NAME]');
  process.exit(2);
}
const CA = 'build/cert/ca.pem';
const HELLO = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
const SUITES = ['CHACHA20-POLY1305', 'AES128-GCM-SHA256'];
const TLS13 = secure.includes('mbedtls'); // else 1.2 is all there is
const SUITES13 = TLS13 ? ['TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_128_GCM_SHA256'] : [];

// Starts the hub with these words of tests/tls/listen.h, and stops it after the test.
function hub(name, options, use, ms, ...args) {
  test(name, async () => {
    process.env.RTPUSH_TLS = options;
    const s = await startServer(secure, '--port', 0, '--topics', 'a,b', ...args);
    await use(s);
    await s.stop();
  }, ms);
}

const client = (s, args, more) => run('openssl', ['s_client', '-connect', `127.0.0.1:${s.port}`,
  '-CAfile', CA, ...args], more);
const curl = (args) => run('curl', ['-sS', '--max-time', '10', '--cacert', CA, ...args]);

function suiteOf(text) {
  return /New, (TLSv[\d.]+), Cipher is (\S+)/.exec(text)?.slice(1).join(' ') ?? 'none';
}

function openssl() {
  for (const [key, auth] of [['ec', 'ECDSA'], ['rsa', 'RSA']]) {
    hub(`openssl verifies the ${key} certificate, agrees on what is intended, and is answered`,
      key, async (s) => {
        const { text } = await client(s, ['-alpn', 'h2,http/1.1', '-ign_eof',
          '-verify_return_error'], { input: HELLO });
        equal(suiteOf(text), TLS13 ? `TLSv1.3 ${SUITES13[0]}`
          : `TLSv1.2 ECDHE-${auth}-CHACHA20-POLY1305`, 'suite');
        check(/Server Temp Key: X25519/.test(text), 'no X25519');
        check(/ALPN protocol: http\/1\.1/.test(text), 'no ALPN');
        check(/Verify return code: 0 \(ok\)/.test(text), 'the certificate does not verify');
        check(TLS13 || /Secure Renegotiation IS supported/.test(text), 'no RFC 5746');
        check(/Compression: NONE/.test(text), 'compression');
        check(/HTTP\/1\.1 20\d/.test(text), text.slice(-300));
      });

    hub(`of all the suites openssl knows, the ${key} port takes two`, key, async (s) => {
      const all = (await run('openssl', ['ciphers', '-tls1_2', 'ALL:COMPLEMENTOFALL:@SECLEVEL=0']))
        .text.trim().split(':').filter((n) => !n.startsWith('TLS_'));
      check(all.length > 100, `only ${all.length} suites`);
      // All that are left are offered until none of them is taken.
      const taken = [];
      for (;;) {
        const offered = all.filter((n) => !taken.includes(n));
        const { text } = await client(s, ['-tls1_2', '-cipher',
          `${offered.join(':')}:@SECLEVEL=0`]);
        const suite = /New, TLSv1\.2, Cipher is (?!\(NONE\))(\S+)/.exec(text)?.[1];
        if (!suite) {
          check(/alert handshake failure/.test(text), text.slice(0, 300));
          break;
        }
        check(offered.includes(suite), `${suite} was not offered`);
        taken.push(suite);
      }
      equal(taken.sort(), SUITES.map((n) => `ECDHE-${auth}-${n}`).sort(), 'suites');
    }, 60_000);
  }

  hub('openssl is told protocol_version where it is too old', 'ec', async (s) => {
    for (const version of ['-tls1', '-tls1_1']) {
      const { text } = await client(s, [version, '-cipher', 'ALL:@SECLEVEL=0']);
      check(/alert protocol version/.test(text), `${version}: ${text.slice(0, 300)}`);
    }
    if (!TLS13) {
      const { text } = await client(s, ['-tls1_3']);
      check(/alert handshake failure/.test(text), `-tls1_3: ${text.slice(0, 300)}`);
    }
  });

  hub('openssl without a protocol of ours is told so', 'ec', async (s) => {
    const { text } = await client(s, ['-alpn', 'h2,acme-tls/1']);
    check(/alert no application protocol/.test(text), text.slice(0, 300));
  });

  hub('openssl resumes its session five times of five', 'ec', async (s) => {
    const { text } = await client(s, ['-reconnect', '-tls1_2'], { wait: 2_000 });
    equal(text.match(/^Reused, TLSv1\.2/gm)?.length, 5, 'resumed');
  });

  if (TLS13) {
    hub('openssl resumes a session of TLS 1.3 by its ticket', 'ec', async (s) => {
      const file = 'build/tls/session';
      const { text } = await client(s, ['-tls1_3', '-ign_eof', '-sess_out', file],
        { input: HELLO });
      check(/New, TLSv1\.3/.test(text) && /HTTP\/1\.1 20\d/.test(text), text.slice(-300));
      const { text: more } = await client(s, ['-tls1_3', '-ign_eof', '-sess_in', file],
        { input: HELLO });
      check(/Reused, TLSv1\.3/.test(more) && /HTTP\/1\.1 20\d/.test(more), more.slice(-300));
    });
  }

  hub('openssl may not renegotiate, and the port still answers others', 'ec', async (s) => {
    const { text } = await client(s, ['-tls1_2'], { input: 'R\n', wait: 500 });
    check(/no renegotiation/.test(text), text.slice(-300));
    const { text: answer } = await client(s, ['-ign_eof'], { input: HELLO });
    check(/HTTP\/1\.1 20\d/.test(answer), answer.slice(-300));
  });

  hub('openssl with P-256 alone is served too', 'ec', async (s) => {
    const { text } = await client(s, ['-groups', 'P-256', '-ign_eof'], { input: HELLO });
    check(/Server Temp Key: ECDH, prime256v1/.test(text), 'no P-256');
    check(/HTTP\/1\.1 20\d/.test(text), text.slice(-300));
  });
}

function scanner() {
  for (const [key, auth] of [['ec', 'ECDSA'], ['rsa', 'RSA']]) {
    hub(`sslscan finds nothing at the ${key} port but what is intended`, key, async (s) => {
      const { text } = await run('sslscan', ['--no-colour', '--show-sigs',
        `127.0.0.1:${s.port}`], { ms: 60_000 });
      const on = [...text.matchAll(/^((?:SSL|TLS)v[\d.]+)\s+enabled/gm)].map((m) => m[1]);
      equal(on.sort(), TLS13 ? ['TLSv1.2', 'TLSv1.3'] : ['TLSv1.2'], 'protocols');
      const suites = [...text.matchAll(/^(?:Preferred|Accepted)\s+(\S+)\s+\d+ bits\s+(\S+)/gm)]
        .map((m) => `${m[1]} ${m[2]}`);
      equal(suites.sort(), [...SUITES13.map((n) => `TLSv1.3 ${n}`),
        ...SUITES.map((n) => `TLSv1.2 ECDHE-${auth}-${n}`)].sort(), 'suites');
      check(/Session renegotiation not supported/.test(text), 'renegotiation');
      check(/TLSv1\.2 not vulnerable to heartbleed/.test(text), 'heartbleed');
      check(TLS13 || /Server supports TLS Fallback SCSV/.test(text), 'no RFC 7507');
      const sigs = [...text.matchAll(/^TLSv1\.2\s+(\S+)\s*$/gm)].map((m) => m[1]);
      check(sigs.length && sigs.every((n) => /sha256$|^enabled$/.test(n)), `signatures ${sigs}`);
    }, 90_000);
  }
}

function curls() {
  hub('curl speaks HTTP/1.1 and HTTP/1.0 through it', 'ec', async (s) => {
    for (const args of [[], ['-0'], ['--http1.1'], ['--tls-max', '1.2']]) {
      const { code, text } = await curl([...args, '-w', '%{http_code}', `${s.url}/healthz`]);
      check(code === 0 && /20\d$/.test(text), `${args}: ${text}`);
    }
    check((await curl(['--tls-max', '1.1', `${s.url}/healthz`])).code === 35, 'TLS 1.1 came in');
  });

  hub('curl uploads more than a record and reads more than a record', 'ec out=597', async (s) => {
    const body = 'x'.repeat(50_000);
    const { code, text } = await curl(['--data-binary', body, `${s.url}/publish/a`]);
    check(code === 0 && /[0-9a-f]{8}-[0-9a-f]{8}/.test(text), text);
    const epoch = /[0-9a-f]{8}/.exec(text)[0];
    const poll = await curl([`${s.url}/poll?topics=a&last_event_id=${epoch}-00000000&timeout=1`]);
    check(poll.text.includes(body), `${poll.text.length} bytes of a poll`);
  }, undefined, '--log', 1048576, '--max', 60000);

  hub('http to the TLS port is answered with a 400 that says why', 'ec', async (s) => {
    const { code, text } = await curl(['-i', `http://127.0.0.1:${s.port}/`]);
    equal(code, 0, 'exit status of curl');
    check(/^HTTP\/1\.1 400 /.test(text) && /https:/.test(text), text);
  });

  test('https to the plain port is refused at once', async () => {
    const s = await startServer(plain, '--port', 0, '--topics', 'a,b');
    const { code, text } = await curl([`https://127.0.0.1:${s.port}/healthz`]);
    check(code === 35 && /wrong version number/.test(text), text);
    await s.stop();
  });

  hub('curl with a certificate of the CA comes in, others do not', 'ec ca', async (s) => {
    const as = (name) => ['--cert', `build/cert/${name}.pem`, '--key', `build/cert/${name}.key`];
    const { text } = await curl([...as('client'), '-w', '%{http_code}', `${s.url}/healthz`]);
    check(/20\d$/.test(text), text);
    for (const args of [[], as('stranger'), as('ec')]) { // ec: a certificate for servers only
      const { code } = await curl([...args, `${s.url}/healthz`]);
      if (args[1] !== 'build/cert/ec.pem') {
        check(code !== 0, `${args} came in`);
      }
    }
  });
}

function nodes() {
  const connect = (s, more) => new Promise((done, fail) => {
    const socket = tls.connect({ port: s.port, host: '127.0.0.1', ca: readFileSync(CA), ...more });
    afterTest(() => socket.destroy());
    socket.on('secureConnect', () => done(socket));
    socket.on('error', fail);
  });

  hub('a session that is presented again is resumed, an unknown one is not', 'ec', async (s) => {
    const first = await connect(s);
    const ticket = TLS13 ? new Promise((done) => { first.once('session', done); }) : null;
    const session = await ticket ?? first.getSession();
    check(!first.isSessionReused(), 'resumed what never was');
    check((await connect(s, { session })).isSessionReused(), 'not resumed');
    const other = await startServer(secure, '--port', 0, '--topics', 'a');
    check(!(await connect(other, { session })).isSessionReused(), 'resumed by another server');
    await other.stop();
  });

  // The buffer of hub-mbedtls takes every record there is.
  (TLS13 ? () => {} : hub)('a record too large ends with record_overflow, smaller pass',
    'ec in=2077 out=597', async (s) => {
      const socket = await connect(s);
      let error = null;
      socket.on('error', (e) => { error = e; });
      socket.write(`GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(1900)}\r\n\r\n`);
      let text = '';
      socket.on('data', (d) => { text += d; });
      await until('an answer', () => /HTTP\/1\.1 20\d/.test(text));
      socket.write('x'.repeat(2100));
      await until('the alert', () => error);
      check(/alert record overflow/.test(error.message), error.message);
    });

  hub('a thousand half-open handshakes leave room for a real one', 'ec slots=8', async (s) => {
    const hello = Buffer.from('16030100c8010000c40303', 'hex');
    const halves = [];
    afterTest(() => halves.forEach((h) => h.destroy()));
    for (let i = 0; i < 1000; i++) {
      const half = net.connect(s.port, '127.0.0.1');
      half.on('error', () => {});
      half.write(hello.subarray(0, 1 + (i % hello.length)));
      halves.push(half);
      if (i % 50 === 49) {
        await new Promise((done) => { setTimeout(done, 5); });
      }
    }
    const socket = await within(25_000, 'a handshake', until('a handshake', () => (
      connect(s).catch(() => null)), 25_000));
    socket.write(HELLO);
    await within(10_000, 'an answer', new Promise((done) => { socket.once('data', done); }));
    halves.forEach((h) => h.destroy());
  }, 60_000);

  test('the certificates of make cert are what README says', async () => {
    const { text } = await run('openssl', ['verify', '-CAfile', CA, 'build/cert/ec.pem',
      'build/cert/rsa.pem', 'build/cert/client.pem']);
    equal(text.match(/: OK$/gm)?.length, 3, 'good certificates');
  });
}

openssl();
scanner();
curls();
nodes();
await runAll(only);
