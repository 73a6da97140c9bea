// Both pages: the login, which works without it too, and the dashboard.

const at = (id) => document.getElementById(id);
const show = (id, text) => { at(id).textContent = text; };
const form = document.querySelector('.login form');

if (form) {
    form.addEventListener('submit', async (event) => {
        event.preventDefault();
        show('wrong', '');
        try {
            const answer = await fetch('/login', {
                method: 'POST', redirect: 'manual', body: new URLSearchParams(new FormData(form)),
            });
            if (answer.type === 'opaqueredirect') {
                location.reload(); // the cookie is set: now it is the dashboard
            } else {
                show('wrong', await answer.text());
            }
        } catch {
            show('wrong', 'the device does not answer');
        }
    });
} else {
    dashboard();
}

// The notifications of this user. What is read is kept by the device: other pages of the user see
// it too. Returns a function to call when they have changed.
function inbox(send, session) {
    let known = null; // the newest that was here when the page came, or was shown since
    let asking = null;
    let last = 0;
    at('read-all').onclick = () => send(`read 0 ${last}`);

    // Browsers have Notification on https and localhost alone, and ask the user after a click. On
    // Android it has no constructor for pages: then the list is all there is.
    if (globalThis.Notification?.permission === 'default') {
        at('popups').hidden = false;
        at('popups').onclick = async () => {
            await Notification.requestPermission();
            location.reload(); // the connection is then kept while the page is hidden
        };
    }
    function popup({ id, text }) {
        if (document.hidden && globalThis.Notification?.permission === 'granted') {
            try { // one tag: several pages of this user show it once
                new Notification(document.querySelector('h1').textContent,
                    { body: text, tag: `note ${id}` });
            } catch (error) {
                console.debug(error);
            }
        }
    }

    function item({ id, t, text, read }) {
        const li = document.createElement('li');
        const words = document.createElement('span');
        const when = document.createElement('small');
        words.textContent = text;
        when.textContent = `${t} s`;
        li.append(words, when);
        if (!read) {
            const button = document.createElement('button');
            button.className = 'button';
            button.textContent = 'Read';
            button.onclick = () => send(`read ${id} ${id}`);
            li.className = 'unread';
            li.append(button);
        }
        return li;
    }

    async function load() {
        const answer = await fetch('/inbox', { cache: 'no-store' }).catch(() => null);
        const notes = answer?.ok ? await answer.json().catch(() => null) : null;
        if (!notes) {
            session(); // no answer: the next connection brings the value again
            return;
        }
        last = notes[0]?.id ?? 0;
        notes.filter(({ id, read }) => !read && known !== null && id > known).forEach(popup);
        known = Math.max(known ?? 0, last);
        at('inbox').replaceChildren(...notes.map(item));
    }

    return ({ unread, lost }) => {
        at('unread').hidden = unread === 0;
        show('unread', `${unread} unread`);
        document.title = unread > 0 ? `(${unread}) Device` : 'Device';
        at('read-all').disabled = unread === 0;
        at('lost').hidden = lost === 0;
        show('lost', `${lost} more made room before they were read`);
        asking = (asking ?? Promise.resolve()).then(load); // one at a time
    };
}

async function dashboard() {
    let client = null;

    // Checks that the session is still valid, whenever a stream ended: a WebSocket, an event stream
    // and a poll end in different ways. If it is not, the same address shows the login.
    async function session() {
        const answer = await fetch('/session', { cache: 'no-store' }).catch(() => null);
        if (answer?.status === 401) {
            client?.close();
            location.reload();
        }
        return answer?.ok ? answer.json() : null;
    }

    function line(id, { t, text }) {
        const item = document.createElement('li');
        item.textContent = `${t} s: ${text}`;
        at(id).prepend(item);
        at(id).children[50]?.remove();
    }

    const me = await session();
    if (!me) {
        setTimeout(() => location.reload(), 2000); // no answer: try again
        return;
    }
    const admin = me.role === 'admin';
    const until = Date.now() + me.left * 1000;
    const left = () => show('left', `${Math.max(0, Math.round((until - Date.now()) / 60000))} min`);
    const own = `inbox.${me.role}`;
    const topics = ['reading', 'switch', 'log', own, ...(admin ? ['audit'] : [])];
    let on = false;
    show('role', me.role);
    left();
    setInterval(left, 10000);
    at('admin').hidden = !admin;
    at('switch').disabled = !admin;
    at('note').hidden = !admin;
    const send = (text) => client.send(text).catch((error) => show('wrong', error.message));
    const changed = inbox(send, session);

    const { duplex, websocket, sse, poll } = await import('./rtpush.js');
    const asked = new URLSearchParams(location.search).get('transport');
    client = duplex({
        transports: { websocket: [websocket], sse: [sse], poll: [poll] }[asked] ??
            [websocket, sse, poll],
        topics,
        lastEventId: me.id, // the log and the audit from their beginning
        // A page that may show notifications outside of it stays connected while it is hidden.
        hiddenMs: globalThis.Notification?.permission === 'granted' ? 0 : undefined,
        onState({ state, transport }) {
            show('link', `${state}, ${transport}`);
            at('pill').dataset.state = state;
            document.querySelector('main').dataset.state = state;
            if (state === 'waiting' || state === 'refused') {
                session();
            }
        },
        onNotice: (kind) => kind === 'expired' && session(),
        onMessage: (text) => show('wrong', text),
        onEvent(topic, data) {
            const value = JSON.parse(data);
            if (topic === 'reading') {
                Object.entries(value).forEach(([name, number]) => show(name, number));
            } else if (topic === 'switch') {
                on = value.on;
                show('on', on ? 'on' : 'off');
            } else if (topic === own) {
                changed(value);
            } else {
                line(topic, value);
            }
        },
    });
    at('switch').onclick = () => send(`on ${on ? 0 : 1}`);
    at('note').onsubmit = (event) => {
        event.preventDefault();
        send(`note ${at('to').value} ${at('text').value}`);
        at('text').value = '';
    };
    at('logout').form.onsubmit = () => client.close(); // the answer is the login
    if (admin && !me.clock) {
        const now = Math.floor(Date.now() / 1000);
        await fetch('/control', { method: 'POST', body: `clock ${now}` }).catch(() => {});
    }
}
