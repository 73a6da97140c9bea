// examples/selftest in Chromium: the report of a board that works has no failure, and that of one
// which does not says what failed and goes on.
//
//     node tests/browser/selftest.test.mjs build/selftest-asan '{"board":"lm3s6965evb","elf":...}'
//
// Each argument is a program or an emulated device. Last line: "N passed, N failed".

import { freePort, refusesArguments } from '../clients/harness.mjs';
import { launch } from './browsers.mjs';
import { check, same, startProgram, stopProgram } from './checks.mjs';

const ALL_MS = 3 * 60000; // for one report
const TESTS = 17;

let passed = 0;
let failed = 0;

async function test(name, body) {
    try {
        await body();
        passed++;
        console.log(`ok   ${name}`);
    } catch (error) {
        failed++;
        console.log(`FAIL ${name}\n    ${error.stack}`);
    }
}

async function startServer(program) {
    if (program.startsWith('{')) {
        const { startTarget } = await import('../clients/device.mjs');
        return startTarget({ ...JSON.parse(program), probe: '/info' });
    }
    const port = String(await freePort()); // a sketch cannot tell which it has
    return startProgram(program, program.endsWith('sketch') ? [port] : ['--port', port]);
}

// The report, as its reader copies it.
async function reportOf(page, url) {
    await page.goto(`${url}/`);
    await page.fill('#note', 'ESP32-C3, Wi-Fi');
    await page.waitForSelector('body[data-state=done]', { timeout: ALL_MS });
    await page.click('#copy');
    check(/^Copied/.test(await page.textContent('#state')), 'not copied');
    return page.evaluate(() => navigator.clipboard.readText());
}

async function works(browser, program) {
    const server = await startServer(program);
    const context = await browser.newContext({
        permissions: ['clipboard-read', 'clipboard-write'],
    });
    const page = await context.newPage();
    const errors = [];
    page.on('pageerror', (error) => errors.push(error.stack));
    const report = await reportOf(page, server.url);
    console.log(report.replace(/^/gm, '    '));
    same(report.match(/^FAIL.*/gm), null, 'failures');
    check(report.includes(`\n${TESTS} ok, 0 failed`), 'the sum');
    check(/^board {4}\S+$/m.test(report), 'a board');
    check(report.includes('\nnote     ESP32-C3, Wi-Fi\n'), 'the note');
    check(/^rtpush {3}\d+\.\d+\.\d+, \d+ connections, .* log \d+$/m.test(report), 'the versions');
    same(report.includes('\nlwIP     -\n'), !program.startsWith('{'), 'without lwIP');
    same(errors, [], 'errors in the page');
    await context.close();
    if (server.stop) {
        await server.stop();
    } else {
        check([0, 'SIGTERM'].includes(await stopProgram(server)), 'exit status'); // a sketch: by it
    }
}

// Bytes that are wrong, requests that are refused, a board without a limit of streams.
async function says_what_fails(browser, program) {
    const server = await startServer(program);
    const context = await browser.newContext({ permissions: ['clipboard-read'] });
    const page = await context.newPage();
    await page.route('**/download*', (route) => route.fulfill({ body: 'wrong' }));
    await page.route('**/upload', (route) => route.fulfill({ status: 500 }));
    await page.routeWebSocket('**/echo', (socket) => socket.onMessage(() => socket.send('other')));
    const report = await reportOf(page, server.url);
    const failures = report.match(/^FAIL +\S.*/gm);
    console.log(failures.join('\n').replace(/^/gm, '    '));
    for (const name of ['POST of 20', 'upload', 'download', 'WebSocket: echo', 'connections',
        'a slow reader']) {
        check(failures.some((line) => line.includes(name)), `${name} is not said to fail`);
    }
    check(/^ok +20 events over sse/m.test(report), 'the others go on');
    check(report.includes(`\n${TESTS - failures.length} ok, ${failures.length} failed`), 'the sum');
    await context.close();
    same(await stopProgram(server), 0, 'exit status');
}

async function refuses_what_it_cannot_use(program) {
    const server = await startServer(program);
    await refusesArguments(program, [
        [['--port', server.port], /cannot listen on 127.0.0.1 port/],
        [['--port', 'x'], /usage/], [['x'], /usage/], [['--port'], /usage/], [['0', '1'], /usage/],
    ]);
    same(await stopProgram(server), 0, 'exit status');
}

const browser = await launch();
const programs = process.argv.slice(2);
for (const program of programs) {
    const { board = program } = program.startsWith('{') ? JSON.parse(program) : {};
    await test(`all_is_ok_on_${board}`, () => works(browser, program));
}
for (const program of programs.filter((name) => /selftest(-asan)?$/.test(name))) {
    await test('refuses_what_it_cannot_use', () => refuses_what_it_cannot_use(program));
}
await test('says_what_fails', () => says_what_fails(browser, programs[0]));
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
