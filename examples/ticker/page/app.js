// The page of ticker.c: the same prices by four transports, and what each costs.

import {
    connect, poll, sse, websocket,
} from './rtpush.js';
import { $, live, make } from './shell.js';

const SHORT_MS = 500; // between two short polls
const SPAN_MS = 2000; // that the table is about
const TRADES = 60;
const WINDOW = 30;    // round trips of which the fastest tells the device's clock
const WAYS = {
    websocket: 'WebSocket', sse: 'Server-Sent Events', poll: 'Long polling', short: 'Short polling',
};

const topics = [...Array(10).keys()].map((i) => `p${i}`);
const cells = [...Array(50)].map(() => make('li', {}, '–'));
const prices = []; // as they came
const rows = {};
const got = {}; // of each way: [{ at, age, prices, answers, bytes }]
const trips = []; // [round trip, page's clock - device's clock]
const marks = []; // [device's clock, moves until then]
$('prices').append(...cells);

for (const [way, name] of Object.entries(WAYS)) {
    rows[way] = [...Array(5)].map(() => make('td', {}, '–'));
    got[way] = [];
    $('ways').append(make('tr', { id: way }, make('th', { scope: 'row' }, name), ...rows[way]));
}

// -- the device's clock: half of the fastest round trip is the way there. And its moves by it

const offset = () => trips.reduce((best, trip) => (trip[0] < best[0] ? trip : best))[1];
let askedAt = 0;

function clock(text) {
    const trip = performance.now() - askedAt;
    const [now, ms, moves] = text.split(' ').map(Number);
    trips.push([trip, askedAt + trip / 2 - now]);
    trips.splice(0, trips.length - WINDOW);
    marks.push([ms, moves]);
    marks.splice(0, marks.length - WINDOW);
    const [began, before] = marks[0];
    if (ms > began) {
        const rate = (moves - before) * 1000 / (ms - began);
        $('rate').textContent = `${Math.round(rate)} moves a second`;
    }
}

// `text` came by a way: "MS price price ..."
function arrived(way, text, { prices = 5, answers = 1, bytes = 0 } = {}) {
    const at = performance.now();
    const age = trips.length > 0 ? Math.max(0, at - offset() - Number(text.split(' ', 1)[0])) : 0;
    got[way].push({ at, age, prices, answers, bytes });
}

const length = (...texts) => texts.reduce((sum, text) => sum + text.length, 0);

// -- streams

const isPrice = (topic) => topic[0] === 'p';

const streams = [
    live({
        transports: [websocket],
        lastEventId: 'first',
        onMessage: clock,
        onEvent(topic, data, id) {
            if (!isPrice(topic)) {
                trade(JSON.parse(data));
                return;
            }
            // RFC 6455 5.2: 2 bytes of a frame's header, then id SP topic LF
            arrived('websocket', data, { bytes: 2 + length(id, topic, data) + 2 });
            data.split(' ').slice(1).forEach((price, i) => { prices[topic[1] * 5 + i] = price; });
        },
        onNotice(kind, n) {
            if (kind === 'gap') {
                $('lost').textContent = `${n} missed`;
            } else if (kind === 'reset') { // its clock and its moves began anew
                trips.length = marks.length = 0;
            }
        },
    }),
    connect({
        transports: [sse],
        topics,
        onEvent(topic, data, id) { // id: event: data: and an empty line
            arrived('sse', data, { bytes: length('id: \nevent: \ndata: \n\n', id, topic, data) });
        },
    }),
    connect({
        transports: [poll],
        topics,
        onEvent: (topic, data) => arrived('poll', data, { answers: 0 }),
    }),
];

// Answers as the browser counts them, long polls and short ones.
new PerformanceObserver((list) => {
    for (const { name, transferSize } of list.getEntries()) {
        const way = { '/poll': 'poll', '/prices': 'short' }[new URL(name).pathname];
        if (way) {
            got[way].push({ at: performance.now(), prices: 0, answers: 1, bytes: transferSize });
        }
    }
    performance.clearResourceTimings();
}).observe({ type: 'resource', buffered: true });

let cut = false;
setInterval(async () => {
    const answer = !cut && await fetch('prices', { cache: 'no-store' }).catch(() => null);
    if (answer?.ok) {
        arrived('short', await answer.text(), { prices: 50, answers: 0 });
    }
}, SHORT_MS);

setInterval(() => {
    askedAt = performance.now();
    streams[0].send('time').catch(() => {});
}, 300);

// -- trades

const shown = new Map(); // number: its row

function trade({ n, fix, i, p, size }) {
    if (fix) {
        const row = shown.get(fix);
        row?.classList.add('fixed');
        row?.querySelector('b').replaceChildren(String(size));
        return;
    }
    const row = make('li', {}, make('span', {}, `${n}: no. ${i}`), make('span', {}, p.toFixed(2)),
        make('b', {}, String(size)));
    shown.set(n, row);
    $('trades').prepend(row);
    if (shown.size > TRADES) {
        const [oldest] = shown.keys();
        shown.get(oldest).remove();
        shown.delete(oldest);
    }
}

$('cut').onclick = () => {
    cut = true;
    streams.forEach((stream) => stream.reconnect(3000));
    setTimeout(() => { cut = false; }, 3000);
};

// -- the prices, ten times a second: more often nobody reads them

setInterval(() => {
    prices.forEach((price, i) => {
        const text = (price / 100).toFixed(2);
        if (cells[i].textContent !== text) {
            cells[i].textContent = text;
        }
    });
}, 100);

// -- the table

setInterval(() => {
    const now = performance.now();
    for (const way of Object.keys(WAYS)) {
        got[way] = got[way].filter(({ at }) => now - at < SPAN_MS);
        const sum = (name) => got[way].reduce((all, one) => all + one[name], 0) / (SPAN_MS / 1000);
        const ages = got[way].filter(({ prices }) => prices > 0).map(({ age }) => age)
            .sort((a, b) => a - b);
        const age = (share) => (ages.length > 0
            ? `${ages[Math.floor(share * (ages.length - 1))].toFixed(1)} ms` : '–');
        [sum('prices').toFixed(0), age(0.5), age(0.95), sum('answers').toFixed(0),
            (sum('bytes') / 1000).toFixed(1)].forEach((text, i) => {
            rows[way][i].textContent = text;
        });
    }
}, 500);
