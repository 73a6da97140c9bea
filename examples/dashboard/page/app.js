// The dashboard's page: receives topics through rtpush.js, keeps the last minutes, draws when the
// browser is ready to. Nothing here knows which transport is in use.

import { duplex, websocket, sse, poll } from './rtpush.js';
import { createChart, roundUp } from './charts.js';

const KEEP = 4000;       // samples
const SPAN_MIN_S = 60;   // what the charts show: from one minute,
const SPAN_MAX_S = 300;  // growing with what there is, to five
const LOG_LINES = 200;

const $ = (id) => document.getElementById(id);

// -- words and numbers ----------------------------------------------------------------------------

const STATES = {
    connecting: 'Connecting', open: 'Live', silent: 'Silent', waiting: 'Connection lost',
    refused: 'Refused', hidden: 'Resting', closed: 'Closed',
};
const TRANSPORTS = { websocket: 'WebSocket', sse: 'SSE', poll: 'Polling' };

const count = (n) => n.toLocaleString('en-US');

// 12,345 -> ['12.3', 'kB']
function bytes(n, unit = 'B', step = 1000) {
    const steps = ['', step === 1000 ? 'k' : 'K', 'M', 'G', 'T'];
    let i = 0;
    while (n >= 999.5 && i < steps.length - 1) {
        n /= step;
        i++;
    }
    return [i === 0 || n >= 99.95 ? n.toFixed(0) : n.toFixed(1), steps[i] + unit];
}
const bytesText = (n, unit) => bytes(n, unit).join(' ');
const kib = (n) => bytes(n * 1024, 'iB', 1024);

function duration(seconds) {
    const days = Math.floor(seconds / 86400);
    const hours = Math.floor(seconds / 3600) % 24;
    const minutes = Math.floor(seconds / 60) % 60;
    const less = hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min`;
    return days > 0 ? `${days} d ${hours} h` : less;
}

function rttText(ms) {
    return ms === null ? '–' : ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

// Writing an unchanged text would still cost a layout, and a screen reader would read it again.
function put(id, text) {
    const element = typeof id === 'string' ? $(id) : id;
    if (element.textContent !== text) {
        element.textContent = text;
    }
}

// -- data -----------------------------------------------------------------------------------------

const state = {};   // STATE topics by name, newest value
const dirty = new Set();
let samples = [];   // { run, t, p, cpu, mem, rx, tx, temp }
let run = { offset: Infinity }; // one boot of the server: what to add to its clock to get ours
let frame = 0;

// The smallest difference seen has the least delay in it; the small increase follows clock drift.
function learnOffset(t) {
    const offset = Date.now() - t;
    run.offset = offset < run.offset ? offset : run.offset + (offset - run.offset) * 0.002;
}

function mark(what) {
    dirty.add(what);
    frame ||= requestAnimationFrame(draw);
}

function draw() {
    frame = 0;
    const now = [...dirty];
    dirty.clear();
    for (const what of now) {
        DRAW[what]?.(state[what]);
    }
}

// -- drawing --------------------------------------------------------------------------------------

const percent = (y) => `${y.toFixed(y < 10 ? 1 : 0)} %`;
const percentAxis = (y, axis) => (axis ? `${y} %` : percent(y));
const rate = (y) => bytesText(y, 'B/s');
const toHundred = () => [0, 100];
const fromZero = (low, high) => [0, roundUp(Math.max(1000, high))];

const charts = {
    cpu: createChart($('cpu-chart'), {
        name: 'Processor use', range: toHundred, format: percentAxis,
        series: [{ label: 'Processor', color: '--s1' }],
    }),
    mem: createChart($('mem-chart'), {
        name: 'Memory use', range: toHundred, format: percentAxis,
        series: [{ label: 'Memory', color: '--s2' }],
    }),
    net: createChart($('net-chart'), {
        name: 'Network', format: rate, axisSize: 62, range: fromZero,
        series: [{ label: 'Received', color: '--s3' }, { label: 'Sent', color: '--s4' }],
    }),
};

// As many items as there are names, each with a value and a bar from 0 to 1 (null: none), in even
// rows.
const METER_WIDTH = 150;
const GAUGE_WIDTH = 190;
const evenRows = new ResizeObserver((changes) => changes.forEach(({ target }) => arrange(target)));

function arrange(list) {
    const count = list.children.length;
    const width = list.id === 'gauges' ? GAUGE_WIDTH : METER_WIDTH;
    const fit = Math.max(1, Math.floor(list.clientWidth / width));
    const rows = Math.max(1, Math.ceil(count / fit));
    list.style.setProperty('--columns', Math.max(1, Math.ceil(count / rows)));
}

function meters(list, rows) {
    const before = list.children.length;
    while (list.children.length > rows.length) {
        list.lastChild.remove();
    }
    rows.forEach(({ name, value, part, title = '' }, i) => {
        let item = list.children[i];
        if (!item) {
            item = document.createElement('li');
            item.innerHTML = '<span></span><b></b><div class="bar"><i></i></div>';
            list.append(item);
        }
        put(item.children[0], name);
        put(item.children[1], value);
        item.title = title;
        item.children[2].hidden = part === null;
        fill(item.children[2], part ?? 0);
    });
    if (before !== rows.length) {
        evenRows.observe(list);
        arrange(list);
    }
}

function fill(bar, part) {
    bar.firstChild.style.transform = `scaleX(${Math.min(1, Math.max(0, part)).toFixed(4)})`;
}

// A break in the line where the next sample came later than announced: pause, a restart, a gap.
function columns(names) {
    const x = [];
    const ys = names.map(() => []);
    const last = samples[samples.length - 1];
    const end = last.run.offset + last.t;
    let before = null;
    for (const sample of samples) {
        const at = sample.run.offset + sample.t;
        if (at < end - SPAN_MAX_S * 1000 || (before !== null && at <= before.at)) {
            continue;
        }
        if (before !== null && at - before.at > before.p * 2.5 + 500) {
            x.push((before.at + before.p) / 1000);
            ys.forEach((y) => y.push(null));
        }
        x.push(at / 1000);
        names.forEach((name, i) => ys[i].push(sample[name] ?? null));
        before = { at, p: sample.p };
    }
    return [x, ys, Math.min(SPAN_MAX_S, Math.max(SPAN_MIN_S, x[x.length - 1] - x[0]))];
}

const COUNTERS = ['streams', 'gaps', 'published', 'delivered', 'states', 'requests', 'refused'];

const DRAW = {
    sample() {
        if (samples.length === 0) {
            return;
        }
        charts.cpu.update(...columns(['cpu']));
        charts.mem.update(...columns(['mem']));
        charts.net.update(...columns(['rx', 'tx']));
        if (samples[samples.length - 1].temp !== undefined) {
            $('temp-card').hidden = false;
            charts.temp ??= createChart($('temp-chart'), {
                name: 'Temperature', range: toHundred, format: (y) => `${y.toFixed(0)} °C`,
                series: [{ label: 'Hottest', color: '--s5' }],
            });
            charts.temp.update(...columns(['temp']));
        }
    },

    device({ host, system, model, cores, ram, log, slots }) {
        put('host', host || 'Dashboard');
        put('system', [model, system].filter(Boolean).join(' · '));
        document.title = `${host} – rtpush dashboard`;
        put('server-note', `${bytesText(ram)} of memory in all`);
        put('foot', `This server has ${count(slots)} slots, ${bytesText(log)} of log `
            + `and ${cores === 1 ? 'one core' : `${cores} cores`}.`);
        mark('server'); // its meter needs the size of the log
    },

    cpu({ use, load, uptime, cores }) {
        put('cpu-now', use.toFixed(1));
        const loads = load.length > 0 ? `load ${load.map((l) => l.toFixed(2)).join('  ')} · ` : '';
        put('cpu-note', `${loads}up ${duration(uptime)}`);
        meters($('cores'), cores.map((core, i) => (
            { name: `Core ${i}`, value: `${core.toFixed(0)} %`, part: core / 100 })));
    },

    memory({ total, available, cached, swap, swap_free: swapFree }) {
        if (total === 0) {
            return;
        }
        const [now, unit] = kib(total - available);
        put('mem-now', now);
        put('mem-unit', `${unit} of ${kib(total).join(' ')}`);
        const swapped = swap > 0 ? ` · ${kib(swap - swapFree).join(' ')} swapped` : '';
        put('mem-note', cached > 0 ? `${kib(cached).join(' ')} cached${swapped}` : '');
        const [usedBar, cacheBar] = $('mem-bar').children;
        const usedPart = (total - available) / total * 100;
        usedBar.style.width = `${usedPart}%`;
        cacheBar.style.width = `${Math.min(cached / total * 100, 100 - usedPart)}%`;
    },

    network({ rx, tx, rx_total: rxTotal, tx_total: txTotal }) {
        const [rxNow, rxUnit] = bytes(rx, 'B/s');
        const [txNow, txUnit] = bytes(tx, 'B/s');
        put('rx-now', rxNow);
        put('rx-unit', rxUnit);
        put('tx-now', txNow);
        put('tx-unit', txUnit);
        put('net-note', `${bytesText(rxTotal)} in, ${bytesText(txTotal)} out`);
    },

    temperature(temps) {
        $('temp-card').hidden = temps.length === 0;
        if (temps.length > 0) {
            put('temp-now', Math.max(...temps.map(({ c }) => c)).toFixed(1));
            put('temp-note', temps.length === 1 ? temps[0].name : `hottest of ${temps.length}`);
            $('temp-simulated').hidden = !temps.some(({ simulated }) => simulated);
        }
        meters($('temps'), temps.map(({ name, c }) => (
            { name, value: `${c.toFixed(1)} °C`, part: c / 100 })));
    },

    gauges(all) {
        $('gauge-card').hidden = all.length === 0;
        meters($('gauges'), all.map(([name, unit, value, high, size, simulated]) => {
            const text = (n) => (unit === 'B' ? bytesText(n) : count(n) + (unit && ` ${unit}`));
            return {
                name: simulated ? `${name} (simulated)` : name,
                value: size > 0 ? `${text(value)} / ${text(size)}` : text(value),
                part: size > 0 ? value / size : null,
                title: high > 0 ? `${name}: at most ${text(high)} so far` : '',
            };
        }));
    },

    control({ on, paused, period }) {
        $('switch').setAttribute('aria-checked', on);
        $('lamp').classList.toggle('on', on);
        put('switch-state', on ? 'switched on' : 'switched off');
        $('pause').setAttribute('aria-pressed', paused);
        put('pause', paused ? 'Sampling is paused – go on' : 'Pause sampling');
        for (const radio of document.getElementsByName('period')) {
            radio.checked = Number(radio.value) === period;
        }
    },

    server(s) {
        if (!s) {
            return;
        }
        for (const name of COUNTERS) {
            put(`s-${name}`, count(s[name]));
        }
        put('s-slots', count(s.slots));
        put('s-bytes', bytesText(s.bytes_out));
        const size = state.device?.log ?? 0;
        if (size > 0) {
            put('s-log', `${bytesText(s.log_used)} of ${bytesText(size)}`);
            fill($('s-log-bar'), s.log_used / size);
        }
    },

    status() {
        const { state: now, transport } = client.status;
        const { received, replayed, missed, connects, resets } = counts;
        const open = now === 'open';
        $('pill').dataset.state = now;
        $('main').dataset.state = now; // values that are no longer updated are dimmed
        put('pill-state', STATES[now]);
        put('pill-more', !open ? waitText()
            : TRANSPORTS[transport] + (rtt === null ? '' : ` · ${rttText(rtt)}`));
        const wait = open ? '' : waitText();
        put('c-state', STATES[now].toLowerCase() + (wait && `, ${wait}`));
        put('c-transport', TRANSPORTS[transport]);
        put('c-rtt', rttText(rtt));
        put('c-received', count(received));
        put('c-missed', count(missed));
        $('c-missed').className = missed > 0 ? 'alert' : '';
        put('c-replayed', count(replayed));
        put('c-connects', connects === 1 ? 'once' : `${count(connects)} times`);
        put('c-resets', count(resets));
        put('c-id', client.lastEventId.slice(0, 17) || '–');
        for (const id of ['switch', 'period', 'pause', 'burst']) {
            $(id).disabled = !open;
        }
    },

    log() {
        const list = $('log');
        const atTop = list.scrollTop < 8;
        const newest = lines.map((line) => ({ ...line, when: line.at ?? line.run.offset + line.t }))
            .sort((a, b) => b.when - a.when).slice(0, LOG_LINES);
        list.replaceChildren(...newest.map(logItem));
        if (atTop) {
            list.scrollTop = 0;
        }
    },
};

function waitText() {
    const { state: now, refusal, retryAt } = client.status;
    if (!navigator.onLine) {
        return 'no network';
    }
    if (now === 'silent') {
        return 'nothing comes';
    }
    if (now === 'refused') {
        return `status ${refusal}`;
    }
    const seconds = Math.ceil((retryAt - Date.now()) / 1000);
    return retryAt > 0 ? (seconds > 0 ? `again in ${seconds} s` : 'trying again') : '';
}

// -- log ------------------------------------------------------------------------------------------

const lines = []; // { run, t } of the server or { at } of this page; level, text

function logItem({ when, at, level, text }) {
    const item = document.createElement('li');
    const time = document.createElement('time');
    const words = document.createElement('span');
    time.textContent = new Date(when).toLocaleTimeString([], { hour12: false });
    words.textContent = text;
    item.className = level;
    item.append(time, words);
    if (at !== undefined) {
        const from = document.createElement('small');
        from.textContent = 'this page';
        item.append(from);
    }
    return item;
}

function addLine(line) {
    lines.push(line);
    if (lines.length > 2 * LOG_LINES) {
        lines.splice(0, LOG_LINES);
    }
    mark('log');
}

// What this page itself saw: in the log, and for screen readers.
function tell(text, level = 'page') {
    addLine({ at: Date.now(), level, text });
    put('announce', text);
}

// A burst is one line with a count, not thousands of lines.
let burst = null;

function onBurst({ n, of }) {
    if (burst === null || burst.of !== of || n <= burst.n) {
        burst = { at: Date.now(), level: 'page', of, got: 0 };
        addLine(burst);
    }
    burst.n = n;
    burst.got++;
    burst.text = `Burst: ${count(burst.got)} of ${count(of)} events arrived here`;
    mark('log');
}

let toastTimer = 0;

function toast(text) {
    put('toast', text);
    $('toast').hidden = false;
    clearTimeout(toastTimer);
    toastTimer = setTimeout(() => { $('toast').hidden = true; }, 4000);
}

// -- connection -----------------------------------------------------------------------------------

const EVENTS = {
    sample(sample) {
        learnOffset(sample.t);
        samples.push({ run, ...sample });
        if (samples.length > KEEP) {
            samples = samples.slice(-KEEP / 2);
        }
        mark('sample');
    },
    log({ t, level, text }) {
        learnOffset(t);
        addLine({ run, t, level, text });
    },
    burst: onBurst,
};

function onEvent(topic, data) {
    const value = JSON.parse(data);
    counts.received++;
    if (EVENTS[topic]) {
        EVENTS[topic](value);
    } else {
        state[topic] = value;
        mark(topic);
    }
    mark('status');
}

const counts = { received: 0, replayed: 0, missed: 0, connects: 0, resets: 0 };
let greeted = false;

// The very first notice is about the history that this page asked for, not about a loss.
function onNotice(kind, n) {
    const events = `${count(n)} event${n === 1 ? '' : 's'}`;
    counts.resets += kind === 'reset';
    counts.missed += greeted && kind === 'gap' ? n : 0;
    counts.replayed += greeted && kind === 'replayed' ? n : 0;
    if (!greeted) {
        greeted = true;
        tell(`Connected over ${TRANSPORTS[client.status.transport]}`);
    } else if (kind === 'gap') {
        tell(`Gap: ${events} missed`, 'warn');
    } else if (kind === 'reset') {
        run = { offset: Infinity };
        tell('The server has started again', 'warn');
        synchronise();
    } else if (kind === 'replayed') {
        tell(n === 0 ? 'Back: nothing was missed' : `Back: ${events} replayed, nothing missed`);
    } else {
        tell('Back');
    }
}

let lastState = 'connecting';
let rtt = null;

function onState({ state: now }) {
    const up = lastState === 'open' || lastState === 'silent';
    counts.connects += now === 'open' && !up;
    if (up && (now === 'waiting' || now === 'connecting')) {
        tell('Connection lost');
    } else if (lastState === 'open' && now === 'silent') {
        tell('Nothing comes any more', 'warn');
    }
    if (now !== 'open') {
        rtt = null;
    } else if (lastState !== now) {
        setTimeout(measure, 1000); // after the records that come first
    }
    lastState = now;
    mark('status');
}

// One small request at a time: beside the connection of the events a page costs the device one.
const SMALL_MS = 5000;
let turn = Promise.resolve();
const inTurn = (request) => {
    const mine = turn.then(request);
    turn = mine.catch(() => {});
    return mine;
};
const small = (url) => inTurn(async () => {
    const abort = new AbortController();
    const limit = setTimeout(() => abort.abort(), SMALL_MS);
    const start = performance.now();
    const response = await fetch(url, { cache: 'no-store', signal: abort.signal });
    const text = await response.text();
    clearTimeout(limit);
    return { text, ok: response.ok, took: performance.now() - start };
});

// Where a new page begins, and the server's clock.
async function synchronise() {
    try {
        const { id, up } = JSON.parse((await small('start')).text);
        learnOffset(up);
        mark('sample');
        mark('log');
        return id;
    } catch {
        return ''; // the charts begin now; the first sample sets the clock offset
    }
}

const CHOICES = { auto: [websocket, sse, poll], websocket: [websocket], sse: [sse], poll: [poll] };
const asked = new URLSearchParams(location.search).get('transport');
const chosen = Object.keys(CHOICES).includes(asked) ? asked : 'auto';

const begin = (choice, lastEventId) => duplex({
    topics: ['device', 'cpu', 'memory', 'network', 'temperature', 'gauges', 'server',
        'control', 'sample', 'log', 'burst'],
    transports: CHOICES[choice],
    lastEventId,
    onEvent,
    onNotice,
    onState,
    onMessage,
});
let client = begin(chosen, await synchronise());

function onMessage(text) {
    const pong = /^pong (\d+)$/.exec(text);
    if (pong) {
        rtt = performance.now() - Number(pong[1]);
        mark('status');
    } else {
        toast(text.replace(/^error /, 'Refused: '));
    }
}

// The round trip, which is only shown: rtpush.js needs none to know that a connection lives. A
// WebSocket is asked by a message, else a small request is timed.
async function measure() {
    const { state: now, transport: way } = client.status;
    if (now !== 'open' || document.hidden) {
        rtt = null;
    } else if (way === 'websocket') {
        await client.send(`ping ${Math.floor(performance.now())}`).catch(() => {});
    } else {
        const { ok, took } = await small('ping').catch(() => ({}));
        rtt = ok ? took : null;
        mark('status');
    }
}
setInterval(measure, 5000);

async function send(text) {
    try {
        await inTurn(() => client.send(text));
    } catch (error) {
        toast(`Not sent: ${error.message}`);
    }
}

// -- controls -------------------------------------------------------------------------------------
// They show the state of the server, not the click: the click changes the STATE topic "control",
// which every page receives, this one too.

$('switch').addEventListener('click', () => send(`on ${state.control?.on ? 0 : 1}`));
$('pause').addEventListener('click', () => send(`pause ${state.control?.paused ? 0 : 1}`));
$('burst').addEventListener('click', () => send('burst 2000'));
$('cut').addEventListener('click', () => client.reconnect(10000));
$('period').addEventListener('change', ({ target }) => send(`period ${target.value}`));
$('transport').addEventListener('change', ({ target }) => {
    client.close();
    client = begin(target.value, client.lastEventId);
});
for (const type of ['online', 'offline']) {
    addEventListener(type, () => mark('status'));
}
for (const radio of document.getElementsByName('transport')) {
    radio.checked = radio.value === chosen;
}
setInterval(() => client.status.state === 'waiting' && mark('status'), 500);
mark('status');
