// examples/secure in Chromium over https and wss, the test CA trusted as a user would import it:
// login, the dashboard over each transport, two roles, the end of a session, another site's page.
//     RTPUSH_TLS=ec NODE_EXTRA_CA_CERTS=build/cert/ca.pem \
//         node tests/browser/secure.test.mjs build/secure-asan [PART OF A TEST NAME]
//     ... node tests/browser/secure.test.mjs '{"board":"lm3s6965evb","elf":...,"seedAt":...}'
// Needs Chromium (CHROMIUM names it), certutil, and tests/clients.
import fs from 'node:fs';
import process from 'node:process';
import {
  afterTest, call, check, equal, runAll, test, until,
} from '../clients/harness.mjs';
import {
  ORIGIN, login, now, post, setClock, startSecure, token, tryPassword, wait,
} from '../clients/secure.mjs';
import { launch, WHOLE } from './browsers.mjs';
import { keyboardless, lowContrast, nameless } from './checks.mjs';
import { patience } from '../patience.mjs';

const [target, only] = process.argv.slice(2);
if (!target || !process.env.NODE_EXTRA_CA_CERTS) {
  console.log('usage: node tests/browser/secure.test.mjs SECURE [PART OF A TEST NAME]');
  process.exit(2);
}
const how = target.startsWith('{') ? JSON.parse(target) : { binary: target };
const CA = process.env.NODE_EXTRA_CA_CERTS;
const WAIT_MS = 20_000; // until has patience of its own
const SHORT_S = how.binary ? 8 : 12; // a session long enough to see something live

const browser = await launch(CA);

// A device and pages for one test. A page: { page, text, says, login }. What a page logs that is
// not the network's word for a refusal fails the test.
function secure(name, use, { args, ms = 60_000 } = {}) {
  test(name, async () => {
    const errors = [];
    const s = await startSecure(how, args);
    const open = async (url = `${s.url}/`, context = undefined) => {
      const inside = context ?? await browser.newContext();
      inside.setDefaultTimeout(WAIT_MS * patience());
      afterTest(() => inside.close());
      const page = await inside.newPage();
      page.on('pageerror', (error) => errors.push(error.stack));
      page.on('console', (m) => {
        if (['error', 'warning'].includes(m.type())
          && !/Failed to load resource|WebSocket connection|net::ERR|CORS policy/.test(m.text())) {
          errors.push(`${m.type()}: ${m.text()}`);
        }
      });
      await page.goto(url);
      const text = (id) => page.textContent(`#${id}`);
      return {
        page,
        text,
        context: inside,
        says: (id, words) => until(`#${id} with "${words}"`,
          async () => (await text(id).catch(() => '')).includes(words), WAIT_MS),
        login: async (role, seconds) => {
          await page.fill('#password', s.secrets[role]);
          if (seconds) {
            await page.$eval('#seconds option', (o, value) => { o.value = value; }, seconds);
            await page.selectOption('#seconds', `${seconds}`);
          }
          await page.click('button');
          await page.waitForSelector('#logout');
        },
      };
    };
    await use(s, open);
    await s.stop();
    equal(errors, [], 'what the pages logged');
  }, ms);
}

const loginPage = (p) => (
  p.page.waitForSelector('#password', { timeout: WAIT_MS * patience() + SHORT_S * 1000 }));

// -- own pages ------------------------------------------------------------------------------------

secure('the certificate is trusted because of the CA, and not otherwise', async (s, open) => {
  const p = await open();
  equal(new URL(p.page.url()).protocol, 'https:', 'address');
  const security = await (await p.page.goto(`${s.url}/`)).securityDetails();
  equal([security.protocol, security.issuer], ['TLS 1.2', 'rtpush development CA'], 'security');
  const stranger = await launch(null);
  afterTest(() => stranger.close());
  const page = await stranger.newPage();
  const error = await page.goto(`${s.url}/`).then(() => null, (e) => e.message);
  check(/ERR_CERT_AUTHORITY_INVALID/.test(error), `without the CA: ${error}`);
});

secure('a wrong password is told, the right one opens the dashboard', async (s, open) => {
  const p = await open();
  await p.page.fill('#password', 'wrong');
  await p.page.click('button');
  await p.says('wrong', 'wrong password');
  await p.login('viewer');
  await p.says('role', 'viewer');
  await p.says('link', 'open, websocket');
  await p.says('on', 'off');
  await until('a second reading', async () => Number(await p.text('up')) > 1);
  check(await p.page.isDisabled('#switch'), 'a viewer has a switch');
  check(await p.page.isHidden('#admin'), 'a viewer has the audit');
  const cookies = await p.context.cookies();
  equal(cookies.map((c) => [c.name, c.httpOnly, c.secure, c.sameSite]),
    [['__Host-session', true, true, 'Strict']], 'cookies');
  equal(await p.page.evaluate(() => document.cookie), '', 'what scripts see');
  await p.page.reload();
  await p.says('link', 'open');
});

secure('both pages are readable in light, dark and on a phone', async (s, open) => {
  for (const [colorScheme, width] of [['light', 1280], ['dark', 1280], ['light', 375]]) {
    const context = await browser.newContext({ colorScheme, viewport: { width, height: 800 } });
    const p = await open(`${s.url}/`, context);
    const readable = async (what) => {
      const words = `${what}, ${colorScheme}, ${width} pixels`;
      equal(await p.page.evaluate(lowContrast), [], `low contrast, ${words}`);
      equal(await p.page.evaluate(nameless), [], `without a name, ${words}`);
      equal(await p.page.evaluate(() => Math.max(0, document.documentElement.scrollWidth
        - innerWidth)), 0, `pixels too wide, ${words}`);
      check(await p.page.evaluate(() => getComputedStyle(document.querySelector('.card'))
        .borderTopStyle === 'solid'), `no look, ${words}`);
    };
    await readable('login');
    await p.login('admin');
    await p.says('link', 'open');
    await readable('dashboard');
    await p.page.evaluate(() => ['log', 'audit'].forEach((id) => { // full, so that they scroll
      document.getElementById(id).innerHTML = '<li>0 s: something</li>'.repeat(60);
    }));
    equal(await p.page.evaluate(keyboardless), [], "out of the keyboard's reach");
    await context.close(); // a small device has not enough for three pages over TLS
  }
});

secure('after many guesses the page says to wait, and the right one opens', async (s, open) => {
  const p = await open();
  for (let i = 0; i < 5; i++) {
    await tryPassword(s, 'guess');
  }
  await p.page.fill('#password', 'guess');
  await p.page.click('button');
  await p.says('wrong', 'too many tries');
  await wait(s, 1.5);
  await p.login('admin');
  await p.says('role', 'admin');
});

secure('login and logout work without a script too', async (s) => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  afterTest(() => context.close());
  const page = await context.newPage();
  await page.goto(`${s.url}/`);
  await page.fill('#password', s.secrets.viewer);
  await page.click('button');
  await page.waitForSelector('#logout');
  check((await page.innerText('body')).includes('need JavaScript'), 'the page says what it lacks');
  await page.click('#logout');
  await page.waitForSelector('#password');
  equal(await context.cookies(), [], 'cookies');
});

// At once where there is room. A small device has not enough for three pages over TLS: it is
// started for each, since on a busy machine the clock of an emulated one falls behind.
function overEach(name, use) {
  const transports = ['websocket', 'sse', 'poll'];
  if (how.binary) {
    secure(`${name}, over each transport`, (s, open) => (
      Promise.all(transports.map((transport) => use(s, open, transport)))));
  } else {
    transports.forEach((transport) => (
      secure(`${name}, over ${transport}`, (s, open) => use(s, open, transport))));
  }
}

overEach('the dashboard is live, and its end is the login', async (s, open, transport) => {
  const p = await open(`${s.url}/?transport=${transport}`);
  await p.login('viewer', SHORT_S);
  await p.says('link', `open, ${transport}`);
  const before = Number(await p.text('up'));
  await until('readings', async () => Number(await p.text('up')) > before, WAIT_MS);
  await loginPage(p);
});

overEach('an admin switches, a logout elsewhere brings the login', async (s, open, transport) => {
  const p = await open(`${s.url}/?transport=${transport}`);
  await p.login('admin');
  await p.says('link', `open, ${transport}`);
  const lines = async () => (await p.text('log')).split('was switched').length;
  const before = await lines();
  await p.page.click('#switch');
  await until('a line', async () => await lines() > before, WAIT_MS);
  const [cookie] = await p.context.cookies();
  await post(s, '/logout', '', { Cookie: `${cookie.name}=${cookie.value}` });
  await loginPage(p);
});

secure('a switch on one page is seen on the other, and a logout ends only its own',
  async (s, open) => {
    const viewer = await open();
    await viewer.login('viewer');
    await viewer.says('on', 'off');
    const admin = await open();
    await admin.login('admin');
    await admin.says('link', 'open');
    await admin.page.click('#switch');
    await viewer.says('on', 'on');
    await viewer.says('log', 'switched on');
    await tryPassword(s, 'wrong');
    await admin.says('audit', 'wrong password from');
    await admin.page.click('#logout');
    await loginPage(admin);
    equal(await admin.context.cookies(), [], 'cookies');
    await viewer.says('link', 'open');
  });

// -- notifications --------------------------------------------------------------------------------

const command = async (s, headers, ...lines) => {
  for (const line of lines) {
    equal((await post(s, '/control', line, headers)).status, 204, line);
  }
};
const inboxOf = (p) => p.page.$$eval('#inbox li', (items) => items.map((li) => (
  `${li.className} ${li.querySelector('span').textContent}`.trim())));
const holds = (p, words, expected) => until(words,
  async () => JSON.stringify(await inboxOf(p)) === JSON.stringify(expected), WAIT_MS);

secure('a page that comes later sees what its user has not read, and another page reads it',
  async (s, open) => {
    const admin = await login(s, 'admin');
    await command(s, admin, 'note all to both', 'note viewer to the viewer', 'note admin no');
    const p = await open();
    await p.login('viewer');
    await holds(p, 'what came before', ['unread to the viewer', 'unread to both']);
    await p.says('unread', '2 unread');
    equal(await p.page.title(), '(2) Device', 'title');
    await p.page.click('#inbox li:last-child button');
    await holds(p, 'one read', ['unread to the viewer', 'to both']);
    await command(s, await login(s, 'viewer'), 'read 0 9'); // of the same user, elsewhere
    await holds(p, 'all read', ['to the viewer', 'to both']);
    check(await p.page.isHidden('#unread') && await p.page.isDisabled('#read-all'), 'unread');
    await command(s, admin, 'note all the newest');
    await holds(p, 'a new one', ['unread the newest', 'to the viewer', 'to both']);
    await p.page.reload();
    await holds(p, 'the same', ['unread the newest', 'to the viewer', 'to both']);
    check(await p.page.isHidden('#note'), 'a viewer has the form');
    equal(JSON.parse((await call(`${s.url}/inbox`, { headers: admin })).body).map((n) => n.read),
      [false, false, false], 'of another user nothing is read');
  });

secure('what a page shows outside of itself is new, once and while it is hidden',
  async (s, open) => {
    const whole = await launch(CA, [], { program: WHOLE });
    afterTest(() => whole.close());
    const context = await whole.newContext();
    await context.grantPermissions(['notifications'], { origin: s.url });
    await context.addInitScript(() => {
      const shown = [];
      const { Notification } = globalThis;
      globalThis.shown = shown;
      globalThis.Notification = class extends Notification {
        constructor(title, options) {
          super(title, options);
          shown.push([title, options.body, options.tag]);
        }
      };
    });
    const shown = () => p.page.evaluate(() => globalThis.shown);
    const hide = (hidden) => p.page.evaluate((value) => {
      Object.defineProperty(document, 'hidden', { value, configurable: true });
      document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
    }, hidden);
    const admin = await login(s, 'admin');
    await command(s, admin, 'note admin before');
    const p = await open(`${s.url}/`, context);
    await p.login('admin');
    await holds(p, 'the list', ['unread before']);
    check(await p.page.isHidden('#popups'), 'asks again for what is granted');
    await p.page.fill('#text', 'while it is seen');
    await p.page.press('#text', 'Enter');
    await holds(p, 'its own', ['unread while it is seen', 'unread before']);
    equal(await shown(), [], 'shown while the page is seen');
    await hide(true);
    await command(s, admin, 'note viewer not ours', 'note all while it is hidden');
    await until('one outside', async () => (await shown()).length > 0, WAIT_MS);
    await hide(false);
    await p.page.click('#read-all');
    await holds(p, 'all read', ['while it is hidden', 'while it is seen', 'before']);
    equal(await shown(), [['Device', 'while it is hidden', 'note 4']], 'shown');
  });

secure('a device without a clock learns the time from the page of an admin', async (s, open) => {
  const p = await open();
  await p.login('admin');
  await p.says('audit', 'an admin set the clock');
}, { args: ['--clock', 'no'] });

// -- a page of another site -----------------------------------------------------------------------

const html = fs.readFileSync(new URL('../../examples/secure/third-party.html', import.meta.url));

// Served under `origin` without a server. Chromium asks its user before a public site may reach a
// device nearby; here the user says yes.
async function other(s, open, origin, transport) {
  const context = await browser.newContext();
  await context.grantPermissions(['local-network-access'], { origin }).catch(() => {});
  await context.route(`${origin}/**`, (route) => (
    route.fulfill({ body: html, contentType: 'text/html; charset=utf-8' })));
  return open(`${origin}/?transport=${transport}&device=${s.url}`, context);
}

const bring = async (p, text) => {
  await p.page.fill('#token', text);
  await p.page.click('button');
};

overEach('another site is live by tickets', async (s, open, transport) => {
  await setClock(s);
  const p = await other(s, open, ORIGIN, transport);
  const asked = [];
  p.page.on('request', (r) => asked.push(`${r.url()} ${r.headers().cookie ?? ''}`));
  p.page.on('websocket', (ws) => asked.push(ws.url()));
  const own = token(s.secrets.token, { exp: now() + SHORT_S });
  await bring(p, own);
  await p.says('state', 'open');
  const before = await p.text('reading');
  await until('a reading', async () => (await p.text('reading')) !== before, WAIT_MS);
  check(asked.some((url) => /ticket=[0-9a-f]{32}/.test(url)), `no ticket: ${asked}`);
  check(asked.every((url) => !url.includes(own) && !/session=/.test(url)), `a token: ${asked}`);
  await until('the end of token and stream', // the next ticket is refused
    async () => (await p.text('wrong')).includes('no ticket: 401'), WAIT_MS + SHORT_S * 1000);
  check(!/ticket=/.test(s.log()), s.log());
});

secure('another site without a good token, and one that is not listed, get nothing',
  async (s, open) => {
    await setClock(s);
    const p = await other(s, open, ORIGIN, 'sse');
    await bring(p, token('x'.repeat(32)));
    await p.says('wrong', 'no ticket: 401');
    equal(await p.text('reading'), '', 'what it reads');
    const evil = await other(s, open, 'https://evil.example', 'sse');
    const failed = [];
    evil.page.on('requestfailed', (r) => failed.push(r.url()));
    const good = token(s.secrets.token);
    const seen = await evil.page.evaluate(async ([device, text]) => {
      const ask = (path, options) => fetch(`${device}${path}`, options)
        .then((a) => `status ${a.status}`, () => 'refused');
      const Authorization = `Bearer ${text}`;
      return [
        await ask('/ticket', { method: 'POST', headers: { Authorization } }),
        await ask('/ticket', { method: 'POST', credentials: 'include' }),
        await ask('/session', { credentials: 'include' }),
        await new Promise((done) => {
          const ws = new WebSocket(`${device.replace('https', 'wss')}/ws`);
          ws.onopen = () => done('open');
          ws.onclose = () => done('refused');
        }),
      ];
    }, [s.url, good]);
    equal(seen, ['refused', 'refused', 'refused', 'refused'], 'what the other site gets');
  });

// WHATWG Fetch 3.2.3: else it sees "network error".
secure('a page of a listed site reads why it is refused', async (s, open) => {
  const p = await other(s, open, ORIGIN, 'sse');
  const seen = await p.page.evaluate(async (device) => {
    const status = async (path, method = 'GET') => (
      fetch(`${device}${path}`, { method }).then((a) => a.status, (error) => `${error}`));
    return [
      // 700: too long for the device, and a TLS record that its buffers hold.
      await status('/nothing'), await status(`/${'x'.repeat(700)}`), await status('/app%2Fjs'),
      await status('/events?topics=nothing'), await status('/session', 'POST'),
      await status('/session'),
    ];
  }, s.url);
  equal(seen, [404, 414, 400, 404, 405, 401], 'what it reads');
});

// W3C Fetch Metadata: none of these carries an Origin.
secure('images of another site reach files alone, and its links pages', async (s, open) => {
  const p = await other(s, open, 'https://evil.example', 'sse');
  const answers = {}; // also of what Chromium then keeps from the page (opaque response blocking)
  const pathOf = {};
  const cdp = await p.context.newCDPSession(p.page);
  cdp.on('Network.requestWillBeSent', (e) => {
    pathOf[e.requestId] = new URL(e.request.url).pathname;
  });
  cdp.on('Network.responseReceivedExtraInfo', (e) => {
    answers[pathOf[e.requestId]] = e.statusCode;
  });
  await cdp.send('Network.enable');
  const paths = ['/app.js', '/session', '/events', '/poll'];
  await p.page.evaluate(([device, images]) => {
    for (const path of images) {
      new Image().src = `${device}${path}`;
    }
  }, [s.url, paths]);
  await until('four answers', () => paths.every((path) => answers[path]), WAIT_MS);
  equal(paths.map((path) => answers[path]), [200, 403, 403, 403], 'answers');
  await p.page.evaluate((device) => {
    const link = document.body.appendChild(document.createElement('a'));
    link.href = `${device}/`;
    link.click();
  }, s.url);
  await loginPage(p);
});

// There its Origin is "null", and Sec-Fetch-Site says that it is our own.
secure('a form of an own page under no-referrer is taken', async (s, open) => {
  const p = await open();
  const origin = p.page.waitForRequest((r) => r.method() === 'POST')
    .then((r) => r.headerValue('origin'));
  await p.page.evaluate((password) => {
    const meta = document.head.appendChild(document.createElement('meta'));
    meta.name = 'referrer';
    meta.content = 'no-referrer';
    const form = document.body.appendChild(document.createElement('form'));
    form.method = 'post';
    form.action = '/login';
    const field = form.appendChild(document.createElement('input'));
    field.name = 'password';
    field.value = password;
    form.submit();
  }, s.secrets.viewer);
  equal(await origin, 'null', 'Origin');
  await p.page.waitForSelector('#logout');
});

await runAll(only);
