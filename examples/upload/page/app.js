// The page of upload: hashes the file, asks the device where to go on, and sends pieces from there
// until all are in. Whatever goes wrong on the way, it asks again.

import { sse } from './rtpush.js';
import { sha256 } from './sha256.js';
import { $, live, make } from './shell.js';

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
let bytes = null;
let abort = null; // while sending

const say = (text) => { $('said').textContent = text; };

function progress({ at: done, size, state }) {
    const part = size ? done / size : 0;
    $('bar').value = part;
    $('percent').textContent = Math.floor(part * 100);
    $('bytes').textContent = `${done.toLocaleString('en')} of ${size.toLocaleString('en')} bytes`;
    $('state').textContent = state;
}

// Null: no answer.
const post = (path, body) => fetch(path, {
    method: 'POST', body, signal: abort.signal,
    headers: body ? { 'Content-Type': 'application/octet-stream' } : {},
}).catch(() => null);

// One run from where the device is: true when there is nothing more to do.
async function run(hash) {
    let answer = await post(`begin?size=${bytes.length}&sha256=${hash}`);
    if (answer && !answer.ok) {
        say(`${answer.status}: ${await answer.text()}`);
        return answer.status !== 409; // 409: another update is under way, which will end
    }
    while (answer?.ok) {
        const device = await answer.json().catch(() => null);
        if (!device) {
            break; // cut in the middle of the answer
        }
        progress(device);
        if (device.state === 'done') {
            say('Done: the hash is right.');
            return true;
        }
        say(`Sending from byte ${device.at}`);
        answer = await post(`piece?at=${device.at}`,
            bytes.subarray(device.at, device.at + device.piece));
    }
    if (answer?.status === 422) {
        say('The device has a wrong hash: what arrived is not this file.');
        return true;
    }
    return false; // cut, or the device wants another offset: ask it
}

async function update() {
    abort = new AbortController();
    $('go').disabled = true;
    $('stop').disabled = false;
    const hash = sha256(bytes);
    while (!abort.signal.aborted && !(await run(hash))) {
        await sleep(500);
    }
    if (abort.signal.aborted) {
        say('Paused. The device keeps what it has.');
    }
    $('go').disabled = false;
    $('stop').disabled = true;
}

$('file').onchange = async ({ target }) => {
    bytes = target.files[0] ? new Uint8Array(await target.files[0].arrayBuffer()) : null;
    $('go').disabled = !bytes;
    $('chosen').textContent = bytes ? `${bytes.length.toLocaleString('en')} bytes` : 'no file';
};
$('go').onclick = update;
$('stop').onclick = () => abort.abort();

live({
    topics: ['progress', 'log'],
    transports: [sse],
    onNotice: (kind) => kind === 'reset' && $('log').replaceChildren(),
    onEvent(topic, data) {
        if (topic === 'progress') {
            progress(JSON.parse(data));
        } else {
            $('log').append(make('li', {}, data));
            $('log').scrollTop = $('log').scrollHeight;
        }
    },
});
