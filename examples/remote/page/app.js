// The page of remote.c. While the stick is held it sends 60 messages a second, and lets go of the
// stick if none is answered for 200 ms: then the vehicle has stopped too.

import { websocket } from './rtpush.js';
import { $, live } from './shell.js';

const PERIOD_MS = 1000 / 60;
const SILENT_MS = Number(new URLSearchParams(location.search).get('silent') ?? 200);
const SHOWN = 300; // round trips, 5 s of them
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const MODES = ['is steered', 'stands', 'stopped: the link to its driver was silent'];

const field = $('field').getContext('2d');
const chart = $('chart').getContext('2d');
const colour = (name) => getComputedStyle(document.body).getPropertyValue(name);
const sent = new Map(); // number: when
const trips = [];
let unshown = true; // trips that are not drawn
const keys = new Set();
let number = 0;
let stick = [0, 0];  // from -127 to 127
let held = false;
let heardAt = 0;
let mine = false;    // it is I who steer
let vehicle = { x: 32767, y: 32767, trail: [] };
let drawn = 0;       // of the next frame, if something changed
const redraw = () => { drawn ||= requestAnimationFrame(frame); };

const client = live({
    transports: [websocket],
    onMessage(data) { // the answer to a message of ours
        const answered = data[0] | (data[1] << 8);
        heardAt = performance.now();
        mine = data[2] === 1;
        redraw();
        if (sent.has(answered)) {
            trips.push(heardAt - sent.get(answered));
            unshown = true;
            trips.splice(0, trips.length - SHOWN);
            for (const before of sent.keys()) { // of those before it no answer comes any more
                sent.delete(before);
                if (before === answered) {
                    break;
                }
            }
        }
    },
    onEvent(topic, data) {
        const [x, y] = [data[0] | (data[1] << 8), data[2] | (data[3] << 8)];
        vehicle = { x, y, trail: [...vehicle.trail.slice(-60), [x, y]], driven: data[7] !== 255 };
        $('mode').textContent = MODES[data[6]];
        redraw();
    },
});

function send() {
    number = (number + 1) & 0xffff;
    sent.set(number, performance.now());
    client.send(Uint8Array.of(number, number >> 8, stick[0], stick[1])).catch(() => {});
}

function hold() {
    redraw();
    if (!held) {
        held = true;
        heardAt = performance.now();
        $('stick').classList.remove('lost');
    }
}

function letGo(lost) {
    held = false;
    stick = [0, 0];
    keys.clear();
    sent.clear();
    $('stick').classList.toggle('lost', lost);
    send(); // once: at rest
    redraw();
}

setInterval(() => {
    if (held && performance.now() - heardAt > SILENT_MS) {
        letGo(true);
    } else if (held) {
        send();
    }
}, PERIOD_MS);

// -- the stick

const limit = (value) => Math.round(127 * Math.max(-1, Math.min(1, value)));

function drag(event) {
    const box = $('stick').getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width - 0.5) * 2.6;
    const y = ((event.clientY - box.top) / box.height - 0.5) * 2.6;
    stick = [limit(x), limit(y)];
    redraw();
}

$('stick').addEventListener('pointerdown', (event) => {
    $('stick').setPointerCapture(event.pointerId);
    hold();
    drag(event);
});
$('stick').addEventListener('pointermove', (event) => {
    if (held && keys.size === 0) {
        drag(event);
    }
});
for (const name of ['pointerup', 'pointercancel', 'blur']) {
    $('stick').addEventListener(name, () => held && letGo(false));
}
addEventListener('keydown', (event) => {
    if (KEYS[event.key]) {
        event.preventDefault();
        if (!event.repeat) { // one that lost its link begins again when it is pressed again
            keys.add(event.key);
            hold();
            steerByKeys();
        }
    }
});
addEventListener('keyup', (event) => {
    if (keys.delete(event.key)) {
        steerByKeys();
    }
});
function steerByKeys() {
    stick = [...keys].reduce(([x, y], key) => [x + KEYS[key][0], y + KEYS[key][1]], [0, 0])
        .map(limit);
    redraw();
    if (keys.size === 0) {
        letGo(false);
    }
}

// -- drawing

function drawField() {
    const at = ([x, y]) => [20 + (x / 65535) * 760, 20 + (y / 65535) * 440];
    field.clearRect(0, 0, 800, 480);
    field.fillStyle = field.strokeStyle = colour('--accent');
    vehicle.trail.forEach((point, i, all) => {
        field.globalAlpha = i / all.length / 3;
        field.fillRect(...at(point), 6, 6);
    });
    field.globalAlpha = 1;
    field.beginPath();
    field.arc(...at([vehicle.x, vehicle.y]), 18, 0, 7);
    field.fill();
}

function drawTrips() {
    const top = Math.max(20, ...trips);
    chart.clearRect(0, 0, 1200, 160);
    chart.strokeStyle = colour('--s2');
    chart.lineWidth = 2;
    chart.beginPath();
    trips.forEach((ms, i) => chart.lineTo(i * (1200 / SHOWN), 155 - (ms / top) * 145));
    chart.stroke();
    chart.fillStyle = colour('--soft');
    chart.font = '22px system-ui, sans-serif';
    chart.fillText(`${top.toFixed(0)} ms`, 8, 24);
    const sorted = [...trips].sort((a, b) => a - b);
    const show = (id, ms) => {
        $(id).textContent = ms === undefined ? '–' : `${ms.toFixed(1)} ms`;
    };
    show('now', trips.at(-1));
    show('middle', sorted[sorted.length >> 1]);
    show('worst', sorted.at(-1));
}

function frame() {
    drawn = 0;
    drawField();
    $('knob').style.transform = `translate(${stick[0] * 0.9}%, ${stick[1] * 0.9}%)`;
    $('who').textContent = held && mine ? 'you steer'
        : (vehicle.driven && 'somebody steers') || 'nobody steers';
}
redraw();

setInterval(() => { // ten times a second: more often nobody reads them
    if (unshown) {
        unshown = false;
        drawTrips();
    }
}, 100);
