// One connection for all tabs, and texts that are acknowledged: rtpush.js in several tabs of one
// browser, which close, crash, freeze and come back in any order.
//
//     node tests/browser/tabs.test.mjs build/page-server
//
// RTPUSH_BROWSER=firefox: in Firefox instead of Chromium. SEED chooses the order. FAULTS=10000:
// that many events while the connections break at random, and only that. Ten tabs are opened as
// http://device.test, which is no secure context, the others at RTPUSH_HOST, see suite.mjs.
// LONG=1: four tabs are closed in each of the 24 orders, too, and the back/forward cache is tried
// with each transport.
// Last line: "N passed, N failed".

import { execFileSync } from 'node:child_process';
import { FIREFOX, WHOLE } from './browsers.mjs';
import { check, same, sleep, startProgram, stopProgram, until, WAIT_MS } from './checks.mjs';
import { startProxy } from './proxy.mjs';
import * as suite from './suite.mjs';

const PROGRAM = process.argv[2];
const ALL_MS = 9 * 60000;
const TABS = 10;
const SMALL = 16384; // bytes of the log
const LARGE = 1 << 20; // ... which holds all events of a test

let server;
let context;
let seed = Number(process.env.SEED ?? 1);

// Numerical Recipes' generator: the same order for the same seed.
const random = (n) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor(seed / 2 ** 32 * n);
};

// The classic script is what `make page` builds.
execFileSync('sh', ['ports/page.sh', 'build/page'], { stdio: ['ignore', 'ignore', 'inherit'] });
const startServer = (port = 0, log = SMALL) => startProgram(PROGRAM,
    ['--port', String(port), '--log', String(log),
        '--keepalive', process.env.FAULTS ? '1000' : '5000']);
const publish = async (text, topic = 'a') => check((await fetch(
    `${server.url}/publish/${topic}`, { method: 'POST', body: text })).ok, `publish ${topic}`);
const streams = async () => Number((await (await fetch(`${server.url}/counts`)).text())
    .split(' ')[2]);

// -- pages ----------------------------------------------------------------------------------------

// Runs in each page.
function helpers() {
    globalThis.begin = async ({ by = ['tabs', 'websocket', 'sse', 'poll'], ...options }) => {
        const rtpush = await import('/rtpush.js');
        const seen = { events: [], values: {}, notices: [], states: [], messages: [], acks: [] };
        globalThis.seen = seen;
        globalThis.client = rtpush.duplex({
            transports: by.map((name) => rtpush[name]),
            topics: ['a', 's'],
            backoffMs: 50,
            onEvent(topic, data) {
                if (topic === 's' || topic === 't') {
                    seen.values[topic] = data;
                } else {
                    seen.events.push(topic + data);
                }
            },
            onNotice: (kind, n) => seen.notices.push(`${kind} ${n}`),
            onMessage: (data) => seen.messages.push(data),
            onState: ({ state }) => seen.states.push(state),
            ...options,
        });
    };
}

async function openTab(options, address = server.url, host = suite.HOST) {
    const page = await context.newPage();
    page.on('pageerror', (error) => console.log(`    page: ${error.message}`));
    await page.addInitScript(helpers);
    await page.goto(suite.at(address, host));
    if (options) {
        await page.evaluate((o) => globalThis.begin(o), options);
        await isOpen(page);
    }
    return page;
}

const look = (page) => page.evaluate(() => globalThis.seen);
const status = (page) => page.evaluate(() => globalThis.client.status);
const isOpen = (page) => until('open', async () => (await status(page)).state === 'open');
const got = (page, event) => until(`event ${event}`,
    async () => (await look(page)).events.includes(event));
const has = (page, topic, value) => until(`${topic} to be ${value}`,
    async () => (await look(page)).values[topic] === value);

const test = (name, body) => suite.test(name, async () => {
    context = await suite.browser.newContext();
    context.setDefaultTimeout(WAIT_MS);
    try {
        await body();
    } finally {
        await context.close().catch(() => {});
        await until('no stream', async () => (await streams()) === 0);
    }
});

// -- tests ----------------------------------------------------------------------------------------

async function shared() {
    // On an insecure origin: there are no Web Locks, and SSE has six connections for all tabs.
    for (const transport of ['sse', 'websocket']) {
        await test(`ten_tabs_on_an_insecure_origin_cost_one_stream_over_${transport}`, async () => {
            await publish('first', 's');
            const pages = [];
            for (let i = 0; i < TABS; i++) {
                pages.push(await openTab({ by: ['tabs', transport] }, server.url,
                    'device.test'));
                same(await pages[i].evaluate(() => globalThis.isSecureContext), false, 'secure');
                await has(pages[i], 's', 'first'); // the newest value, however late it opens
            }
            same(await streams(), 1, 'streams');
            same((await status(pages[9])).transport, transport, 'transport');
            // Closed in a random order, some without a word: the rest goes on.
            let n = 0;
            while (pages.length > 0) {
                n++;
                await publish(`-${n}`);
                for (const page of pages) {
                    await got(page, `a-${n}`);
                    const mine = (await look(page)).events;
                    same(mine, mine.map((_, i) => `a-${i + 1 + n - mine.length}`), 'events');
                }
                const [page] = pages.splice(random(pages.length), 1);
                await page.close({ runBeforeUnload: random(2) === 1 });
            }
        });
    }

    if (process.env.LONG) {
        await test('four_tabs_closed_in_each_order', async () => {
            const orders = (list) => (list.length < 2 ? [list]
                : list.flatMap((x) => orders(list.filter((y) => y !== x)).map((o) => [x, ...o])));
            for (const order of orders([0, 1, 2, 3])) {
                const pages = [];
                for (let i = 0; i < order.length; i++) {
                    pages.push(await openTab({}));
                }
                same(await streams(), 1, `streams of ${order}`);
                for (const [n, i] of order.entries()) {
                    await pages[i].close({ runBeforeUnload: random(2) === 1 });
                    await publish(`-${order}-${n}`);
                    for (const other of order.slice(n + 1)) {
                        await got(pages[other], `a-${order}-${n}`);
                        const { events } = await look(pages[other]);
                        same(events, order.slice(0, n + 1).map((_, k) => `a-${order}-${k}`),
                            `events of ${other} in ${order}`);
                    }
                }
                await until('no stream', async () => (await streams()) === 0);
            }
        });
    }

    await test('each_tab_gets_its_own_topics_and_what_it_missed', async () => {
        const first = await openTab({ topics: ['a', 's'] });
        await publish('-1');
        await publish('-1', 'b');
        await publish('-1', 'h');
        await publish('one', 's');
        await publish('one', 't');
        await got(first, 'a-1');
        const second = await openTab({ topics: ['b', 't'], lastEventId: 'first' });
        await got(second, 'b-1');
        await has(second, 't', 'one');
        const id = await second.evaluate(() => globalThis.client.lastEventId);
        await second.close();
        for (let i = 2; i <= 4; i++) {
            await publish(`-${i}`, 'h');
            await publish(`-${i}`, 'b');
            await publish(`-${i}`, 'a');
            await publish(`${i}`, 's');
        }
        await got(first, 'a-4');
        const third = await openTab({ topics: ['a', 'b', 's'], lastEventId: id });
        await got(third, 'b-4');
        await publish('-5');
        for (const page of [first, third]) {
            await got(page, 'a-5');
            await has(page, 's', '4');
        }
        same((await look(first)).events, ['a-1', 'a-2', 'a-3', 'a-4', 'a-5'], 'of the first');
        same((await look(third)).events.filter((e) => e[0] === 'b'), ['b-2', 'b-3', 'b-4'],
            'of the third');
        same((await look(third)).events.filter((e) => e[0] === 'a'),
            ['a-2', 'a-3', 'a-4', 'a-5'], 'of the third');
        same([(await look(first)).notices.length, (await look(first)).states.includes('waiting')],
            [1, false], 'news of the first: none');
        same(await streams(), 1, 'streams');
    });

    await test('a_restart_is_told_to_every_tab', async () => {
        const pages = [await openTab({}), await openTab({})];
        await stopProgram(server);
        server = await startServer(server.port);
        for (const page of pages) {
            await until('reset', async () => (await look(page)).notices.includes('reset 0'));
            await isOpen(page);
        }
        await publish('-new');
        for (const page of pages) {
            await got(page, 'a-new');
            same((await look(page)).events, ['a-new'], 'events');
        }
    });

    await test('a_tab_without_a_shared_worker_has_its_own_connection', async () => {
        const pages = [await openTab({}), await openTab(null)];
        await pages[1].evaluate(() => { delete globalThis.SharedWorker; });
        await pages[1].evaluate(() => globalThis.begin({}));
        await isOpen(pages[1]);
        same(await streams(), 2, 'streams');
        await publish('-1');
        for (const page of pages) {
            await got(page, 'a-1');
        }
    });

    await test('the_classic_script_has_all_and_shares_one_connection', async () => {
        const pages = [];
        for (const number of [1, 2]) {
            const page = await openTab(null);
            pages.push(page);
            await page.addScriptTag({ url: '/rtpush.iife.js' });
            same(await page.evaluate(() => ['connect', 'duplex', 'websocket', 'sse', 'poll', 'tabs']
                .filter((name) => !(name in globalThis.rtpush))), [], 'missing');
            await page.evaluate(() => {
                globalThis.seen = { events: [] };
                globalThis.client = globalThis.rtpush.default({
                    topics: ['a'],
                    onEvent: (topic, data) => globalThis.seen.events.push(topic + data),
                });
            });
            await isOpen(page);
            await publish(`-${number}`);
            await got(page, `a-${number}`);
        }
        await got(pages[0], 'a-2');
        same(await streams(), 1, 'streams');
        await pages[1].evaluate(() => globalThis.client.send('-3', { ack: true }));
        await got(pages[0], 'a-3');
    });

    if (!FIREFOX) { // which cannot be told to freeze a tab
        await test('a_frozen_tab_holds_nobody_up_and_misses_nothing', async () => {
            const awake = await openTab({});
            const page = await openTab({});
            const wake = await suite.freeze(page);
            const expected = [];
            for (let i = 1; i <= 35; i++) { // it is given up after 25 s and more
                expected.push(`a-${i}`);
                await publish(`-${i}`);
                await got(awake, `a-${i}`);
                await sleep(1000);
            }
            const paused = await wake();
            check(paused > 30000, `it was frozen for ${paused} ms`);
            await got(page, 'a-35');
            for (const one of [awake, page]) {
                same((await look(one)).events, expected, 'events');
            }
        });
    }
}

// A proxy between the pages and the server. Deaf, it ends what sends a request; mute, it passes the
// request and ends what is answered; holding, it keeps every byte until the connection ends.
async function startBadProxy() {
    let mood = 'good';
    const proxy = await startProxy(() => server.port, (page, device, pipe) => {
        let held = false;
        for (const [from, to] of [[page, device], [device, page]]) {
            pipe(from, to, (data) => {
                held ||= mood === 'holding';
                if (mood === 'deaf' || (mood === 'mute' && from === device)) {
                    page.destroy();
                } else if (!held) {
                    to.write(data);
                }
            });
        }
    });
    return Object.assign(proxy, { set(value) { mood = value; } });
}

async function upstream() {
    for (const by of [['websocket'], ['sse'], ['poll'], ['tabs', 'websocket']]) {
        await test(`acknowledged_texts_arrive_once_and_in_order_over_${by.join('_')}`, async () => {
            const proxy = await startBadProxy();
            const page = await openTab({ by, lastEventId: 'first' }, proxy.url);
            const expected = [];
            await page.evaluate(() => {
                for (let i = 1; i <= 20; i++) {
                    globalThis.client.send(`-${i}`, { ack: true }).then(
                        () => globalThis.seen.acks.push(i),
                        (error) => globalThis.seen.acks.push(`${i} ${error.message}`));
                }
            });
            for (let i = 0; i < 12; i++) {
                proxy.set(['deaf', 'good', 'mute', 'good'][i % 4]);
                await sleep(30 + random(300));
            }
            proxy.set('good');
            await until('20 acknowledgements', async () => (await look(page)).acks.length === 20);
            for (let i = 1; i <= 20; i++) {
                expected.push(i);
            }
            same((await look(page)).acks, expected, 'acknowledgements');
            await got(page, 'a-20');
            same((await look(page)).events.slice(-20), expected.map((i) => `a-${i}`), 'done');
            proxy.close();
        });
    }

    await test('what_a_restart_makes_unknown_is_told', async () => {
        // Not at a name: route.fetch is not the browser, which alone knows it.
        const page = await openTab({ by: ['sse'] }, server.url, '127.0.0.1');
        // The server does it, and is gone before the page hears that.
        let stopped;
        const gone = new Promise((done) => { stopped = done; });
        await page.route(/once=.*try=1$/, async (route) => {
            await route.fetch();
            await stopProgram(server);
            await route.abort();
            stopped();
        });
        const said = page.evaluate(() => globalThis.client.send('-1', { ack: true })
            .then(() => 'done', (error) => error.message));
        await gone;
        server = await startServer(server.port);
        check((await said).startsWith('409'), await said);
        await page.unroute(/once=.*try=1$/);
        same(await page.evaluate(() => globalThis.client.send('-2', { ack: true })), '', 'next');
    });
}

// Chromium keeps a page that was left, with its script, and shows it as it was: what it missed
// comes then. A page with a connection would not be kept.
async function cached() {
    const all = [['tabs', 'websocket'], ['websocket'], ['sse'], ['poll']];
    for (const by of all.slice(0, process.env.LONG ? 4 : 1)) {
        await test(`a_page_of_the_cache_resumes_over_${by.join('_')}`, async () => {
            const page = await openTab({ by });
            await page.evaluate(() => {
                addEventListener('pageshow', (event) => { globalThis.kept = event.persisted; });
            });
            await publish('-1');
            await got(page, 'a-1');
            await page.goto(`${suite.at(server.url)}/counts`);
            await until('no stream', async () => (await streams()) === 0);
            await publish('-2');
            await page.evaluate(() => history.back());
            await until('the page as it was', () => page.evaluate(() => globalThis.kept === true)
                .catch(() => false));
            await got(page, 'a-2');
            await publish('-3');
            await got(page, 'a-3');
            same((await look(page)).events, ['a-1', 'a-2', 'a-3'], 'events');
            same((await look(page)).notices.filter((n) => !/^(fresh|replayed)/.test(n)), [],
                'what was missed');
        });
    }
}

// Each tab over another transport, one of them shared: every event once, in order, or told.
async function faultsWith(log, total) {
    await stopProgram(server);
    server = await startServer(0, log);
    const proxy = await startBadProxy();
    const pages = [];
    for (const by of [['websocket'], ['sse'], ['poll'], ['tabs', 'sse'], ['tabs', 'sse']]) {
        pages.push(await openTab({ by, lastEventId: 'first', topics: ['a', 's'] }, proxy.url));
    }
    let others = 0; // events of a topic that no page asked for: a gap may hold some of them
    for (let i = 1; i <= total; i++) {
        if (i % 50 === 0) {
            proxy.set(['deaf', 'mute', 'holding', 'good', 'good', 'good'][random(6)]);
            await sleep(random(400));
        }
        await publish(`${i}`);
        await sleep(random(12)); // a small log holds what a page misses until it is back
        if (random(10) === 0) {
            await publish(`${i}`, 's');
            await publish('x', 'h');
            others++;
        }
    }
    proxy.set('good');
    await publish('last', 's');
    await publish('end');
    for (const page of pages) {
        await got(page, 'aend');
        await has(page, 's', 'last');
        const { events, notices } = await look(page);
        const numbers = events.slice(0, -1).map((event) => Number(event.slice(1)));
        numbers.forEach((n, i) => check(i === 0 || n > numbers[i - 1],
            `${n} behind ${numbers[i - 1]}`));
        const missed = total - numbers.length;
        const told = notices.filter((words) => words.startsWith('gap'))
            .reduce((sum, words) => sum + Number(words.slice(4)), 0);
        const began = notices.filter((words) => /^replayed|^gap/.test(words)).length;
        console.log(`     ${numbers.length} events, resumed ${began} times, ${told} told`);
        check(told >= missed && told <= missed + others, `${missed} missing, ${told} told`);
        check(began > 0, 'no connection was broken');
        if (log === LARGE) {
            same([missed, told], [0, 0], 'missing, told');
        }
    }
    proxy.close();
}

async function faults() {
    const total = Number(process.env.FAULTS);
    await test(`${total}_events_come_once_and_in_order_while_connections_break`,
        () => faultsWith(LARGE, total));
    await test('what_the_log_lost_meanwhile_is_told', () => faultsWith(SMALL, total / 4));
}

// -- run ------------------------------------------------------------------------------------------

await suite.run(ALL_MS, async () => {
    await suite.openBrowser();
    server = await startServer();
    for (const group of process.env.FAULTS ? [faults] : [shared, upstream]) {
        await group();
    }
    if (!FIREFOX && !process.env.FAULTS) { // which cannot be told to go back
        await suite.openBrowser(undefined, [], { program: WHOLE, cache: true });
        await cached();
    }
    await stopProgram(server);
});
