// The dashboard example in a real browser: every transport, two pages, breaks, restarts, the look.
//
//     npm ci --prefix tests/browser --ignore-scripts
//     node tests/browser/dashboard.test.mjs [build/dashboard]
//     node tests/browser/dashboard.test.mjs '{"board":"lm3s6965evb","elf":...,"seedAt":...}'
//
// The second is the same page from an emulated device. It needs tests/clients too. Over TLS with
// RTPUSH_TLS=ec NODE_EXTRA_CA_CERTS=build/cert/ca.pem, and then without what TLS cannot change: how
// the page looks, and how its script parses.
//
// Needs Chromium (CHROMIUM names it, /usr/bin/chromium by default). Every wait is bounded and none
// is a measurement: a slow machine passes like a fast one. Last line: "N passed, N failed".

import { fileURLToPath } from 'node:url';
import {
    check, keyboardless, lowContrast, nameless, same, sleep, startProgram, stopProgram, until,
} from './checks.mjs';
import { startProxy } from './proxy.mjs';
import {
    at, forget, HOST, newPage, openBrowser, OUTAGE, run, show, test,
} from './suite.mjs';

const PROGRAM = process.argv[2] ?? fileURLToPath(new URL('../../build/dashboard', import.meta.url));
const DEVICE = PROGRAM.startsWith('{') ? JSON.parse(PROGRAM) : null;
const SECURE = 'RTPUSH_TLS' in process.env;
const ALL_MS = 12 * 60000;  // for everything, also beside other suites
const TRANSPORTS = { websocket: 'WebSocket', sse: 'SSE', poll: 'Polling' };

// -- server ---------------------------------------------------------------------------------------

async function startServer(port = 0) {
    if (DEVICE) {
        const { startTarget } = await import('../clients/device.mjs');
        return startTarget(DEVICE);
    }
    return startProgram(PROGRAM, ['--port', String(port), '--name', HOST],
        SECURE ? 'https' : 'http');
}

// -- pages ----------------------------------------------------------------------------------------

const strangers = []; // requests to anywhere else

async function openPage(address, options = {}) {
    const url = at(address);
    const { transport = 'auto', scheme = 'light', width = 1280, height = 900, prepare } = options;
    const page = await newPage({ viewport: { width, height }, colorScheme: scheme });
    page.on('request', (request) => {
        if (!request.url().startsWith(url) && !request.url().startsWith('data:')) {
            strangers.push(request.url());
        }
    });
    await prepare?.(page);
    await page.goto(`${url}/?transport=${transport}`);
    return page;
}

const text = (page, id) => page.textContent(`#${id}`);
const number = async (page, id) => Number((await text(page, id)).replace(/[^0-9.]/g, ''));

async function live(page, transport) {
    await until(`live over ${transport}`, async () => (await text(page, 'pill-state')) === 'Live' &&
        (await text(page, 'pill-more')).startsWith(TRANSPORTS[transport]));
}

async function grows(page, id, by = 1) {
    const before = await number(page, id);
    await until(`#${id} of ${before + by}`, async () => (await number(page, id)) >= before + by);
}

const says = (page, id, words) => until(`#${id} with "${words}"`,
    async () => (await text(page, id)).includes(words));
const logged = (page, words) => says(page, 'log', words);
const has = (page, id, name, value) => until(`#${id} with ${name} ${value}`,
    async () => (await page.getAttribute(`#${id}`, name)) === value);

// -- tests ----------------------------------------------------------------------------------------

async function transports(server) {
    for (const transport of Object.keys(TRANSPORTS)) {
        await test(`numbers_move_over_${transport}`, async () => {
            const page = await openPage(server.url, { transport });
            await live(page, transport);
            await until('processor use', async () => /^\d+\.\d$/.test(await text(page, 'cpu-now')));
            check((await page.locator('#cores li').count()) >= 1, 'no core');
            await grows(page, 'c-received', 3);
            await grows(page, 's-published', 3);
            await says(page, 'c-rtt', ' ms');
            same(await text(page, 'c-missed'), '0', 'missed');
            same(await text(page, 'c-resets'), '0', 'restarts');
        });
    }

    await test('a_page_changes_its_transport_without_a_loss', async () => {
        const page = await openPage(server.url);
        await live(page, 'websocket');
        for (const transport of ['sse', 'poll', 'websocket']) {
            await page.locator('#transport label', { hasText: TRANSPORTS[transport] }).click();
            await live(page, transport);
            await grows(page, 'c-received', 2);
        }
        same(await text(page, 'c-missed'), '0', 'missed');
    });

    await test('charts_or_bars_are_drawn', async () => {
        const page = await openPage(server.url);
        await live(page, 'websocket');
        const charts = await page.evaluate(() => typeof globalThis.uPlot === 'function');
        const kind = charts ? '#cpu-chart canvas' : '#cpu-chart .bars i';
        await until(kind, async () => (await page.locator(kind).count()) > 0);
        const words = await page.getAttribute('#cpu-chart', 'aria-label');
        check(words.includes('now'), 'no description');
    });
}

async function controls(server) {
    const pairs = [['websocket', 'sse'], ['sse', 'poll'], ['poll', 'websocket']];
    for (const [from, to] of pairs) {
        await test(`the_switch_over_${from}_reaches_a_page_over_${to}`, async () => {
            const a = await openPage(server.url, { transport: from });
            const b = await openPage(server.url, { transport: to });
            await live(a, from);
            await live(b, to);
            await says(b, 'switch-state', 'switched');
            const before = await b.getAttribute('#switch', 'aria-checked');
            for (const wanted of [before === 'true' ? 'false' : 'true', before]) {
                await a.click('#switch');
                for (const page of [a, b]) {
                    await has(page, 'switch', 'aria-checked', wanted);
                }
            }
            await logged(b, 'Output switched');
        });
    }

    await test('period_and_pause_show_on_every_page', async () => {
        const a = await openPage(server.url, { transport: 'websocket' });
        const b = await openPage(server.url, { transport: 'sse' });
        await live(a, 'websocket');
        await live(b, 'sse');
        await a.locator('#period label', { hasText: '0.1 s' }).click();
        await until('period on b', () => b.locator('#period input[value="100"]').isChecked());
        await grows(b, 'c-received', 15);
        await b.click('#pause');
        await has(a, 'pause', 'aria-pressed', 'true');
        await b.click('#pause');
        await has(a, 'pause', 'aria-pressed', 'false');
        await a.locator('#period label', { hasText: '1 s' }).last().click();
        await until('period back on b', () => b.locator('#period input[value="1000"]').isChecked());
    });

    await test('a_command_out_of_range_is_refused_with_words', async () => {
        const page = await openPage(server.url);
        await live(page, 'websocket');
        const status = await page.evaluate(async () => {
            const answer = await fetch('/control', { method: 'POST', body: 'period 1' });
            return [answer.status, await answer.text()];
        });
        same(status, [400, 'period: 100 to 10000 ms'], 'answer');
        forget(); // the browser reports the 400 we asked for
    });
}

async function breaks(server) {
    await test('a_cut_page_resumes_and_misses_nothing', async () => {
        const pages = [];
        for (const transport of Object.keys(TRANSPORTS)) {
            const page = await openPage(server.url, { transport });
            await live(page, transport);
            await page.click('#cut');
            await says(page, 'pill-state', 'Connection lost');
            pages.push([transport, page]);
        }
        for (const [transport, page] of pages) {
            await live(page, transport);
            await until('a replay', async () => (await number(page, 'c-replayed')) > 0);
            await logged(page, 'replayed, nothing missed');
            same(await text(page, 'c-missed'), '0', `missed over ${transport}`);
            await grows(page, 'c-received', 2);
        }
    });

    await test('more_events_than_the_log_keeps_are_told_as_a_gap', async () => {
        const witness = await openPage(server.url);
        await live(witness, 'websocket');
        const pages = [];
        for (const transport of Object.keys(TRANSPORTS)) {
            const page = await openPage(server.url, { transport });
            await live(page, transport);
            pages.push([transport, page]);
        }
        for (const [, page] of pages) {
            await page.click('#cut');
        }
        await witness.click('#burst');
        for (const [transport, page] of pages) {
            await until('missed events', async () => (await number(page, 'c-missed')) > 0);
            await live(page, transport);
            await logged(page, 'Gap: ');
            await grows(page, 'c-received', 2);
        }
        await logged(witness, '2,000 of 2,000 events arrived');
        same(await text(witness, 'c-missed'), '0', 'missed by the page that stayed');
    });

    await test('auto_falls_back_where_websockets_are_blocked', async () => {
        const blocked = (page) => page.routeWebSocket(/\/ws/, (socket) => socket.close());
        const page = await openPage(server.url, { prepare: blocked });
        await live(page, 'sse');
        await grows(page, 'c-received', 2);
    }, OUTAGE);

    await test('auto_falls_back_to_polling_where_streams_are_blocked', async () => {
        const page = await openPage(server.url, {
            prepare: async (p) => {
                await p.routeWebSocket(/\/ws/, (socket) => socket.close());
                await p.route(/\/events/, (route) => route.fulfill({ status: 502, body: 'proxy' }));
            },
        });
        await live(page, 'poll');
        await grows(page, 'c-received', 2);
    }, OUTAGE);

    await test('a_page_left_and_returned_to_is_live_again', async () => {
        const page = await openPage(server.url);
        await live(page, 'websocket');
        await page.goto('about:blank');
        await page.goBack();
        await live(page, 'websocket');
        await grows(page, 'c-received', 2);
    });

    await test('going_offline_and_online_ends_live', async () => {
        const page = await openPage(server.url);
        await live(page, 'websocket');
        await page.context().setOffline(true);
        await sleep(500);
        await page.context().setOffline(false);
        await live(page, 'websocket');
        await grows(page, 'c-received', 2);
    }, OUTAGE);
}

async function restarts(server) {
    for (const signal of ['SIGTERM', 'SIGKILL']) {
        await test(`pages_survive_a_restart_after_${signal}`, async () => {
            const pages = [];
            for (const transport of Object.keys(TRANSPORTS)) {
                const page = await openPage(server.url, { transport });
                await live(page, transport);
                pages.push([transport, page]);
            }
            const status = await stopProgram(server, signal);
            same(status, signal === 'SIGTERM' ? 0 : 'SIGKILL', 'exit');
            for (const [, page] of pages) {
                await until('a loss noticed',
                    async () => (await text(page, 'pill-state')) !== 'Live');
                await until('values dimmed', () => page.evaluate(() => (
                    getComputedStyle(document.querySelector('.sensors .card')).opacity < 0.6)));
            }
            Object.assign(server, await startServer(server.port));
            for (const [transport, page] of pages) {
                await live(page, transport);
                await until('restart told', async () => (await text(page, 'c-resets')) === '1');
                await logged(page, 'The server has started again');
                await grows(page, 'c-received', 2);
            }
        }, OUTAGE);
    }
}

// A device restarts so quickly that nothing in between notices: no request fails, no connection is
// refused. Each page must detect it by itself.
async function reboots(server) {
    await test('pages_find_out_that_the_device_has_started_again', async () => {
        const pages = [];
        for (const transport of Object.keys(TRANSPORTS)) {
            const page = await openPage(server.url, { transport });
            await live(page, transport);
            await grows(page, 'c-received', 1);
            pages.push([transport, page]);
        }
        await server.reset();
        for (const [transport, page] of pages) {
            await until(`restart told over ${transport}`,
                async () => (await text(page, 'c-resets')) === '1');
            await live(page, transport);
            await logged(page, 'The server has started again');
            await grows(page, 'c-received', 2);
        }
    }, OUTAGE);
}

async function eight(server) {
    await test('eight_pages_at_once_are_all_live', async () => {
        const pages = [];
        for (let i = 0; i < 8; i++) {
            const transport = Object.keys(TRANSPORTS)[i % 3];
            const page = await openPage(server.url, { transport });
            await live(page, transport);
            pages.push(page);
        }
        await pages[0].click('#switch');
        for (const page of pages) {
            await has(page, 'switch', 'aria-checked', 'true');
            await grows(page, 'c-received', 2);
            same(await text(page, 'c-missed'), '0', 'missed');
        }
        await pages[7].click('#switch');
        await has(pages[0], 'switch', 'aria-checked', 'false');
    });

    await test('what_is_made_up_is_labelled_as_simulated', async () => {
        const page = await openPage(server.url);
        await live(page, 'websocket');
        await until('the word', async () => /simulated/i.test(await page.textContent('main')));
    });
}

// -- look -----------------------------------------------------------------------------------------

// Runs in the page: boxes too narrow for what they hold, and labels that are cut or broken.
function overflowing() {
    const wide = [...document.querySelectorAll('.card, .button, .seg span, .tiles p, h2, dt, ' +
        '.hero .label, legend, .tiles small, .tiles b')]
        .filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1 && e.clientWidth);
    const lines = (e) => Math.round(e.getClientRects().length && (e.clientHeight -
        parseFloat(getComputedStyle(e).paddingTop) - parseFloat(getComputedStyle(e).paddingBottom))
        / parseFloat(getComputedStyle(e).lineHeight));
    const broken = [...document.querySelectorAll('.seg span, .tiles small, dt')]
        .filter((e) => lines(e) > 1);
    return [...wide, ...broken].map((e) => e.textContent.trim());
}

// Runs in the page: controls too small for a finger (WCAG 2.5.8: 24 pixels).
function small() {
    return [...document.querySelectorAll('button, .seg span, input[type=range]')]
        .filter((e) => e.checkVisibility())
        .filter((e) => e.getBoundingClientRect().width < 24
            || e.getBoundingClientRect().height < 24)
        .map((e) => e.outerHTML);
}

// A page with the function draw(width, height, values, end, span): a chart of charts.js with the
// values of the last `span` seconds, 2 values a second. Returns the canvas and the texts on it,
// each with its box in pixels of the chart.
async function openCharts(url) {
    const page = await openPage(url, {
        prepare: (p) => p.route(/charts\.js/, (route) => route.fulfill({
            path: fileURLToPath(new URL('../../ports/browser/charts.js', import.meta.url)),
        })),
    });
    check(await page.evaluate(() => typeof globalThis.uPlot === 'function'), 'no uPlot');
    await page.evaluate(async () => {
        const { createChart } = await import('/charts.js');
        const { fillText, clearRect } = CanvasRenderingContext2D.prototype;
        const drawn = new WeakMap(); // canvas: its labels; the page's own charts draw too
        CanvasRenderingContext2D.prototype.clearRect = function clear(...box) {
            drawn.set(this.canvas, []);
            clearRect.apply(this, box);
        };
        CanvasRenderingContext2D.prototype.fillText = function log(text, x, y) {
            const { width } = this.measureText(text);
            const { e, f } = this.getTransform();
            const shift = { center: width / 2, right: width, end: width }[this.textAlign] ?? 0;
            const up = { middle: 6, top: 0 }[this.textBaseline] ?? 12;
            const left = x + e - shift;
            const top = y + f - up;
            const box = { left, right: left + width, top, bottom: top + 12 };
            drawn.get(this.canvas)?.push({ text, ...box });
            fillText.call(this, text, x, y);
        };
        globalThis.draw = async (width, height, y, end, span, more = {}) => {
            const host = document.createElement('div');
            host.className = 'chart';
            Object.assign(host.style, { width: `${width}px`, height: `${height}px`, flex: 'none' });
            document.body.append(host);
            const chart = createChart(host, {
                name: 'test', format: (v) => `${v} %`, series: [{ label: 'a', color: '--s1' }],
                ...more,
            });
            const x = y.map((_, i) => end - (y.length - 1 - i) / 2);
            chart.update(x, [y], span);
            await new Promise((done) => { requestAnimationFrame(done); });
            host.remove();
            const canvas = host.querySelector('canvas');
            return { canvas, texts: drawn.get(canvas) };
        };
    });
    return page;
}

async function look(server) {
    await test('fits_320_to_1600_pixels_light_and_dark', async () => {
        const page = await openPage(server.url);
        await live(page, 'websocket');
        await logged(page, 'Connected over');
        for (const scheme of ['light', 'dark']) {
            for (const width of [320, 390, 768, 1600]) {
                const at = `at ${width} pixels, ${scheme}`;
                await show(page, { scheme, width });
                const wide = await page.evaluate(() => document.documentElement.scrollWidth);
                check(wide <= width, `${wide} pixels wide ${at}`);
                same(await page.evaluate(lowContrast), [], `low contrast ${at}`);
                same(await page.evaluate(nameless), [], `without a name ${at}`);
                same(await page.evaluate(keyboardless), [], `out of the keyboard's reach ${at}`);
                const back = await page.evaluate(
                    () => getComputedStyle(document.body).backgroundColor);
                const bright = back.match(/\d+/g).map(Number).reduce((a, b) => a + b) / 3;
                check(scheme === 'dark' ? bright < 60 : bright > 200, `background ${back} ${at}`);
                same(await page.evaluate(overflowing), [], `text wider than its box ${at}`);
                same(await page.evaluate(small), [], `too small for a finger ${at}`);
            }
        }
    });

    await test('a_line_at_an_end_of_the_axis_is_drawn_whole', async () => {
        const page = await openCharts(server.url);
        const heights = await page.evaluate(async () => {
            const results = [];
            for (const [low, high] of [[0, 100], [-20, 20]]) {
                for (const value of [(low + high) / 2, high, low]) {
                    const values = Array(121).fill(value);
                    const { canvas } = await globalThis.draw(400, 180, values, 1e9, 60,
                        { range: () => [low, high] });
                    const x = Math.round(canvas.width / 2);
                    const { data } = canvas.getContext('2d').getImageData(x, 0, 1, canvas.height);
                    let drawn = 0; // blue of the column, in pixels; the grid is grey
                    for (let i = 0; i < data.length; i += 4) {
                        const [r, , b, a] = data.slice(i, i + 4);
                        drawn += a > 128 && b - r > 100 ? a / 255 : 0;
                    }
                    results.push(drawn);
                }
            }
            return results;
        });
        console.log(`     ${heights.map((n) => n.toFixed(2)).join(' ')} pixels high`);
        heights.forEach((n) => check(n > 1.5, `${heights} pixels`));
    });

    await test('labels_of_the_axes_do_not_touch_and_are_not_cut', async () => {
        const page = await openCharts(server.url);
        const [seen, wrong] = await page.evaluate(async () => {
            const found = [];
            let labels = 0;
            for (const [width, height] of [[220, 120], [290, 150], [420, 170], [900, 220]]) {
                for (const span of [60, 90, 150, 300]) {
                    for (let end = 1e9; end < 1e9 + span; end += 13) {
                        const values = Array(2 * span + 1).fill(50);
                        const { texts } = await globalThis.draw(width, height, values, end, span,
                            { range: () => [0, 100] });
                        const all = texts.filter(({ text }) => text);
                        labels += all.length;
                        all.forEach((a, i) => {
                            if (a.left < 0 || a.right > width || a.bottom > height) {
                                found.push(`${a.text} is cut at ${width}, ${span} s`);
                            }
                            all.slice(i + 1).forEach((b) => {
                                if (a.left < b.right + 2 && b.left < a.right + 2
                                    && a.top < b.bottom + 1 && b.top < a.bottom + 1) {
                                    found.push(`${a.text} and ${b.text}, ${width}, ${span} s`);
                                }
                            });
                        });
                    }
                }
            }
            return [labels, [...new Set(found)].slice(0, 9)];
        });
        check(seen > 1000, `${seen} labels`);
        same(wrong, [], 'labels');
    });

    for (const transport of Object.keys(TRANSPORTS)) {
        await test(`a_page_costs_two_connections_over_${transport}`, async () => {
            let pings = 0;
            const proxy = await startProxy(() => server.port, (client, device, pipe) => {
                pipe(client, device, (data) => {
                    const isPing = data.includes('GET /ping ');
                    pings += isPing;
                    setTimeout(() => device.write(data), isPing ? 1000 : 0);
                });
                pipe(device, client);
            });
            const page = await openPage(proxy.url, { transport });
            await live(page, transport);
            await says(page, 'c-rtt', ' ms');
            if (transport !== 'websocket') { // whose own message is the ping
                const before = pings;
                await until('a ping on its way', () => pings > before);
            }
            await page.click('#switch');
            await page.click('#switch');
            await grows(page, 'c-received', 3);
            check(proxy.most <= 2, `${proxy.most} connections`);
            proxy.close();
        }, OUTAGE);
    }

    await test('the_keyboard_reaches_every_control', async () => {
        const page = await openPage(server.url);
        await live(page, 'websocket');
        const reached = new Set();
        for (let i = 0; i < 20; i++) {
            await page.keyboard.press('Tab');
            reached.add(await page.evaluate(() => {
                const { id, name, className } = document.activeElement;
                return id || name || className;
            }));
        }
        const all = ['skip', 'switch', 'period', 'pause', 'transport', 'cut', 'burst', 'log'];
        for (const id of all) {
            check(reached.has(id), `${id} not reached: ${[...reached]}`);
        }
        await page.focus('#switch');
        const before = await page.getAttribute('#switch', 'aria-checked');
        await page.keyboard.press('Space');
        await has(page, 'switch', 'aria-checked', before === 'true' ? 'false' : 'true');
    });

    await test('nothing_is_asked_of_another_host', async () => {
        same(strangers, [], 'requests');
    });
}

// -- rtpush.js ------------------------------------------------------------------------------------

async function parsing(server) {
    const script = (page) => page.route(/\/rtpush\.js/, (route) => route.fulfill({
        path: fileURLToPath(new URL('../../ports/browser/rtpush.js', import.meta.url)),
    }));
    await test('answers_of_long_polls_are_parsed_as_the_standard_says', async () => {
        const page = await openPage(server.url, { prepare: script });
        // WHATWG HTML 9.2.6, each: text, records, last id (starting from "old").
        const cases = [
            ['data: a\n\n', [['message', 'a', 'old']], 'old'],
            ['event: t\ndata: a\nid: 7\n\n', [['t', 'a', '7']], '7'],
            ['data:a\r\ndata: b\rdata:  c\r\n\r\n', [['message', 'a\nb\n c', 'old']], 'old'],
            ['id: 1\ndata: a\n\nid: 2\n\n', [['message', 'a', '1']], '2'],
            ['event: t\n\ndata: a\n\n', [['message', 'a', 'old']], 'old'],
            [': comment\n\ndata\n\n', [['message', '', 'old']], 'old'],
            ['id: a\0b\ndata: x\n\n', [['message', 'x', 'old']], 'old'],
            ['id\ndata: x\n\n', [['message', 'x', '']], ''],
            ['retry: 5\nnonsense: 1\ndata: a\n\ndata: cut off\n', [['message', 'a', 'old']], 'old'],
            ['', [], 'old'],
        ];
        const results = await page.evaluate(async (inputs) => {
            const { parseEvents } = await import('/rtpush.js');
            return inputs.map((input) => {
                const records = [];
                const id = parseEvents(input, 'old', (...record) => records.push(record));
                return [records, id];
            });
        }, cases.map(([input]) => input));
        cases.forEach(([input, ...expected], i) => {
            same(results[i], expected, JSON.stringify(input));
        });
    });

    await test('a_hidden_page_gives_its_slot_back_and_resumes', async () => {
        const page = await openPage(server.url, { transport: 'poll', prepare: script });
        const states = await page.evaluate(async () => {
            const { connect, websocket } = await import('/rtpush.js');
            const seen = [];
            const next = (wanted) => new Promise((done) => { waiting = { wanted, done }; });
            let waiting = { wanted: 'open', done() {} };
            const hide = (hidden) => {
                Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
                document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
            };
            const client = connect({
                topics: ['log'], transports: [websocket], hiddenMs: 50,
                onNotice: (kind) => seen.push(kind),
                onState({ state }) {
                    if (state === waiting.wanted) {
                        seen.push(state);
                        waiting.wanted = '';
                        waiting.done();
                    }
                },
            });
            for (const [wanted, act] of [['open', () => {}], ['hidden', () => hide(true)],
                ['open', () => hide(false)], ['closed', () => client.close()]]) {
                const came = next(wanted);
                act();
                await came;
            }
            return seen;
        });
        same(states, ['fresh', 'open', 'hidden', 'replayed', 'open', 'closed'], 'states');
    });

    await test('messages_are_told_from_what_the_application_sends', async () => {
        const page = await openPage(server.url, { prepare: script });
        const results = await page.evaluate(async () => {
            const { parseMessage } = await import('/rtpush.js');
            const bytes = new TextEncoder().encode('0000000a-0000000b raw\n\u0001\n\u0002').buffer;
            const binary = parseMessage(bytes);
            return [
                parseMessage('0000000a-0000000b cpu\n{"a":\n1}'),
                parseMessage('0000000a-0000000b-2 cpu\n'),
                parseMessage('0000000a-0000000b'),
                parseMessage('=0000000a-0000000b cpu\n1'), parseMessage('='),
                [...parseMessage(new TextEncoder().encode('=a\n\u0001').buffer).data],
                parseMessage('pong 1'), parseMessage('two\nlines'), parseMessage(''),
                parseMessage('0000000a-0000000b '), parseMessage('0000000a-0000000b\n'),
                [binary.topic, binary.id, [...binary.data]],
            ];
        });
        same(results, [
            { id: '0000000a-0000000b', topic: 'cpu', data: '{"a":\n1}' },
            { id: '0000000a-0000000b-2', topic: 'cpu', data: '' },
            { id: '0000000a-0000000b' },
            { data: '0000000a-0000000b cpu\n1' }, { data: '' }, [97, 10, 1],
            null, null, null, null, null, ['raw', '0000000a-0000000b', [1, 10, 2]],
        ], 'messages');
    });

    // What users write to each other through the application is never taken for the protocol's.
    await test('a_relayed_text_that_looks_like_a_notice_stays_a_message', async () => {
        const evil = '00000000-0 rtpush\nreset';
        const page = await openPage(server.url, {
            transport: 'poll',
            async prepare(p) {
                await script(p);
                await p.routeWebSocket(/\/ws/, (socket) => {
                    socket.send('0000000a-00000001 rtpush\nfresh');
                    socket.send(`=${evil}`);
                    socket.send(Buffer.from(`=${evil}`));
                });
            },
        });
        const seen = await page.evaluate(async () => {
            const { connect, websocket } = await import('/rtpush.js');
            const messages = [];
            const notices = [];
            const events = [];
            const client = await new Promise((done) => {
                const c = connect({
                    transports: [websocket],
                    onNotice: (kind) => notices.push(kind),
                    onEvent: (topic) => events.push(topic),
                    onMessage(data) {
                        messages.push(typeof data === 'string' ? data
                            : new TextDecoder().decode(data));
                        if (messages.length === 2) {
                            done(c);
                        }
                    },
                });
            });
            return { messages, notices, events, lastId: client.lastEventId };
        });
        same(seen, {
            messages: [evil, evil], notices: ['fresh'], events: [], lastId: '0000000a-00000001',
        }, 'what the page saw');
    });
}

// -- run ------------------------------------------------------------------------------------------

await run(ALL_MS, async () => {
    await openBrowser(SECURE ? process.env.NODE_EXTRA_CA_CERTS : undefined, ['--disable-quic']);
    const server = await startServer();
    const groups = DEVICE ? [transports, controls, eight, look, reboots]
        : [transports, controls, breaks, restarts, look, parsing];
    for (const group of groups.filter((g) => !SECURE || (g !== look && g !== parsing))) {
        await group(server);
    }
    if (DEVICE) {
        await server.stop();
    } else {
        await test('the_server_ends_when_asked', async () => {
            same(await stopProgram(server), 0, 'exit');
        });
    }
});
