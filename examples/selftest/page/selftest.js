// The tests of the page, one after the other, and their report.

import { connect, websocket, sse, poll } from './rtpush.js';

const WAIT_MS = 20000; // for anything to happen
const BY_NAME = { websocket, sse, poll };
const TRANSPORTS = Object.keys(BY_NAME);
const $ = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function check(condition, words) {
    if (!condition) {
        throw new Error(words);
    }
}

const within = (what, promise) => Promise.race([promise,
    sleep(WAIT_MS).then(() => { throw new Error(`no ${what} within ${WAIT_MS / 1000} s`); })]);

// -- what the board is asked ----------------------------------------------------------------------

const get = async (path) => {
    const response = await within(`answer of ${path}`, fetch(path, { cache: 'no-store' }));
    check(response.ok, `${path}: status ${response.status}`);
    return response;
};
const info = async () => (await get('info')).json();
const post = async (path, body) => {
    const response = await within(`answer of ${path}`, fetch(path, { method: 'POST', body }));
    check(response.ok, `${path}: status ${response.status}`);
    return response.text();
};
const publish = (n, size = 20) => post(`publish?n=${n}&size=${size}`);

const opened = new Set(); // what a test leaves open is closed behind it

// A client of rtpush.js and what it was told. until(): resolves when the condition holds of that.
function client(transport, lastEventId = '') {
    const seen = { events: [], notices: [], states: [], missed: 0 };
    let look = () => {};
    const tell = () => look();
    const rtpush = connect({
        transports: [BY_NAME[transport]],
        lastEventId,
        topics: ['burst'],
        hiddenMs: 0,
        onEvent(topic, data) { seen.events.push(data); tell(); },
        onNotice(kind, n) {
            seen.notices.push(n ? `${kind} ${n}` : kind);
            seen.missed += kind === 'gap' ? n : 0;
            tell();
        },
        onState({ state }) { seen.states.push(state); tell(); },
    });
    opened.add(rtpush);
    return {
        seen,
        id: () => rtpush.lastEventId,
        close: () => rtpush.close(),
        until: (what, condition) => within(`${what} over ${transport}`, new Promise((done) => {
            look = () => condition(seen) && done();
            look();
        })),
    };
}

async function openEcho() {
    const socket = new WebSocket(new URL('echo', location.href.replace(/^http/, 'ws')));
    opened.add(socket);
    socket.binaryType = 'arraybuffer';
    await within('WebSocket', new Promise((done, failed) => {
        socket.onopen = done;
        socket.onclose = () => failed(new Error('WebSocket refused'));
    }));
    const answer = () => within('echo', new Promise((done, failed) => {
        socket.onmessage = ({ data }) => done(data);
        socket.onclose = ({ code }) => failed(new Error(`WebSocket closed, ${code}`));
    }));
    return { echo(data) { const promise = answer(); socket.send(data); return promise; } };
}

// -- numbers --------------------------------------------------------------------------------------

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const ms = (value) => `${value.toFixed(1)} ms`;
const rate = (bytes, since) => `${Math.round(bytes / (performance.now() - since))} KB/s`;
async function times(count, action) {
    const list = [];
    for (let i = 0; i < count; i++) {
        const begun = performance.now();
        await action();
        list.push(performance.now() - begun);
    }
    return `median ${ms(median(list))}, longest ${ms(Math.max(...list))} of ${count}`;
}
const patternAt = (i) => (i ^ (i >> 8)) & 255;
const pattern = (length) => Uint8Array.from({ length }, (_, i) => patternAt(i));
const sum = (bytes) => bytes.reduce((hash, byte) => (Math.imul(hash, 31) + byte) >>> 0, 0);
const equal = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);

// -- the tests: each returns what to say behind its name ------------------------------------------

let device;

async function upload(length) {
    const bytes = pattern(length);
    const begun = performance.now();
    const answer = await post('upload', bytes);
    check(answer === `${length} ${sum(bytes)}`, `the board received ${answer}`);
    return rate(length, begun);
}

async function download(length) {
    const begun = performance.now();
    const bytes = new Uint8Array(await (await get(`download?n=${length}`)).arrayBuffer());
    check(equal(bytes, pattern(length)), `wrong bytes, ${bytes.length} of ${length}`);
    return rate(length, begun);
}

async function echoes() {
    const { echo } = await openEcho();
    const sizes = [1, 125, 126, device.rx - 125, device.rx, 4 * device.rx, 65535, 65536];
    for (const size of sizes) {
        const back = new Uint8Array(await echo(pattern(size)));
        check(equal(back, pattern(size)), `binary, ${size} bytes came back as ${back.length}`);
        const text = 'aä€😀'.repeat(Math.ceil(size / 10)).slice(0, size);
        check(await echo(text) === text, `text, ${size} characters`);
    }
    return `${sizes[0]} to ${sizes.at(-1)} bytes`;
}

async function throughput() {
    const { echo } = await openEcho();
    const bytes = pattern(16384);
    const begun = performance.now();
    for (let i = 0; i < 8; i++) {
        await echo(bytes);
    }
    return `${rate(8 * bytes.length, begun)} each way`;
}

const over = async (test, transports = TRANSPORTS) => {
    for (const transport of transports) {
        await test(transport);
    }
    return transports.join(', ');
};

async function events(transport) {
    const one = client(transport);
    await one.until('notice', ({ notices }) => notices[0] === 'fresh');
    const begun = performance.now();
    await publish(20);
    await one.until('20 events', (seen) => seen.events.length === 20);
    one.seen.events.forEach((data, i) => check(data.startsWith(`${i} `), `event ${i}: ${data}`));
    one.close();
    return performance.now() - begun;
}

async function resumes(transport) {
    const one = client(transport);
    await one.until('notice', ({ notices }) => notices.length > 0);
    one.close();
    await publish(5);
    const two = client(transport, one.id());
    await two.until('5 events', (seen) => seen.events.length === 5);
    check(two.seen.notices[0] === 'replayed 5', `the notice was "${two.seen.notices[0]}"`);
    two.close();
}

async function comesBack(transport) {
    const one = client(transport);
    await one.until('notice', ({ notices }) => notices.length > 0);
    await post('drop');
    await one.until('end of the stream', ({ states }) => states.lastIndexOf('open') > 0 &&
        states.at(-1) !== 'open');
    await publish(3);
    await one.until('3 events', (seen) => seen.events.length === 3);
    one.close();
}

async function gaps(transport) {
    const one = client(transport);
    await one.until('notice', ({ notices }) => notices.length > 0);
    one.close();
    const published = Math.ceil((2 * device.log) / 120);
    await publish(published, 100);
    const two = client(transport, one.id());
    await two.until('the newest event', (seen) => seen.events.at(-1)
        ?.startsWith(`${published - 1} `));
    const { missed } = two.seen;
    check(missed > 0, 'no gap was told');
    check(missed + two.seen.events.length === published,
        `${missed} missed and ${two.seen.events.length} events of ${published}`);
    two.close();
}

async function parallel() {
    const sockets = [];
    let refused = 0;
    while (refused === 0 && sockets.length < device.connections + 4) {
        await openEcho().then((one) => sockets.push(one), () => { refused++; });
    }
    check(refused === 1, `${sockets.length} WebSockets, none refused`);
    check(sockets.length >= Math.min(4, device.streams), `only ${sockets.length} WebSockets`);
    await Promise.all(sockets.map(({ echo }, i) => echo(`socket ${i}`)
        .then((back) => check(back === `socket ${i}`, `${i} got ${back}`))));
    return `${sockets.length} WebSockets, ${device.streams} configured; the next is refused`;
}

async function slowReader() {
    const length = 1 << 20;
    const body = (await get(`download?n=${length}`)).body.getReader();
    await sleep(2000); // not reading
    const { echo } = await openEcho();
    const meanwhile = await times(20, () => echo('meanwhile'));
    let at = 0;
    for (;;) {
        const { done, value } = await within('rest of the body', body.read());
        if (done) {
            break;
        }
        check(value.every((byte, i) => byte === patternAt(at + i)), 'wrong bytes');
        at += value.length;
    }
    check(at === length, `${at} of ${length} bytes`);
    return `an echo meanwhile: ${meanwhile}`;
}

async function alive() {
    const now = await info();
    check(now.up_s >= device.up_s, 'the board has restarted');
    return `up for ${now.up_s} s, most: ${now.slots_high} connections, ${now.streams_high} streams`;
}

const TESTS = [
    ['GET', () => times(20, info)],
    ['POST of 20 bytes', () => upload(20).then(() => '')],
    ['upload of 64 KiB', () => upload(65536)],
    ['download of 256 KiB', () => download(262144)],
    ['WebSocket: echo, binary and text', echoes],
    ['WebSocket: latency', async () => {
        const { echo } = await openEcho();
        return times(100, () => echo('12345678901234567890'));
    }],
    ['WebSocket: throughput', throughput],
    ...TRANSPORTS.map((name) => [`20 events over ${name}`, async () => ms(await events(name))]),
    ['resumes after the last event', () => over(resumes)],
    ['comes back when the board ends it', () => over(comesBack, ['websocket', 'sse'])],
    ['a gap is told', () => over(gaps)],
    ['connections until refused', parallel],
    ['a slow reader', slowReader],
    ['the board is alive', alive],
];

// -- the report -----------------------------------------------------------------------------------

let lines = [];

function show() {
    const version = device?.version.match(/../g).slice(1).map((two) => parseInt(two, 16)).join('.');
    $('report').value = [
        `rtpush self-test, ${new Date().toISOString().slice(0, 10)}`,
        `board    ${device?.board || 'unknown'}`,
        `note     ${$('note').value || '-'}`,
        `rtpush   ${version}, ${device?.connections} connections, ${device?.streams} streams, rx ` +
            `${device?.rx}, tx ${device?.tx}, log ${device?.log}`,
        `lwIP     ${device?.lwip ?? '-'}`,
        `browser  ${navigator.userAgent}`,
        '', ...lines, '',
    ].join('\n');
}

async function run() {
    document.body.dataset.state = 'running';
    lines = [];
    let failed = 0;
    for (const [name, test] of [['GET info', async () => { device = await info(); }], ...TESTS]) {
        $('state').textContent = `${lines.length} of ${TESTS.length + 1}: ${name}`;
        show();
        try {
            const words = await test();
            lines.push(`ok    ${name.padEnd(34)} ${words ?? ''}`.trim());
        } catch (error) {
            failed++;
            lines.push(`FAIL  ${name.padEnd(34)} ${error.message}`);
        }
        opened.forEach((one) => one.close());
        opened.clear();
    }
    lines.push('', `${lines.length - failed} ok, ${failed} failed`);
    show();
    $('state').textContent = failed ? `${failed} failed` : 'All ok';
    document.body.dataset.state = 'done';
}

// navigator.clipboard is for secure contexts, which a board's address is not.
$('copy').onclick = () => {
    $('report').select();
    $('state').textContent = document.execCommand('copy') ? 'Copied' : 'Please copy it by hand';
};
$('note').oninput = show;
$('again').onclick = () => document.body.dataset.state === 'done' && run();
run();
