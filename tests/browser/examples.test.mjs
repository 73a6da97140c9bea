// The examples that share examples/shared, in Chromium: one browser for all of them.
//
//     node tests/browser/examples.test.mjs build/examples-asan [NAME...]
//
// tests/browser/examples/NAME.mjs tests the example NAME: its default export is called with what
// `kit` below returns; `args` are options of the program, `query` is of the page's address. Before
// it each page is looked at in light, dark and on a phone; screenshots are left in
// build/examples-shots. Every wait is bounded. Last line: "N passed, N failed".

import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { launch } from './browsers.mjs';
import {
    check, lowContrast, nameless, same, startProgram, stopProgram, until, WAIT_MS,
} from './checks.mjs';

const TOP = fileURLToPath(new URL('../../', import.meta.url));
const FOLDER = process.argv[2] ?? 'build/examples-asan';
const HERE = fileURLToPath(new URL('examples/', import.meta.url));
const ALL_MS = 9 * 60000;
// The browser logs an outage; this cannot be turned off.
const OUTAGE = /WebSocket connection|net::ERR|Failed to load/;

let passed = 0;
let failed = 0;
let errors = []; // what the pages logged
// WebRTC between pages of this machine: by its own addresses, which need no name service.
const browser = await launch(undefined, ['--disable-features=WebRtcHideLocalIpsWithMdns',
    '--allow-loopback-in-peer-connection']);

async function test(name, body, allowed = null) {
    errors = [];
    try {
        await body();
        const left = errors.filter((words) => !allowed?.test(words));
        check(left.length === 0, `console: ${left.join('\n    ')}`);
        passed++;
        console.log(`ok   ${name}`);
    } catch (error) {
        failed++;
        console.log(`FAIL ${name}\n    ${error.stack}`);
    } finally {
        for (const context of browser.contexts()) {
            await context.close().catch(() => {});
        }
    }
}

async function openPage(url, { scheme = 'light', width = 1280, prepare } = {}) {
    const context = await browser.newContext({
        viewport: { width, height: 844 }, colorScheme: scheme,
    });
    context.setDefaultTimeout(WAIT_MS);
    const page = await context.newPage();
    page.on('pageerror', (error) => errors.push(error.stack));
    page.on('console', (message) => ['error', 'warning'].includes(message.type()) &&
        errors.push(message.text()));
    await prepare?.(page);
    await page.goto(url);
    return page;
}

const isLive = async (page) => (await page.getAttribute('#pill', 'data-state')) === 'open';

// A raw WebSocket in a page of the server: what a peer that is not our script may send. A message
// is a text, or an array of bytes. Resolves to the close code, or to null if it is open after ms.
const hostile = (page, messages, path = 'ws', ms = 20000) => page.evaluate(async (given) => {
    const [list, at, most] = given;
    const url = new URL(at, location.href);
    url.protocol = 'ws';
    const socket = new WebSocket(url.href);
    const code = new Promise((done) => { socket.onclose = (event) => done(event.code); });
    await new Promise((done) => { socket.onopen = done; });
    for (const message of list) {
        socket.send(typeof message === 'string' ? message : Uint8Array.from(message));
    }
    const late = new Promise((done) => { setTimeout(() => done(null), most); });
    const result = await Promise.race([code, late]);
    socket.close();
    return result;
}, [messages, path, ms]);

async function kit(name, { args = [], query = '' }) {
    const begin = (port) => startProgram(`${FOLDER}/${name}`, ['--port', String(port), ...args]);
    let server = await begin(0);
    return {
        test: (words, ...rest) => test(`${name}: ${words}`, ...rest),
        get url() { return server.url; },
        get port() { return server.port; },
        open: (options) => openPage(`${server.url}/${query}`, options),
        async live(options) {
            const page = await openPage(options?.url ?? `${server.url}/${query}`, options);
            await until('live', () => isLive(page));
            return page;
        },
        isLive,
        hostile,
        OUTAGE,
        stop: async () => same(await stopProgram(server), 0, 'exit status'),
        async start() { server = await begin(server.port); },
        signal: (what) => server.child.kill(what),
    };
}

// Light, dark, phone: readable, nothing wider than the screen, every control has a name.
async function looks(k, name) {
    const shots = `${TOP}build/examples-shots`;
    fs.mkdirSync(shots, { recursive: true });
    for (const [scheme, width] of [['light', 1280], ['dark', 1280], ['light', 375]]) {
        await k.test(`is readable, ${scheme}, ${width} pixels`, async () => {
            const page = await k.open({ scheme, width });
            await until('a page', () => page.evaluate(() => !document.querySelector('#pill') ||
                document.querySelector('#pill').dataset.state === 'open'));
            same(await page.evaluate(lowContrast), [], 'low contrast');
            same(await page.evaluate(nameless), [], 'without a name');
            const over = await page.evaluate(() => document.documentElement.scrollWidth -
                innerWidth);
            check(over <= 0, `${over} pixels too wide`);
            await page.screenshot({ path: `${shots}/${name}-${scheme}-${width}.png` });
        });
    }
    const files = ['', 'style.css', 'app.js'].map((file) => fetch(`${k.url}/${file}`)
        .then((answer) => answer.arrayBuffer()));
    const sizes = (await Promise.all(files)).map((data) => gzipSync(data, { level: 9 }).length);
    console.log(`     ${name}: page, style, script gzipped: ${sizes.join(' + ')} bytes`);
}

setTimeout(() => { console.log('FAIL out of time\n0 passed, 1 failed'); process.exit(1); },
    ALL_MS).unref();

const names = process.argv.length > 3 ? process.argv.slice(3)
    : fs.readdirSync(HERE).map((file) => file.replace('.mjs', '')).sort();
for (const name of names) {
    const module = await import(`./examples/${name}.mjs`);
    const k = await kit(name, module);
    await looks(k, name);
    await module.default(k);
    await k.test('ends without a fault', () => k.stop());
}
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
