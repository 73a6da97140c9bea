// The dashboard that a table in the firmware describes (ports/browser/dash.js, rtpush_dash.h), in a
// real browser: every kind moves and commands, the look, the size, what is loaded and when.
//
//     node tests/browser/widgets.test.mjs build/widgets-asan
//     node tests/browser/widgets.test.mjs '{"board":"lm3s6965evb","elf":...}'
//
// The second is the same page from an emulated device. RTPUSH_BROWSER=firefox: in Firefox instead
// of Chromium. Screenshots are left in build/widgets-shots. Last line: "N passed, N failed".

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { refusesArguments } from '../clients/harness.mjs';
import { FIREFOX } from './browsers.mjs';
import {
    check, keyboardless, lowContrast, nameless, same, sleep, startProgram, stopProgram, until,
} from './checks.mjs';
import { startProxy } from './proxy.mjs';
import { forget, newPage, openBrowser, run, show, test } from './suite.mjs';

const TOP = fileURLToPath(new URL('../../', import.meta.url));
const PROGRAM = process.argv[2] ?? 'build/widgets-asan';
const DEVICE = PROGRAM.startsWith('{') ? JSON.parse(PROGRAM) : null;
const PAGE_MAX = 8500; // bytes of flash of the page without charts
const ALL_MS = 8 * 60000;

let server;

// -- server ---------------------------------------------------------------------------------------

async function startServer(port = 0) {
    if (DEVICE) {
        const { startTarget } = await import('../clients/device.mjs');
        return startTarget(DEVICE);
    }
    return startProgram(PROGRAM, ['--port', String(port)]);
}

async function stopServer(running) {
    same(await stopProgram(running), 0, 'exit status');
}

// -- pages ----------------------------------------------------------------------------------------

async function openPage({ scheme = 'light', width = 1280, prepare, url = server.url } = {}) {
    const page = await newPage({ viewport: { width, height: 844 }, colorScheme: scheme });
    page.asked = [];
    page.on('request', (request) => page.asked.push(new URL(request.url()).pathname));
    await prepare?.(page);
    await page.goto(`${url}/`);
    return page;
}

const isLive = async (page) => (await page.getAttribute('body', 'data-state')) === 'open';
const live = (page) => until('live', () => isLive(page));
async function openLive(options) {
    const page = await openPage(options);
    await live(page);
    await until('values', async () => (await page.textContent('.gauge .num')) !== '');
    return page;
}

// Firefox draws only the page in front, and a click waits for a drawing.
const press = (page, selector) => (FIREFOX ? page.dispatchEvent(selector, 'click')
    : page.click(selector));

const changes = async (what, read) => {
    const before = await read();
    await until(`${what} other than ${before}`, async () => (await read()) !== before);
};

// -- tests ----------------------------------------------------------------------------------------

async function every_kind_moves() {
    const page = await openLive();
    same(await page.textContent('h1'), 'Greenhouse (simulated)', 'title');
    check(/^\d\d\.\d$/.test(await page.textContent('.gauge .num')), 'gauge shows tenths');
    same(await page.textContent('.bar .name'), 'Humidity', 'label');
    await until('pages', async () => (await page.textContent('.value .num')) === '1');
    await press(page, '.switch button'); // the lamp warms
    await changes('gauge', () => page.textContent('.gauge .num'));
    await changes('arc', () => page.evaluate(() => (
        document.querySelector('.gauge path + path').style.strokeDasharray)));
    await changes('bar', () => page.evaluate(() => (
        document.querySelector('.track i').style.transform)));
    await changes('number of the chart', () => page.textContent('.chart .num'));
    await until('a drawing', async () => (await page.locator('.chart canvas, .chart .bars i')
        .count()) > 0);
    await until('a line of the log', async () => (await page.textContent('.log'))
        .includes('Lamp on'));
    await press(page, '.switch button');
    await until('the next above it', async () => (await page.textContent('.log li'))
        .includes('Lamp off'));
}

async function every_control_commands_all_pages() {
    const a = await openLive();
    const b = await openLive({ width: 390 });
    for (const wanted of ['true', 'false']) {
        await press(a, '.switch button');
        for (const page of [a, b]) {
            await until(`switch ${wanted}`, async () => (
                await page.getAttribute('.switch button', 'aria-checked')) === wanted);
        }
    }
    await a.fill('.slider input', '40');
    await until('slider', async () => (await b.inputValue('.slider input')) === '40');
    same(await b.textContent('.slider .num'), '40', 'number of the slider');
    await a.focus('.slider input');
    await a.keyboard.press('ArrowRight');
    await until('slider by the keyboard', async () => (
        await b.inputValue('.slider input')) === '41');
    await b.fill('.text input', 'Zoë\'s "house" <b>\\');
    await b.keyboard.press('Enter');
    await until('text', async () => (
        await a.inputValue('.text input')) === 'Zoë\'s "house" <b>\\');
    await press(a, '.button button');
    await until('button', async () => (await b.textContent('.log li')).includes('Back to 20'));
    await a.fill('.slider input', '0');
    await until('slider back', async () => (await b.inputValue('.slider input')) === '0');
}

async function commands_are_posted_where_there_is_no_websocket() {
    const page = await openLive({
        prepare: (p) => p.routeWebSocket(/\/ws/, (socket) => socket.close()),
    });
    forget(); // of the socket that was closed
    check((await page.textContent('.pill')).includes('SSE'), 'not over SSE');
    await press(page, '.switch button');
    await until('switch', async () => (
        await page.getAttribute('.switch button', 'aria-checked')) === 'true');
    await press(page, '.switch button');
    await until('switch', async () => (
        await page.getAttribute('.switch button', 'aria-checked')) === 'false');
    forget(/WebSocket/i);
}

async function a_refused_command_is_told() {
    const page = await openLive();
    const answer = await page.evaluate(async () => {
        const { status } = await fetch('/control', { method: 'POST', body: '{"fan":101}' });
        return status;
    });
    same(answer, 400, 'status');
    await page.evaluate(() => { document.querySelector('.slider input').max = 200; });
    await page.fill('.slider input', '150');
    await until('a toast', async () => (await page.textContent('.toast')) === 'out of range');
    check(await page.locator('.toast').isVisible(), 'not to be seen');
    forget(); // the browser reports the 400
}

async function what_the_device_says_is_text_not_markup() {
    const evil = '<img src=x onerror="document.title=1">';
    const page = await openLive({
        prepare: (p) => p.route(/dash\.json/, async (route) => {
            const table = await (await route.fetch()).json();
            table.widgets.forEach((w) => { w.label = evil; w.unit = evil; });
            await route.fulfill({ json: { ...table, title: evil } });
        }),
    });
    same(await page.textContent('h1'), evil, 'title');
    same(await page.locator('img').count(), 0, 'pictures');
    check((await page.textContent('.bar .name')) === evil, 'label');
}

async function charts_are_loaded_for_a_chart_alone() {
    const page = await openLive();
    await until('charts.js', () => page.asked.includes('/charts.js'));
    const without = await openLive({
        prepare: (p) => p.route(/dash\.json/, async (route) => {
            const table = await (await route.fetch()).json();
            table.widgets = table.widgets.filter(({ kind }) => kind !== 'chart');
            await route.fulfill({ json: table });
        }),
    });
    await sleep(500);
    check(!without.asked.some((name) => name.startsWith('/charts')), `asked ${without.asked}`);
}

async function a_page_costs_two_connections() {
    const proxy = await startProxy(() => server.port);
    const page = await openLive({ url: proxy.url });
    await until('charts.js', () => page.asked.includes('/charts.js'));
    await changes('number of the chart', () => page.textContent('.chart .num'));
    check(proxy.most <= 2, `${proxy.most} connections`);
    proxy.close();
}

async function a_table_that_does_not_come_is_asked_for_again() {
    let times = 0;
    await openLive({
        prepare: (p) => p.route(/dash\.json/, (route) => (times++ === 0
            ? route.fulfill({ status: 503, body: 'busy' }) : route.continue())),
    });
    check(times > 1, 'asked once');
    forget(); // the browser reports the 503
}

async function a_page_survives_a_restart_and_dims_meanwhile() {
    const page = await openLive();
    const opacity = () => page.evaluate(() => (
        getComputedStyle(document.querySelector('.gauge')).opacity));
    await until('bright', async () => (await opacity()) === '1');
    const other = await openLive();
    await stopServer(server);
    await until('dimmed', async () => Number(await opacity()) < 0.6);
    check(await page.locator('.switch button').isDisabled(), 'a control without a device');
    // One page finds the table as it was, the other another one.
    await other.route(/dash\.json/, async (route) => {
        const table = await (await route.fetch()).json();
        await route.fulfill({ json: { ...table, title: 'Another version' } });
    });
    server = await startServer(server.port);
    await live(page);
    await until('bright', async () => (await opacity()) === '1');
    await changes('chart', () => page.textContent('.chart .num'));
    await until('the other table', async () => (
        await other.textContent('h1')) === 'Another version');
    forget(); // of connections refused
}

async function files_have_an_etag() {
    for (const name of ['', 'dash.js', 'charts.js', 'charts.css']) {
        const first = await fetch(`${server.url}/${name}`);
        const etag = first.headers.get('etag');
        check(first.status === 200 && etag, `${name}: ${first.status}, ETag ${etag}`);
        check(first.headers.get('content-encoding') === 'gzip', `${name} is not gzipped`);
        await first.arrayBuffer();
        const again = await fetch(`${server.url}/${name}`, { headers: { 'If-None-Match': etag } });
        same(again.status, 304, `${name} again`);
    }
}

async function the_page_is_small() {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rtpush-dash-'));
    const header = path.join(folder, 'assets.h');
    execFileSync('sh', [`${TOP}ports/dash.sh`, header, '-']);
    const arrays = fs.readFileSync(header, 'utf8').match(/_gzip\[\] = \{[^}]*\}/g);
    fs.rmSync(folder, { recursive: true });
    const sizes = arrays.map((text) => text.match(/\d+,/g).length);
    const sum = sizes.reduce((a, b) => a + b);
    console.log(`     ${sizes.join(' + ')} = ${sum} bytes, of ${PAGE_MAX}`);
    same(sizes.length, 2, 'files');
    check(sum < PAGE_MAX, `${sum} bytes`);
}

// Runs in the page: boxes too narrow for what they hold.
function overflowing() {
    return [...document.querySelectorAll('.card, .w:not(.chart, .log), button')]
        .filter((e) => e.scrollWidth > e.clientWidth + 1)
        .map((e) => e.textContent.trim());
}

async function look(page, scheme, width) {
    const at = `at ${width} pixels, ${scheme}`;
    await show(page, { scheme: FIREFOX ? null : scheme, width });
    const name = `${FIREFOX ? 'firefox' : 'chromium'}-${scheme}-${width}.png`;
    await page.screenshot({ path: `${TOP}build/widgets-shots/${name}`, fullPage: true });
    if (FIREFOX) { // it logs that the page's policy refuses Playwright's own style
        forget(/Content-Security-Policy/);
    }
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    check(wide <= width, `${wide} pixels wide ${at}`);
    same(await page.evaluate(overflowing), [], `wider than its box ${at}`);
    same(await page.evaluate(lowContrast), [], `low contrast ${at}`);
    same(await page.evaluate(nameless), [], `without a name ${at}`);
    same(await page.evaluate(keyboardless), [], `out of the keyboard's reach ${at}`);
    const back = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const bright = back.match(/\d+/g).map(Number).reduce((a, b) => a + b) / 3;
    check(scheme === 'dark' ? bright < 60 : bright > 200, `background ${back} ${at}`);
}

// -- run ------------------------------------------------------------------------------------------

// Firefox, driven by WebDriver BiDi, does without those that answer in the device's place.
const TESTS = [
    every_kind_moves, every_control_commands_all_pages, a_refused_command_is_told,
    files_have_an_etag,
    ...(FIREFOX ? [] : [
        commands_are_posted_where_there_is_no_websocket, what_the_device_says_is_text_not_markup,
        a_page_costs_two_connections, charts_are_loaded_for_a_chart_alone,
        a_table_that_does_not_come_is_asked_for_again,
    ]),
    ...(DEVICE || FIREFOX ? [] : [a_page_survives_a_restart_and_dims_meanwhile]),
    ...(DEVICE ? [] : [the_page_is_small]),
];
await run(ALL_MS, async () => {
    fs.mkdirSync(`${TOP}build/widgets-shots`, { recursive: true });
    await openBrowser();
    server = await startServer();
    for (const body of TESTS) {
        await test(body.name, body);
    }
    for (const scheme of ['light', 'dark']) {
        if (FIREFOX && scheme === 'dark') {
            // Over WebDriver BiDi no page has a colorScheme of its own: the whole browser is dark.
            await openBrowser(undefined, [], { prefs: { 'ui.systemUsesDarkTheme': 1 } });
        }
        await test(`fits_320_to_1280_pixels_in_${scheme}`, async () => {
            const page = await openLive({ scheme });
            await until('a drawing', async () => (await page.locator(
                '.chart canvas, .chart .bars i').count()) > 0);
            for (const width of [320, 390, 768, 1280]) {
                await look(page, scheme, width);
            }
        });
    }
    await (DEVICE ? null : test('refuses_arguments_it_cannot_use', () => refusesArguments(PROGRAM, [
        [['--port', server.port], /cannot listen on 127.0.0.1 port/],
        [['--port', 'x'], /usage/], [['x'], /usage/], [['--port'], /usage/], [['0', '1'], /usage/],
    ])));
    await (DEVICE ? server.stop() : test('the_server_ends_when_asked', () => stopServer(server)));
});
