// ports/browser/rtpush.js by itself, in a real browser: what it reports to a page and a worker of a
// connection that dies, is refused, or was never established.
//
//     node tests/browser/page.test.mjs build/page-server
//
// RTPUSH_BROWSER=firefox: in Firefox instead of Chromium. RTPUSH_HOST: see suite.mjs. The server's
// keep-alive period is 1 s, as its first notice says, so that dead links are detected in seconds.
// Every wait is bounded; no test relies on this machine being quick.
// Last line: "N passed, N failed".

import http from 'node:http';
import { FIREFOX } from './browsers.mjs';
import { check, same, sleep, startProgram, stopProgram, until } from './checks.mjs';
import { startProxy } from './proxy.mjs';
import * as suite from './suite.mjs';

const { OUTAGE } = suite;

const PROGRAM = process.argv[2];
const ALL_MS = 9 * 60000; // for everything
const TRANSPORTS = ['websocket', 'sse', 'poll'];

let server;

// -- server and link ------------------------------------------------------------------------------

const startServer = (port = 0) => startProgram(PROGRAM,
    ['--port', String(port), '--keepalive', '1000']);

const post = async (path, body) => check((await fetch(server.url + path,
    { method: 'POST', body })).ok, `POST ${path}`);
const publish = (text, topic = 'a') => post(`/publish/${topic}`, text);
const refuse = (status) => post(`/refuse/${status}`);
const counts = async () => (await (await fetch(`${server.url}/counts`)).text()).split(' ')
    .map(Number);

// A link that can die: from then on what is open, or is opened, is never answered and never closed.
// Repaired, it carries new connections; those that were cut stay dead.
async function startLink() {
    let alive = true;
    let deaths = 0;
    const proxy = await startProxy(() => server.port, (a, b) => {
        const born = deaths;
        const forward = (from, to) => {
            from.on('data', (data) => deaths === born && to.write(data));
            from.on('close', () => deaths === born && to.destroy());
        };
        if (alive) {
            forward(a, b);
            forward(b, a);
        } else {
            b.destroy();
        }
    });
    return Object.assign(proxy, {
        die() { alive = false; deaths++; },
        repair() { alive = true; },
    });
}

// -- pages ----------------------------------------------------------------------------------------

// Runs in the page, before its own scripts. rtpush.js is used as it is served. Each client leaves
// what it was told in window.seen[name].
function helpers() {
    globalThis.seen = {};
    globalThis.clients = {};
    globalThis.begin = async (name, { transport = 'auto', ...options }) => {
        const rtpush = await import('/rtpush.js');
        const { duplex, websocket, sse, poll } = rtpush;
        const log = {
            states: [], times: {}, ids: [], events: [], messages: [], refused: [], notices: [],
            connects: 0, missed: 0, resets: 0,
        };
        globalThis.seen[name] = log;
        globalThis.clients[name] = duplex({
            transports: transport === 'auto' ? [websocket, sse, poll] : [rtpush[transport]],
            topics: ['a'],
            backoffMs: 50,
            onState({ state, refusal }) {
                const last = log.states[log.states.length - 1];
                log.connects += state === 'open' && last !== 'silent' ? 1 : 0;
                if (state === 'refused') {
                    log.refused.push(refusal);
                }
                if (last !== state) {
                    log.states.push(state);
                    log.times[state] ??= performance.now();
                    log.ids.push(globalThis.clients[name].lastEventId);
                }
            },
            onEvent: (topic, data) => log.events.push(data),
            onNotice(kind, n) {
                log.notices.push(n ? `${kind} ${n}` : kind);
                log.missed += kind === 'gap' ? n : 0;
                log.resets += kind === 'reset' ? 1 : 0;
            },
            onMessage: (data) => log.messages.push(data),
            ...options,
        });
    };
}

async function openPage(url = server.url, prepare = () => {}) {
    const page = await suite.newPage();
    await page.addInitScript(helpers);
    await prepare(page);
    await page.goto(suite.at(url));
    return page;
}

const begin = (page, name, options) => page.evaluate(
    ([n, o]) => globalThis.begin(n, o), [name, options]);
const look = (page, name) => page.evaluate((n) => globalThis.seen[n], name);
const status = (page, name) => page.evaluate((n) => globalThis.clients[n].status, name);
const state = (page, name, wanted) => until(`${name} to be ${wanted}`,
    async () => (await status(page, name)).state === wanted);
const was = (page, name, wanted) => until(`${name} to have been ${wanted}`,
    async () => (await look(page, name)).states.includes(wanted));

const test = (name, body, allowed) => suite.test(name,
    () => body().finally(() => refuse(0).catch(() => {})), allowed);

// -- tests ----------------------------------------------------------------------------------------

// A client for each transport, by whose name it goes.
async function openEach(page) {
    for (const transport of TRANSPORTS) {
        await begin(page, transport, { transport });
        await state(page, transport, 'open');
    }
}

// Without options of the page and without an answer of the application.
async function deadLinks() {
    await test('the_origin_is_the_one_that_was_asked_for', async () => {
        const page = await openPage();
        same(await page.evaluate(() => [location.hostname, globalThis.isSecureContext]),
            [suite.HOST, suite.HOST === '127.0.0.1'], 'host, and whether it is a secure context');
    });

    await test('a_quiet_connection_stays_open_on_each_transport', async () => {
        const page = await openPage();
        await openEach(page);
        await sleep(6000); // six periods without an event
        for (const transport of TRANSPORTS) {
            const { states } = await look(page, transport);
            same([states, (await look(page, transport)).connects], [['connecting', 'open'], 1],
                transport);
        }
    });

    await test('a_dead_link_is_silent_and_then_left_on_each_transport', async () => {
        const link = await startLink();
        const page = await openPage(link.url);
        await openEach(page);
        await publish('before');
        for (const transport of TRANSPORTS) {
            await until('the event', async () => (await look(page, transport)).events.length === 1);
        }
        const died = await page.evaluate(() => performance.now());
        link.die();
        await publish('meanwhile');
        for (const transport of TRANSPORTS) {
            await was(page, transport, 'silent');
            await was(page, transport, 'waiting');
            const { states, times } = await look(page, transport);
            same(states.slice(0, 4), ['connecting', 'open', 'silent', 'waiting'], transport);
            // What came last may be a period old; the page looks once a second.
            check(times.silent - died > 900, `silent after ${times.silent - died} ms`);
            check(times.waiting - times.silent > 900,
                `given up ${times.waiting - times.silent} ms later`);
        }
        link.repair();
        for (const transport of TRANSPORTS) {
            await until('the event that was missed', async () => (
                (await look(page, transport)).events.length === 2));
            same((await look(page, transport)).events, ['before', 'meanwhile'], transport);
            same((await look(page, transport)).missed, 0, 'missed');
        }
        link.close();
    }, OUTAGE);

    await test('one_that_is_heard_again_is_open_again', async () => {
        const page = await openPage(server.url, (p) => p.routeWebSocket(/\/ws/, (socket) => {
            socket.send('0000000a-00000001 rtpush\nfresh 1');
            setTimeout(() => socket.send(''), 3000);
            setTimeout(() => socket.send('0000000a-00000007'), 4000);
        }));
        await begin(page, 'ws', { transport: 'websocket' });
        await was(page, 'ws', 'waiting');
        const { states, notices, ids } = await look(page, 'ws');
        same(states.slice(0, 6), ['connecting', 'open', 'silent', 'open', 'silent', 'waiting'],
            'states');
        same(notices[0], 'fresh', 'a keep-alive is no notice');
        same(ids[5], '0000000a-00000007', 'the id of a position');
    });

    // The clock jumps, as after sleep: what arrived before proves nothing.
    const jump = () => {
        const now = Date.now;
        globalThis.sleepFor = (ms) => { Date.now = () => now() + ms; };
        globalThis.sockets = [];
        globalThis.WebSocket = class extends WebSocket {
            constructor(...args) {
                super(...args);
                globalThis.sockets.push(this);
            }
        };
    };

    await test('a_page_that_slept_connects_anew', async () => {
        const link = await startLink();
        const page = await openPage(link.url, (p) => p.addInitScript(jump));
        await openEach(page);
        link.die();
        link.repair(); // before it wakes: an attempt over a dead link would take its time to fail
        await sleep(100); // what is on its way
        await page.evaluate(() => globalThis.sleepFor(3600000));
        for (const transport of TRANSPORTS) {
            await until(`a second connection over ${transport}`,
                async () => (await look(page, transport)).connects >= 2);
            const { states, notices } = await look(page, transport);
            same([states.slice(0, 5), notices.slice(0, 2)],
                [['connecting', 'open', 'waiting', 'connecting', 'open'], ['fresh', 'replayed']],
                transport); // at once, not after so much more silence
        }
        await page.context().close(); // before it misses the link
        link.close();
    });

    await test('a_clock_that_is_set_back_hides_no_dead_link', async () => {
        const link = await startLink();
        const page = await openPage(link.url, (p) => p.addInitScript(jump));
        await openEach(page);
        await page.evaluate(() => globalThis.sleepFor(-3600000));
        await sleep(3000); // three periods
        for (const transport of TRANSPORTS) {
            await state(page, transport, 'open');
            same((await look(page, transport)).connects, 1, `connections over ${transport}`);
        }
        link.die();
        await page.evaluate(() => globalThis.sleepFor(-7200000));
        for (const transport of TRANSPORTS) {
            await was(page, transport, 'waiting');
        }
        link.close();
    }, OUTAGE);

    await test('what_waited_in_the_browser_while_it_slept_proves_nothing', async () => {
        const page = await openPage(server.url, (p) => p.addInitScript(jump));
        await begin(page, 'ws', { transport: 'websocket' });
        await state(page, 'ws', 'open');
        await page.evaluate(() => {
            globalThis.sleepFor(3600000);
            globalThis.sockets[0].onmessage({ data: '' }); // came before the sleep
        });
        await was(page, 'ws', 'silent');
        await state(page, 'ws', 'open'); // the server's next keep-alive is new
        same((await look(page, 'ws')).connects, 1, 'connections');
    });
}

async function refusals() {
    await test('401_and_403_are_told_on_each_transport_and_not_asked_again_at_once', async () => {
        for (const code of [401, 403]) {
            await refuse(code);
            const page = await openPage();
            const [before] = await counts();
            for (const transport of [...TRANSPORTS, 'auto']) {
                await begin(page, transport, { transport, backoffMs: 500 });
                await state(page, transport, 'refused');
            }
            await sleep(3000);
            for (const transport of [...TRANSPORTS, 'auto']) {
                const { refusal, retryAt } = await status(page, transport);
                same([refusal, (await look(page, transport)).refused], [code, [code]], transport);
                check(retryAt - Date.now() > 5000, 'a retry comes soon');
            }
            check((await counts())[0] - before <= 7, `${(await counts())[0] - before} requests`);
            await refuse(0);
            await page.evaluate(() => globalThis.clients.sse.reconnect());
            await state(page, 'sse', 'open');
            same((await status(page, 'sse')).refusal, 0, 'refusal');
            await page.context().close();
        }
    }, OUTAGE);

    await test('who_is_let_in_later_gets_in_by_itself', async () => {
        await refuse(401);
        const page = await openPage();
        for (const transport of TRANSPORTS) {
            await begin(page, transport, { transport, backoffMs: 5 });
            await state(page, transport, 'refused');
        }
        await refuse(0);
        for (const transport of TRANSPORTS) {
            await state(page, transport, 'open');
        }
    }, OUTAGE);

    // 429 and 503 are of the server. An EventSource gets 200, a time to come back, and the end.
    await test('a_full_server_is_no_blocked_transport', async () => {
        const places = {
            websocket: () => {},
            sse: (p) => p.routeWebSocket(/\/ws/, (socket) => socket.close()),
            poll: async (p) => {
                await p.addInitScript(() => { delete globalThis.EventSource; });
                await p.routeWebSocket(/\/ws/, (socket) => socket.close());
            },
        };
        for (const transport of TRANSPORTS) {
            const page = await openPage(server.url, places[transport]);
            await begin(page, 'auto', { establishMs: 3000 });
            await state(page, 'auto', 'open');
            same((await status(page, 'auto')).transport, transport, 'transport');
            for (const code of [429, 503]) {
                await refuse(code);
                await page.evaluate(() => {
                    globalThis.seen.auto.states.length = 0;
                    // What worked before does not count: the first failure would be enough.
                    globalThis.dispatchEvent(new Event('online'));
                });
                await until('three attempts', async () => (
                    (await look(page, 'auto')).states.filter((s) => s === 'waiting').length >= 3));
                same((await status(page, 'auto')).transport, transport, `transport after ${code}`);
                await refuse(0);
                await state(page, 'auto', 'open');
                same((await status(page, 'auto')).transport, transport, 'transport with room');
            }
            await page.context().close();
        }
    }, OUTAGE);

    await test('a_newcomer_to_a_full_server_waits_for_a_websocket', async () => {
        await refuse(503);
        const page = await openPage();
        await begin(page, 'auto', {});
        await sleep(2000);
        const { states, refused } = await look(page, 'auto');
        same([new Set(states).size, states.includes('waiting'), refused], [2, true, []], 'states');
        await refuse(0);
        await state(page, 'auto', 'open');
        same((await status(page, 'auto')).transport, 'websocket', 'transport');
    }, OUTAGE);

    // The second question is answered after a place became free: 426, as from a proxy that blocks
    // WebSockets. The transport is not blocked, as the next attempt shows.
    await test('a_place_that_became_free_meanwhile_is_no_blocked_transport', async () => {
        const answers = [503, 426];
        const page = await openPage(server.url, async (p) => {
            let attempts = 0;
            await p.routeWebSocket(/\/ws/, (socket) => {
                if (attempts++ < 2) {
                    socket.close();
                } else {
                    socket.connectToServer();
                }
            });
            // Firefox brings the handshake of connectToServer here, too.
            await p.route(/\/ws/, (route) => (answers.length > 0 ?
                route.fulfill({ status: answers.shift() }) : route.continue()));
        });
        await begin(page, 'auto', {});
        await state(page, 'auto', 'open');
        same((await status(page, 'auto')).transport, 'websocket', 'transport');
    }, OUTAGE);

    await test('204_ends_it', async () => {
        const page = await openPage(server.url, (p) => (
            p.route(/events|poll/, (route) => route.fulfill({ status: 204 }))));
        for (const transport of ['sse', 'poll']) {
            await begin(page, transport, { transport });
            await state(page, transport, 'closed');
        }
    }, OUTAGE);
}

async function places() {
    await test('an_address_with_a_password_is_no_hindrance', async () => {
        const page = await openPage(server.url.replace('http://', 'http://user:pw@'));
        for (const transport of TRANSPORTS) {
            await begin(page, transport, { transport });
            await state(page, transport, 'open');
            await page.evaluate((name) => globalThis.clients[name].send('x'), transport);
        }
        await begin(page, 'named', {
            transport: 'poll', url: suite.at(server.url).replace('http://', 'http://user:pw@'),
        });
        await state(page, 'named', 'open');
    });

    await test('a_worker_connects_over_each_transport', async () => {
        const page = await openPage();
        await page.evaluate((all) => {
            globalThis.told = Object.fromEntries(all.map((transport) => {
                const told = [];
                const worker = new Worker(`/worker.js?transport=${transport}`, { type: 'module' });
                worker.onmessage = ({ data }) => told.push(data.state ?? data.data);
                worker.onerror = ({ message }) => told.push(`error ${message}`);
                return [transport, told];
            }));
        }, TRANSPORTS);
        const told = () => page.evaluate(() => globalThis.told);
        for (const transport of TRANSPORTS) {
            await until('open', async () => (await told())[transport].includes('open'));
        }
        await publish('for workers');
        for (const transport of TRANSPORTS) {
            await until('the event', async () => (await told())[transport].includes('for workers'));
            const words = (await told())[transport].join();
            check(!words.includes('error'), words);
        }
    });

    await test('a_newcomer_asks_for_nothing_that_the_server_does_not_answer', async () => {
        const page = await openPage();
        const bad = [];
        page.on('response', (response) => response.status() >= 400 && bad.push(response.url()));
        await begin(page, 'auto', {});
        await state(page, 'auto', 'open');
        await sleep(3000);
        same([bad, (await counts())[1]], [[], 0], 'requests that failed');
    });
}

async function functions() {
    await test('a_browser_without_abortsignal_timeout_falls_back_all_the_same', async () => {
        const page = await openPage(server.url, async (p) => {
            await p.addInitScript(() => {
                delete AbortSignal.timeout;
                delete AbortSignal.any;
                delete Array.prototype.at;
                delete Object.hasOwn;
                delete globalThis.structuredClone;
            });
            await p.routeWebSocket(/\/ws/, (socket) => socket.close());
        });
        await begin(page, 'auto', {});
        await state(page, 'auto', 'open');
        same((await status(page, 'auto')).transport, 'sse', 'transport');
    }, OUTAGE);

    await test('what_a_browser_lacks_is_said_by_name', async () => {
        const page = await openPage(server.url,
            (p) => p.addInitScript(() => { delete globalThis.AbortController; }));
        const said = await begin(page, 'x', {}).then(() => 'nothing', (error) => error.message);
        check(said.includes('AbortController'), said);
    });

    await test('a_missing_eventsource_leaves_the_other_transports', async () => {
        const page = await openPage(server.url, async (p) => {
            await p.addInitScript(() => { delete globalThis.EventSource; });
            await p.routeWebSocket(/\/ws/, (socket) => socket.close());
        });
        await begin(page, 'auto', {});
        await state(page, 'auto', 'open');
        same((await status(page, 'auto')).transport, 'poll', 'transport');
    }, OUTAGE);

    await test('an_error_in_a_callback_is_reported_and_changes_nothing', async () => {
        const page = await openPage();
        for (const transport of TRANSPORTS) {
            await page.evaluate(async (name) => {
                await globalThis.begin(name, { transport: name });
                const { events } = globalThis.seen[name];
                events.push = function push(data) {
                    Array.prototype.push.call(this, data);
                    throw new Error(`of ${name}`);
                };
            }, transport);
            await state(page, transport, 'open');
        }
        await publish('one');
        await publish('two');
        for (const transport of TRANSPORTS) {
            await until('both events',
                async () => (await look(page, transport)).events.length === 2);
            same((await look(page, transport)).connects, 1, transport);
            const told = suite.logged.filter((words) => words.includes(`of ${transport}`));
            check(told.length >= 2, `reported: ${suite.logged.join()}`);
        }
    }, /of (websocket|sse|poll)/);

    await test('sending_while_the_socket_closes_writes_nothing_to_the_console', async () => {
        const page = await openPage(server.url, (p) => p.addInitScript(() => {
            globalThis.sockets = [];
            globalThis.WebSocket = class extends WebSocket {
                constructor(...args) {
                    super(...args);
                    globalThis.sockets.push(this);
                }
            };
        }));
        await begin(page, 'ws', { transport: 'websocket' });
        await state(page, 'ws', 'open');
        const said = await page.evaluate(async () => {
            const { ws } = globalThis.clients;
            await ws.send('echo me');
            globalThis.sockets[0].close();
            return ws.send('too late').then(() => 'sent', (error) => error.message);
        });
        same(said, 'not connected', 'send');
        await until('a new connection', async () => (await look(page, 'ws')).connects === 2);
        await page.evaluate(() => globalThis.clients.ws.send('again'));
        await until('the echo', async () => (await look(page, 'ws')).messages.includes('again'));
    });

    await test('every_transport_comes_back_after_a_restart', async () => {
        const page = await openPage();
        await openEach(page);
        await stopProgram(server);
        server = await startServer(server.port);
        for (const transport of TRANSPORTS) {
            await until('the reset', async () => (await look(page, transport)).resets === 1);
            await state(page, transport, 'open');
        }
    }, OUTAGE);
}

// -- the network of the page ----------------------------------------------------------------------

// A gateway that passes short requests alone: it keeps an answer until it is complete, and after
// limitMs answers 504 (Gateway Timeout). It does not know WebSockets.
async function startGateway(limitMs) {
    let asked = 0;
    const gateway = http.createServer((request, response) => {
        asked++;
        const { method, headers, url } = request;
        const up = http.request({
            port: server.port, host: '127.0.0.1', method, headers, path: url,
        });
        const parts = [];
        const timer = setTimeout(() => {
            response.writeHead(504).end();
            up.destroy();
        }, limitMs);
        response.on('close', () => { clearTimeout(timer); up.destroy(); });
        up.on('error', () => {});
        up.on('response', (answer) => {
            answer.on('data', (part) => parts.push(part));
            answer.on('end', () => {
                response.writeHead(answer.statusCode, answer.headers).end(Buffer.concat(parts));
            });
        });
        request.pipe(up);
    });
    gateway.on('upgrade', (_, socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await new Promise((done) => { gateway.listen(0, '127.0.0.1', done); });
    return {
        url: `http://127.0.0.1:${gateway.address().port}`,
        get asked() { return asked; },
        close() {
            gateway.close();
            gateway.closeAllConnections();
        },
    };
}

async function network() {
    // The server's period is 1 s, so a poll waits for 1 s: the stricter gateway cuts it.
    for (const limitMs of [2500, 800]) {
        await test(`polling_goes_on_where_answers_end_after_${limitMs}_ms`, async () => {
            const gateway = await startGateway(limitMs);
            const page = await openPage(gateway.url);
            await begin(page, 'auto', { establishMs: 3000 });
            await until('polling', async () => (await status(page, 'auto')).transport === 'poll');
            await was(page, 'auto', 'open');
            const expected = [];
            for (let i = 1; i <= 20; i++) {
                expected.push(`${i}`);
                await publish(`${i}`);
                await sleep(250);
            }
            await until('the last', async () => (await look(page, 'auto')).events.length >= 20);
            same((await look(page, 'auto')).events, expected, 'events');
            same((await status(page, 'auto')).transport, 'poll', 'transport');
            same((await look(page, 'auto')).missed, 0, 'missed');
            gateway.close();
        }, OUTAGE);
    }

    // A browser freezes a page in the background, here for ten periods: no script runs, and what
    // arrives meanwhile waits.
    if (!FIREFOX) { // BiDi has no such command
        await test('a_page_that_was_frozen_has_all_events_on_each_transport', async () => {
            const page = await openPage();
            await openEach(page);
            const wake = await suite.freeze(page);
            const expected = [];
            for (let i = 1; i <= 10; i++) {
                expected.push(`${i}`);
                await publish(`${i}`);
                await sleep(1000);
            }
            const paused = await wake();
            check(paused > 8000, `it was frozen for ${paused} ms`);
            await publish('awake');
            expected.push('awake');
            for (const transport of TRANSPORTS) {
                await until('the last', async () => (
                    await look(page, transport)).events.includes('awake'));
                await state(page, transport, 'open');
                const { events, missed, resets } = await look(page, transport);
                same([events, missed, resets], [expected, 0, 0], transport);
            }
        }, OUTAGE);
    }

    // A browser that is told to be offline refuses requests and says so to its pages; what it does
    // to what is open differs. So the link dies as well, as it does in reality.
    if (!FIREFOX) { // BiDi has no such command
        await test('offline_is_seen_and_online_resumes_on_each_transport', async () => {
            const link = await startLink();
            const page = await openPage(link.url);
            await openEach(page);
            await page.context().setOffline(true);
            same(await page.evaluate(() => navigator.onLine), false, 'navigator.onLine');
            await publish('reaches what is open');
            await sleep(1000);
            for (const transport of TRANSPORTS) {
                const { events, states } = await look(page, transport);
                console.log(`     ${transport}: ${events.length} events, ${states.at(-1)}`);
            }
            link.die();
            await publish('lost on the way');
            for (const transport of TRANSPORTS) {
                await was(page, transport, 'waiting');
            }
            await publish('meanwhile');
            link.repair();
            await page.context().setOffline(false);
            for (const transport of TRANSPORTS) {
                await state(page, transport, 'open');
                await until('the last', async () => (
                    await look(page, transport)).events.includes('meanwhile'));
                same((await look(page, transport)).events,
                    ['reaches what is open', 'lost on the way', 'meanwhile'], transport);
                same((await look(page, transport)).missed, 0, 'missed');
            }
            link.close();
        }, OUTAGE);
    }
}

// -- run ------------------------------------------------------------------------------------------

await suite.run(ALL_MS, async () => {
    await suite.openBrowser();
    server = await startServer();
    for (const group of [deadLinks, refusals, places, functions, network]) {
        await group();
    }
    await stopProgram(server);
});
