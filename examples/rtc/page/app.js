// The page of rtc: meets another page in a room of the device, opens a data channel to it by way of
// the device, and leaves the device then.
//
// The device's words: "alone" in the room, "call": make the offer, "wait" for it, "left": the other
// one has gone. All else is from the other page: { offer }, { answer } or { candidate }.

import { $, make } from './shell.js';

const show = (id, text) => { $(id).textContent = text; };
const name = () => new URL(location.href).searchParams.get('room') ?? '';
let socket = null;
let peer = null;
let channel = null;
let signals = 0;
let timer = 0;

// What the pill says: of the way to the other page, not to the device.
const WORDS = {
    connecting: 'Connecting', open: 'Page to page', silent: 'Alone', waiting: 'Closed',
};

function state(text) {
    $('way').dataset.state = text;
    $('way').querySelector('strong').textContent = WORDS[text];
    for (const id of ['text', 'send']) {
        $(id).disabled = text !== 'open';
    }
}

function line(who, text) {
    $('log').append(make('li', {}, make('strong', {}, who), ` ${text}`));
    $('log').scrollTop = $('log').scrollHeight;
}

function say(message) {
    if (socket?.readyState === 1) {
        socket.send(JSON.stringify(message));
        show('signals', ++signals);
    }
}

// -- the data channel

function use(opened) {
    let sent = 0;
    const send = (message) => opened.readyState === 'open' && opened.send(JSON.stringify(message));
    const ping = () => {
        sent = performance.now();
        send({ ping: 1 });
    };
    channel = opened;
    channel.onopen = () => {
        if (channel !== opened) {
            return; // dropped meanwhile
        }
        state('open');
        show('channel', 'open');
        show('said', 'The device is out of the way: end it, and this goes on.');
        socket.close(1000);
        ping();
        timer = setInterval(ping, 1000);
    };
    channel.onmessage = ({ data }) => {
        const { ping: asked, pong, text } = JSON.parse(data);
        if (asked) {
            send({ pong: 1 });
        } else if (pong) {
            show('rtt', (performance.now() - sent).toFixed(1));
        } else {
            line('other', text);
        }
    };
    channel.onclose = () => enter('The other page has left.');
}

function drop() {
    clearInterval(timer);
    if (channel) {
        channel.onclose = null;
    }
    peer?.close();
    peer = channel = null;
    show('channel', 'none');
    show('rtt', '–');
}

function start() {
    drop();
    peer = new RTCPeerConnection(); // in a network of its own: no server for STUN
    peer.onicecandidate = ({ candidate }) => candidate && say({ candidate });
    peer.onconnectionstatechange = ({ target }) => {
        if (target === peer && target.connectionState === 'failed') {
            enter('No way to the other page.');
        }
    };
    peer.ondatachannel = (event) => use(event.channel);
    show('channel', 'being made');
}

async function signal({ offer, answer, candidate }) {
    show('signals', ++signals);
    if (offer) {
        start();
        await peer.setRemoteDescription(offer);
        await peer.setLocalDescription();
        say({ answer: peer.localDescription });
    } else if (answer) {
        await peer?.setRemoteDescription(answer);
    } else if (candidate) {
        await peer?.addIceCandidate(candidate);
    }
}

// -- the device

const words = {
    alone() { show('said', 'Nobody else is here yet: open this address a second time.'); },
    wait() { show('said', 'Somebody is here, and will call.'); },
    async call() {
        show('said', 'Calling.');
        start();
        use(peer.createDataChannel('talk'));
        await peer.setLocalDescription();
        say({ offer: peer.localDescription });
    },
    left() {
        if (channel?.readyState !== 'open') {
            drop();
            show('said', 'The other page has left.');
        }
    },
};

function enter(why = '') {
    drop();
    socket?.close();
    state('connecting');
    show('said', why);
    const url = new URL(`ws?room=${encodeURIComponent(name())}`, location.href);
    url.protocol = url.protocol.replace('http', 'ws');
    const mine = new WebSocket(url);
    let queue = Promise.resolve(); // one after the other: a candidate must not overtake its offer
    socket = mine;
    mine.onopen = () => { state('silent'); show('socket', 'open'); };
    mine.onmessage = ({ data }) => {
        const act = () => (data[0] === '{' ? signal(JSON.parse(data)) : words[data]?.());
        queue = queue.then(() => mine === socket && act())
            .catch((error) => show('said', `Not understood: ${error.message}`));
    };
    mine.onclose = ({ code, reason }) => {
        if (mine !== socket) {
            return;
        }
        show('socket', 'closed');
        if (channel?.readyState === 'open') {
            return; // as it should be
        }
        drop();
        state('waiting');
        show('said', reason || 'The device does not answer.');
        if (code < 4000) {
            setTimeout(() => mine === socket && enter(), 2000);
        }
    };
}

$('enter').onsubmit = (event) => {
    event.preventDefault();
    history.replaceState(null, '', `?room=${encodeURIComponent($('room').value)}`);
    enter();
};
$('talk').onsubmit = (event) => {
    event.preventDefault();
    channel.send(JSON.stringify({ text: $('text').value }));
    line('me', $('text').value);
    $('text').value = '';
};
$('room').value = name() || 'kitchen';
history.replaceState(null, '', `?room=${encodeURIComponent($('room').value)}`);
enter();
