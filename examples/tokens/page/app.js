// The page of tokens: what is asked and what comes are events of one log. A page that opens gets
// all that the log holds, one that was away gets what it missed.

import { sse } from './rtpush.js';
import { $, live, make, toast } from './shell.js';

const MOST = 20000; // characters of an answer that are shown

let answer = null; // the paragraph being written
let pending = '';  // ... and what comes into it with the next frame
let count = 0;

// However fast it comes, the page is laid out a few times a second.
function flush() {
    if (pending) {
        answer.textContent = (answer.textContent + pending).slice(-MOST);
        pending = '';
        $('counts').textContent = `${count} events`;
        $('talk').scrollTop = $('talk').scrollHeight;
    }
}

setInterval(flush, 50);

// Text at the end of the answer. Its beginning may have left the log.
function write(text) {
    answer ??= $('talk').appendChild(make('p', { className: 'running' }, '… '));
    pending += text;
}

function running(is) {
    $('send').disabled = is;
    $('stop').disabled = !is;
    answer?.classList.toggle('running', is);
}

const on = {
    prompt(text) {
        flush();
        answer = make('p', { className: 'running' });
        $('talk').append(make('p', { className: 'asked' }, text), answer);
        running(true);
    },
    token(text) {
        count++;
        write(text);
        running(true);
    },
    end(text) {
        if (text !== 'done') {
            write(` (${text})`);
        }
        flush();
        running(false);
        answer = null;
    },
};

async function post(path, body) {
    const response = await fetch(path, { method: 'POST', body }).catch(() => null);
    if (!response?.ok) {
        toast(response ? await response.text() : 'No answer from the device.');
    }
    return response?.ok;
}

$('ask').onsubmit = async (event) => {
    event.preventDefault();
    if (await post('prompt', $('prompt').value)) {
        $('prompt').value = '';
    }
};
$('stop').onclick = () => post('stop');

live({
    topics: Object.keys(on),
    transports: [sse],
    onNotice(kind, n) {
        if (kind === 'gap') {
            write(` (${n} events missed) `);
        } else if (kind === 'reset') { // another start of the program: it has nothing of this
            $('talk').replaceChildren();
            answer = null;
            pending = '';
            running(false);
        }
    },
    onEvent: (topic, data) => on[topic](data),
});
