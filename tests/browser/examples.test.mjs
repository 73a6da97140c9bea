// The examples that share examples/shared, in Chromium: one browser for all of them.
//
//     node tests/browser/examples.test.mjs build/examples-asan [NAME...]
//
// tests/browser/examples/NAME.mjs tests the example NAME: its default export is called with what
// `kit` below returns; `args` are options of the program, `query` is of the page's address, and
// `connections` is what the page may cost, if not 2. Before it each page is looked at in light,
// dark and on a phone; screenshots are left in build/examples-shots. Every wait is bounded.
// Last line: "N passed, N failed".

import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { refusesArguments } from '../clients/harness.mjs';
import {
    check, keyboardless, lowContrast, nameless, same, startProgram, stopProgram, until,
} from './checks.mjs';
import { startProxy } from './proxy.mjs';
import { newPage, openBrowser, OUTAGE, run, show, test } from './suite.mjs';

const TOP = fileURLToPath(new URL('../../', import.meta.url));
const FOLDER = process.argv[2] ?? 'build/examples-asan';
const HERE = fileURLToPath(new URL('examples/', import.meta.url));
const ALL_MS = 9 * 60000;

async function openPage(url, { scheme = 'light', width = 1280, prepare } = {}) {
    const page = await newPage({ viewport: { width, height: 844 }, colorScheme: scheme });
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

async function kit(name, { args = [], query = '', connections = 2 }) {
    const begin = (port) => startProgram(`${FOLDER}/${name}`, ['--port', String(port), ...args]);
    let server = await begin(0);
    return {
        test: (words, ...rest) => test(`${name}: ${words}`, ...rest),
        get url() { return server.url; },
        get port() { return server.port; },
        open: (options) => openPage(options?.url ?? `${server.url}/${query}`, options),
        async live(options) {
            const page = await openPage(options?.url ?? `${server.url}/${query}`, options);
            await until('live', () => isLive(page));
            return page;
        },
        connections,
        query,
        isLive,
        hostile,
        OUTAGE,
        // Another device of this kind, for one test, with other options: { port, stop }.
        async another(...options) {
            const other = await startProgram(`${FOLDER}/${name}`, ['--port', '0', ...options]);
            return { ...other, stop: async () => same(await stopProgram(other), 0, 'exit status') };
        },
        stop: async () => same(await stopProgram(server), 0, 'exit status'),
        async start() { server = await begin(server.port); },
        signal: (what) => server.child.kill(what),
    };
}

// Light, dark, phone: readable, nothing wider than the screen, every control has a name.
async function looks(k, name) {
    const shots = `${TOP}build/examples-shots`;
    fs.mkdirSync(shots, { recursive: true });
    await k.test(`costs ${k.connections} connections, and is readable`, async () => {
        const proxy = await startProxy(() => k.port);
        const page = await k.open({ url: `${proxy.url}/${k.query}` });
        await until('a page', () => page.evaluate(() => !document.querySelector('#pill') ||
            document.querySelector('#pill').dataset.state === 'open'));
        check(proxy.most <= k.connections, `${proxy.most} connections`);
        for (const [scheme, width] of [['light', 1280], ['dark', 1280], ['light', 375]]) {
            const at = `at ${width} pixels, ${scheme}`;
            await show(page, { scheme, width });
            same(await page.evaluate(lowContrast), [], `low contrast ${at}`);
            same(await page.evaluate(nameless), [], `without a name ${at}`);
            same(await page.evaluate(keyboardless), [], `out of the keyboard's reach ${at}`);
            const over = await page.evaluate(() => document.documentElement.scrollWidth -
                innerWidth);
            check(over <= 0, `${over} pixels too wide ${at}`);
            await page.screenshot({ path: `${shots}/${name}-${scheme}-${width}.png` });
        }
        proxy.close();
    }, k.OUTAGE);
    await k.test('says without a script that it needs one', async () => {
        const page = await newPage({ javaScriptEnabled: false });
        await page.goto(k.url);
        check((await page.locator('body').innerText()).includes('needs JavaScript'), 'not said');
    });
    const files = ['', 'app.js'].map((file) => fetch(`${k.url}/${file}`)
        .then((answer) => answer.arrayBuffer()));
    const sizes = (await Promise.all(files)).map((data) => gzipSync(data, { level: 9 }).length);
    console.log(`     ${name}: page with its style, script gzipped: ${sizes.join(' + ')} bytes`);
}

const names = process.argv.length > 3 ? process.argv.slice(3)
    : fs.readdirSync(HERE).map((file) => file.replace('.mjs', '')).sort();
await run(ALL_MS, async () => {
    // WebRTC between pages of this machine: by its own addresses, which need no name service.
    await openBrowser(undefined, ['--disable-features=WebRtcHideLocalIpsWithMdns',
        '--allow-loopback-in-peer-connection']);
    for (const name of names) {
        const module = await import(`./examples/${name}.mjs`);
        const k = await kit(name, module);
        await looks(k, name);
        await module.default(k);
        if (name === names[0]) { // one main for all of them
            await k.test('refuses arguments it cannot use', () => (
                refusesArguments(`${FOLDER}/${name}`, [
                    [['--port', k.port], /cannot listen on 127.0.0.1 port .* in use/],
                    [['--port', 0, '--host', 'localhost'], /localhost .* not an address/],
                    [['--port', 'x'], /cannot use --port x/],
                    [['--port'], /cannot use --port without a value/],
                    [['--nothing', 1], /cannot use --nothing 1/],
                ])));
        }
        await k.test('ends without a fault', () => k.stop());
    }
});
