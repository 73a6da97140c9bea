// What each suite of pages here is: tests in one browser, one after the other, and totals at the
// end. A test fails if its body does, if it takes too long, or if a page logged an error or a
// warning that the test does not allow. The last line is "N passed, N failed".

import process from 'node:process';
import { launch } from './browsers.mjs';
import { check, sleep, WAIT_MS } from './checks.mjs';
import { patience } from '../patience.mjs';

const TEST_MS = 4 * 60000 * patience();

// Requests of Chromium's own would be in the way.
const QUIET = ['--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'];

// RTPUSH_HOST=device.test: pages are opened at this name, which is no secure context (W3C Secure
// Contexts 3.1: localhost and its addresses are, plain http elsewhere is not). Each browser takes
// it for this machine.
export const HOST = process.env.RTPUSH_HOST ?? '127.0.0.1';
export const at = (url, host = HOST) => url.replace('127.0.0.1', host);
const NAMES = ['--host-resolver-rules=MAP device.test 127.0.0.1'];
const NAMES_FIREFOX = { 'network.dns.localDomains': 'device.test' };

// What a browser logs of a request that is refused or fails; this cannot be turned off. Firefox has
// another message for a WebSocket.
export const OUTAGE =
    /Failed to load|WebSocket connection|net::ERR|Firefox can.t establish|interrupted/;

export let browser;
let passed = 0;
let failed = 0;
export const logged = []; // by the pages of this test

// For suites that allow something in the middle of a test alone.
export function forget(pattern = /^/) {
    const rest = logged.filter((words) => !pattern.test(words));
    logged.splice(0, logged.length, ...rest);
}

// In place of the one that is open. The arguments are those of launch.
export async function openBrowser(ca, args = [], { prefs, ...options } = {}) {
    await browser?.close();
    browser = await launch(ca, [...QUIET, ...NAMES, ...args],
        { prefs: { ...NAMES_FIREFOX, ...prefs }, ...options });
}

// A page in a context of its own, which its test's end closes.
export async function newPage(options) {
    const context = await browser.newContext(options);
    context.setDefaultTimeout(WAIT_MS);
    const page = await context.newPage();
    page.on('pageerror', (error) => logged.push(`uncaught: ${error.stack}`));
    page.on('console', (message) => ['error', 'warning'].includes(message.type()) &&
        logged.push(`${message.type()}: ${message.text()}`));
    return page;
}

// In Chromium: no script of the page runs until the function is called that this returns, and what
// arrives waits, as where the browser freezes a page in the background. It does that to hidden
// pages alone (Page.setWebLifecycleState changes nothing else), and without windows none is hidden:
// so the debugger pauses it. The function resolves to the ms of the longest pause.
export async function freeze(page) {
    await page.evaluate(() => {
        let last = performance.now();
        globalThis.longestPause = 0;
        setInterval(() => {
            const now = performance.now();
            globalThis.longestPause = Math.max(globalThis.longestPause, now - last);
            last = now;
        }, 100);
    });
    const devtools = await page.context().newCDPSession(page);
    await devtools.send('Debugger.enable');
    await devtools.send('Debugger.pause');
    return async () => {
        await devtools.send('Debugger.resume');
        await devtools.detach();
        await sleep(300);
        return page.evaluate(() => globalThis.longestPause);
    };
}

// The same page as another screen has it: a page of its own costs a second of a core.
export async function show(page, { scheme, width, height = 844 }) {
    await page.setViewportSize({ width, height });
    if (scheme) {
        await page.emulateMedia({ colorScheme: scheme });
    }
    await sleep(400); // what moves has come to rest
}

// With ONLY='WORD|WORD' in the environment: the tests with such a word in their names.
export async function test(name, body, allowed = null) {
    if (!RegExp(process.env.ONLY ?? '').test(name)) {
        return;
    }
    let limit;
    forget();
    try {
        await Promise.race([body(), new Promise((_, fail) => {
            limit = setTimeout(() => fail(new Error(`not within ${TEST_MS} ms`)), TEST_MS);
        })]);
        const left = logged.filter((words) => !allowed?.test(words));
        check(left.length === 0, `console: ${left.join('\n    ')}`);
        passed++;
        console.log(`ok   ${name}`);
    } catch (error) {
        failed++;
        console.log(`FAIL ${name}\n    ${error.stack}`);
    } finally {
        clearTimeout(limit);
        for (const context of browser.contexts()) {
            await context.close().catch(() => {});
        }
    }
}

function finish() {
    console.log(`${passed} passed, ${failed} failed`);
    process.exit(failed === 0 && passed > 0 ? 0 : 1);
}

// Runs body, which opens the browser and tests, for about allMs at most. Does not return.
export async function run(allMs, body) {
    setTimeout(() => {
        console.log('FAIL all_tests_end_in_time');
        failed++;
        finish();
    }, allMs * Math.max(3, patience())).unref();
    try {
        await body();
    } catch (error) {
        failed++;
        console.log(`FAIL setting_up\n    ${error.stack}`);
    } finally {
        await browser?.close().catch(() => {});
        finish();
    }
}
