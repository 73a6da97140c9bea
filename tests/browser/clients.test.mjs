// examples/clients: each shows or prints what a hub publishes, and comes back when the hub does.
//
//     node tests/browser/clients.test.mjs build/hub [NAME...]
//
// Without names: all but Go and Node-RED, which make test-long installs. Pages are built by esbuild
// and served at the hub's own address. Last line: "N passed, N failed".

import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { call } from '../clients/harness.mjs';
import { launch } from './browsers.mjs';
import { check, same, startProgram, stopProgram, until, WAIT_MS } from './checks.mjs';

const TOP = fileURLToPath(new URL('../../', import.meta.url));
const CLIENTS = `${TOP}examples/clients/`;
const WORK = `${TOP}build/clients/`;
const [, , HUB = `${TOP}build/hub`, ...wanted] = process.argv;

fs.rmSync(WORK, { recursive: true, force: true });
fs.mkdirSync(WORK, { recursive: true });
for (const file of fs.readdirSync(CLIENTS).filter((name) => /\.(js|jsx|html)$/.test(name))) {
    fs.copyFileSync(CLIENTS + file, WORK + file);
}
fs.copyFileSync(`${TOP}ports/browser/rtpush.js`, `${WORK}rtpush.js`);
fs.symlinkSync(`${CLIENTS}node_modules`, `${WORK}node_modules`);

// -- the hub

let hub = null;
const start = async () => {
    const args = ['--port', String(hub?.port ?? 0), '--topics', 'news', '--state', 'temp'];
    hub = await startProgram(HUB, args);
};
const publish = async (topic, body) => {
    const { status } = await call(`${hub.url}/publish/${topic}`, {
        method: 'POST', body, headers: { 'Content-Length': Buffer.byteLength(body) },
    });
    check(status === 200, `publish: ${status}`);
};

// What is published until `seen` has it: a value first, events, then after a restart another value.
async function follow(seen) {
    await until('the value', () => seen('temp', '21.5'));
    await publish('news', 'rain');
    await until('an event', () => seen('news', 'rain'));
    await stopProgram(hub);
    await start();
    await publish('temp', '-4');
    await until('the value after a restart', () => seen('temp', '-4'));
}

// -- pages

const browser = await launch();
const bundle = (source) => execFileSync('esbuild', ['--bundle', '--format=esm', '--loader=jsx',
    '--define:process.env.NODE_ENV="production"', '--log-level=warning'], {
    cwd: WORK, input: source,
});
const html = '<!doctype html><div id=root></div><script type=module src=bundle.js></script>';

async function page(files, news) {
    const opened = await browser.newPage();
    opened.setDefaultTimeout(WAIT_MS);
    const errors = [];
    opened.on('pageerror', (error) => errors.push(error.stack));
    for (const [name, body] of Object.entries(files)) {
        await opened.route(`${hub.url}/${name}`, (route) => route.fulfill({
            body, contentType: name.endsWith('.js') ? 'text/javascript' : 'text/html',
        }));
    }
    await opened.goto(`${hub.url}/page`);
    await follow(async (topic, text) => (topic === 'news' && !news) ||
        (await opened.textContent('body')).includes(text));
    check(!(await opened.textContent('body')).includes('\u00c2'), 'not read as UTF-8');
    check(errors.length === 0, errors.join('\n'));
    await opened.close();
}

const file = (name) => fs.readFileSync(WORK + name);
const built = (source, news) => page({ page: html, 'bundle.js': bundle(source) }, news);

// -- programs that print "topic payload", or as `line` has it

async function prints(program, args, line = (topic, payload) => `${topic} ${payload}\n`) {
    const child = spawn(program, args, { cwd: CLIENTS, stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    let errors = '';
    child.stdout.on('data', (data) => { text += data; });
    child.stderr.on('data', (data) => { errors += data; });
    try {
        await follow((topic, payload) => text.includes(line(topic, payload)));
    } catch (error) {
        throw new Error(`${error.message}\n${text}${errors}`);
    } finally {
        child.kill('SIGKILL');
    }
}

const events = () => `${hub.url}/events`;
const socket = () => `${hub.url.replace('http', 'ws')}/ws?topics=temp,news`;

// A client of ws or websockets ends with its connection: whoever runs it starts it again.
const again = (line) => ['sh', ['-c', `while :; do ${line}; sleep 0.2; done`]];

const clients = {
    'plain HTML': () => page({
        page: file('value.html'), 'value.js': file('value.js'), 'rtpush.js': file('rtpush.js'),
    }, true),
    React: () => built(`import { createRoot } from 'react-dom/client';
        import { createElement } from 'react';
        import { useTopic } from './react.jsx';
        const Temp = () => createElement('p', {}, useTopic('temp'));
        createRoot(document.getElementById('root')).render(createElement(Temp));`),
    Vue: () => built(`import { createApp, h } from 'vue';
        import { useTopic } from './vue.js';
        const setup = () => { const temp = useTopic('temp'); return () => h('p', temp.value); };
        createApp({ setup }).mount('#root');`),
    Svelte: async () => {
        const { compile } = createRequire(`${CLIENTS}package.json`)('svelte/compiler');
        fs.writeFileSync(`${WORK}Temp.js`, compile(`<script>
            import { topic } from './svelte.js';
            const temp = topic('temp');
            </script><p>{$temp}</p>`, { generate: 'client' }).js.code);
        await built(`import { mount } from 'svelte';
            import Temp from './Temp.js';
            mount(Temp, { target: document.getElementById('root') });`);
    },
    htmx: () => page({
        page: file('htmx.html'), 'htmx.js': file('node_modules/htmx.org/dist/htmx.js'),
        'hx-sse.js': file('node_modules/htmx.org/dist/ext/hx-sse.js'),
    }, true),
    eventsource: () => prints('node', ['events.mjs', events(), 'temp', 'news']),
    ws: () => prints(...again(`node websocket.mjs '${socket()}'`)),
    Python: () => prints('python3', ['events.py', `${events()}?topics=temp,news`]),
    // What Home Assistant and Grafana's Infinity do: the value, again and again.
    'a poller of values': async () => {
        const get = async (name) => {
            const { status, body } = await call(`${hub.url}/value/${name}`);
            return [status, body];
        };
        same(await get('temp'), [200, '21.5'], 'temp');
        for (const name of ['news', 'nothing', '']) { // an event, no topic, no name
            same((await get(name))[0], 404, name);
        }
        await prints(...again(`echo "temp $(curl -s '${hub.url}/value/temp')"`),
            (topic, payload) => (topic === 'news' ? '' : `temp ${payload}\n`));
    },
    // What Grafana's WebSocket API does: payloads without ids.
    'a bare WebSocket': () => prints(...again(`node --input-type=module -e "
        import { WebSocket } from 'ws';
        const socket = new WebSocket('${socket()}');
        socket.on('message', (data) => console.log(String(data))).on('error', () => {});"`),
    (topic, payload) => `${payload}\n`),
    // Debian's own, which has the package.
    websockets: () => prints(...again(`/usr/bin/python3 websocket.py '${socket()}'`)),
};

const large = {
    Go: async () => {
        execFileSync('go', ['build', '-o', `${WORK}events-go`, 'events.go'], { cwd: CLIENTS });
        await prints(`${WORK}events-go`, [`${events()}?topics=temp,news`]);
    },
    'Node-RED': async () => {
        const flows = fs.readFileSync(`${CLIENTS}node-red.json`, 'utf8');
        const address = 'ws://127.0.0.1:8081/ws?topics=temp,news';
        check(flows.includes(address), 'another address in the flow');
        fs.writeFileSync(`${WORK}flows.json`, flows.replace(address, socket()));
        fs.writeFileSync(`${WORK}settings.cjs`, `module.exports = {
            uiHost: '127.0.0.1', uiPort: 0, httpAdminRoot: false, httpNodeRoot: false,
            flowFile: 'flows.json', webSocketReconnectTime: 500,
        };`);
        await prints('node', [`${TOP}tests/clients/node-red/node_modules/node-red/red.js`,
            '-u', WORK, '-s', `${WORK}settings.cjs`],
        (topic, payload) => `topic: '${topic}', payload: '${payload}'`);
    },
};

let passed = 0;
let failed = 0;
for (const name of wanted.length > 0 ? wanted : Object.keys(clients)) {
    try {
        await start();
        await publish('temp', '21.5');
        await (clients[name] ?? large[name])();
        passed++;
        console.log(`ok   ${name}`);
    } catch (error) {
        failed++;
        console.log(`FAIL ${name}\n    ${error.stack}`);
    }
    await stopProgram(hub).catch(() => {});
    hub = null;
}
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
