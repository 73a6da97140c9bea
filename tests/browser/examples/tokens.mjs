// examples/tokens: two pages see the same answer, one that reloads or loses its network gets all of
// it; Stop ends any command; what is no prompt is refused.

import { call, startProxy } from '../../clients/harness.mjs';
import { check, same, until } from '../checks.mjs';

const COMMAND = `read -r number line
case "$line" in
count) i=0; while [ $i -lt 150 ]; do printf '%s ' $i; i=$((i + 1)); sleep 0.02; done ;;
bytes) printf 'a\\377b\\303'; sleep 0.2; printf '\\244c\\303' ;;
flood) exec yes 0123456789abcdef ;;
fail) printf no; exit 3 ;;
stubborn) trap '' TERM; while :; do printf .; sleep 0.05; done ;;
closed) exec sleep 1000 >&- ;;
child) sleep 1000 & printf '%s %s.' $$ $!; wait ;;
*) printf 'you said: %s' "$line" ;;
esac`;
export const args = ['--', 'sh', '-c', COMMAND];

const COUNT = `${[...Array(150).keys()].join(' ')} `;

export default async function tokens(k) {
    const { test } = k;
    const post = (path, body = '') => call(`${k.url}/${path}`, {
        method: 'POST', body, headers: { 'Content-Length': Buffer.byteLength(body) },
    });
    // Each prompt has a number, so that no other one is taken for it. Until the page shows it, the
    // last paragraph is an answer to one before.
    let number = 0;
    const ask = async (page, words) => {
        const prompt = `${++number} ${words}`;
        await page.fill('#prompt', prompt);
        await page.click('#send');
        await until(`the prompt ${prompt.slice(0, 20)}`, async () => prompt === await page.evaluate(
            () => [...document.querySelectorAll('.asked')].at(-1)?.textContent));
    };
    const answer = (page) => page.evaluate(() => (
        document.querySelector('#talk p:last-child')?.textContent));
    const becomes = (page, words) => until(words, async () => (await answer(page)) === words);
    const has = (page, words) => until(words, async () => (
        await answer(page))?.includes(words));
    // Asks for a command that starts another one; returns the process ids of both.
    const family = async (page) => {
        await ask(page, 'child');
        let pids;
        await until('process ids', async () => {
            pids = /(\d+) (\d+)\./.exec(await answer(page))?.slice(1);
            return pids;
        });
        return pids;
    };
    const gone = (pid) => until(`the end of ${pid}`, () => {
        try {
            process.kill(Number(pid), 0);
            return false;
        } catch {
            return true;
        }
    });

    await test('two pages see one answer, and one that reloads gets all of it', async () => {
        const a = await k.live();
        const b = await k.live();
        await ask(a, 'count');
        await has(b, '5 6 7');
        await b.reload();
        await has(b, '0 1 2 3');
        same((await post('prompt', 'another')).status, 409, 'a second prompt');
        await becomes(a, COUNT);
        await becomes(b, COUNT);
        same(await b.locator('.asked').allTextContents(), ['1 count'], 'prompts');
        await ask(b, 'two <b>');
        await becomes(a, 'you said: two <b>');
        await until('an end', () => a.isEnabled('#send'));
        check(await a.isDisabled('#stop'), 'Stop');
    });

    await test('a connection that is cut in the middle misses nothing', async () => {
        const proxy = await startProxy(k.port);
        const page = await k.live({ url: proxy.url });
        await ask(page, 'count');
        for (const words of [' 20 ', ' 60 ', ' 100 ']) {
            await has(page, words);
            proxy.cut();
        }
        await becomes(page, COUNT);
        same(await page.locator('.asked').count(),
            await (await k.live()).locator('.asked').count(), 'prompts');
        proxy.close();
    }, k.OUTAGE);

    await test('Stop ends a command, also one that ignores it', async () => {
        const a = await k.live();
        const b = await k.live();
        await ask(a, 'count');
        await has(b, '9 10 11');
        await b.click('#stop');
        await has(a, '(stopped)');
        await until('ready', () => a.isEnabled('#send'));
        await ask(a, 'stubborn');
        await has(b, '...');
        await b.click('#stop');
        await has(b, '(stopped)');
        const [parent, child] = await family(a);
        await b.click('#stop');
        await gone(parent);
        await gone(child); // what the command started
    });

    await test('what a command does wrong is told, and the next one is asked', async () => {
        const page = await k.live();
        await ask(page, 'bytes');
        await becomes(page, 'a?bäc?');
        await ask(page, 'fail');
        await becomes(page, 'no (failed 3)');
        await ask(page, 'closed');
        await has(page, '(failed');
        const events = async () => Number.parseInt(await page.textContent('#counts'), 10);
        const before = await events();
        await ask(page, 'flood');
        await has(page, '0123456789abcdef\n0123456789abcdef');
        await until('much of it', async () => (await events()) > before + 200);
        same((await call(`${k.url}/`)).status, 200, 'a page meanwhile');
        await page.click('#stop');
        await has(page, '(stopped)');
    });

    await test('what is no prompt is refused', async () => {
        same((await post('prompt')).status, 400, 'nothing');
        same((await post('prompt', 'x'.repeat(1025))).status, 413, 'too long');
        same((await call(`${k.url}/prompt`, { method: 'POST', body: Buffer.from([0xff, 0x41]),
            headers: { 'Content-Length': 2 } })).status, 400, 'no text');
        same((await call(`${k.url}/prompt`)).status, 405, 'GET');
        same((await call(`${k.url}/stop`)).status, 405, 'GET');
        same((await call(`${k.url}/stop`, { method: 'POST', headers: {
            Origin: 'http://evil.example', 'Content-Length': 0 } })).status, 403, 'another site');
        same((await post('stop')).status, 200, 'nothing to stop');
        const page = await k.live();
        await ask(page, 'x'.repeat(990)); // the page allows 1000 with the number
        await becomes(page, `you said: ${'x'.repeat(990)}`);
    });

    await test('a command ends with the program', async () => {
        const page = await k.live();
        const [parent, child] = await family(page);
        await k.stop();
        await gone(parent);
        await gone(child);
        await k.start();
        await until('a fresh start', async () => (await page.locator('#talk p').count()) === 0);
    }, k.OUTAGE);
}
