// Both pages: the login, which works without it too, and the dashboard.

const at = (id) => document.getElementById(id);
const show = (id, text) => { at(id).textContent = text; };
const form = document.querySelector('form');

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
    const topics = ['reading', 'switch', 'log', ...(admin ? ['audit'] : [])];
    let on = false;
    show('role', me.role);
    left();
    setInterval(left, 10000);
    at('admin').hidden = !admin;
    at('switch').disabled = !admin;

    const { duplex, websocket, sse, poll } = await import('./rtpush.js');
    const asked = new URLSearchParams(location.search).get('transport');
    client = duplex({
        transports: { websocket: [websocket], sse: [sse], poll: [poll] }[asked] ??
            [websocket, sse, poll],
        topics,
        lastEventId: me.id, // the log and the audit from their beginning
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
            } else {
                line(topic, value);
            }
        },
    });
    const send = (text) => client.send(text).catch((error) => show('wrong', error.message));
    at('switch').onclick = () => send(`on ${on ? 0 : 1}`);
    at('logout').onclick = async () => {
        client.close();
        await fetch('/logout', { method: 'POST', redirect: 'manual' }).catch(() => {});
        location.reload();
    };
    if (admin && !me.clock) {
        const now = Math.floor(Date.now() / 1000);
        await fetch('/control', { method: 'POST', body: `clock ${now}` }).catch(() => {});
    }
}
