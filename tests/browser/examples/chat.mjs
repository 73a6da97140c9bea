// examples/chat: what one says the other reads, history, names, spam, bad messages.

import { check, same, until } from '../checks.mjs';

const KEY = '0123456789abcdef';
const people = (page) => page.locator('#people li').allTextContents();
const said = (page) => page.locator('#said li > bdi').allTextContents();

async function join(k, name) {
    const page = await k.live();
    await page.fill('#name', name);
    await page.click('#name-form button');
    await page.waitForSelector('#say-form:not([hidden])');
    return page;
}

async function say(page, text) {
    await page.fill('#say', text);
    await page.press('#say', 'Enter');
}

// What the device answers to messages, each sent once the answer to the one before is there.
const talk = (page, messages) => page.evaluate(async (list) => {
    const socket = new WebSocket(`ws://${location.host}/ws?topics=people`);
    await new Promise((done) => { socket.onopen = done; });
    const answers = [];
    for (const message of list) {
        const answer = new Promise((done) => {
            socket.onmessage = ({ data }) => !data.startsWith('[') && done(data);
            socket.onclose = (event) => done(event.code);
            setTimeout(done, 500, '');
        });
        socket.send(message);
        answers.push(await answer);
        if (typeof answers.at(-1) === 'number') { // closed, with this code
            break;
        }
    }
    socket.close();
    return answers;
}, messages);

export default async function chat(k) {
    const { test } = k;

    await test('both read both, and a late joiner the history', async () => {
        const a = await join(k, 'Ada');
        const b = await join(k, 'Grüße & <b>');
        await until('both here', async () => (await people(a)).join() === 'Ada,Grüße & <b>');
        await say(a, '"quotes" \\ <i>and</i> ü');
        await until('at the other', async () => (await said(b)).length === 1);
        await say(b, 'yes');
        const all = ['"quotes" \\ <i>and</i> ü', 'yes'];
        await until('at both', async () => (await said(a)).length === 2);
        same(await said(a), all, 'said');
        const late = await k.live();
        await until('history', async () => (await said(late)).length === 2);
        same(await said(late), all, 'history');
        await b.context().close();
        await until('one has left', async () => (await people(a)).join() === 'Ada');
    });

    await test('a name is checked, and belongs to the page that has it', async () => {
        const page = await join(k, 'Ada');
        const wrong = ['', ' Ada', 'Ada ', 'A"', 'A\\', 'A\u200bda', '\u202eadA', 'A\nB', 'A\u0085',
            '\ufeffAda', 'x'.repeat(25), 'Ada'];
        for (const name of wrong) {
            const [answer] = await talk(page, [`name ${KEY} ${name}`]);
            check(/^(a name|this name)/.test(answer), `${JSON.stringify(name)}: ${answer}`);
        }
        same(await talk(page, ['say no name', `name ${KEY} Älter‐Neu`, 'say a\u0000b', 'say ']),
            ['first a name', 'welcome', 'a text has 1 to 300 bytes, no controls', 1008], 'answers');
    });

    await test('who speaks too fast is refused, then closed; others are not', async () => {
        const page = await join(k, 'Calm');
        const [welcome, ...answers] = await talk(page, [`name ${KEY} Spam`,
            ...Array(30).fill('say spam')]);
        same(welcome, 'welcome', 'name');
        check(answers.filter((a) => a === 'not so fast').length >= 15, answers.join());
        same(answers.at(-1), 1008, 'end');
        await say(page, 'still here');
        await until('said', async () => (await said(page)).at(-1) === 'still here');
        const spam = (await said(page)).filter((text) => text === 'spam').length;
        check(spam >= 2 && spam < 12, `${spam} of 30 were said`);
    });

    await test('bad messages end their sender alone', async () => {
        const page = await join(k, 'Host');
        for (const message of ['', 'hello', 'say', 'NAME x', [1, 2, 3]]) {
            same(await k.hostile(page, [message]), 1008, `close code of ${message}`);
        }
        same(await k.hostile(page, ['x'.repeat(1000)]), 1009, 'too long');
        await k.hostile(page, Array(3000).fill(`name ${KEY} ${'y'.repeat(30)}`), 'ws', 1000);
        await say(page, 'survived');
        await until('said', async () => (await said(page)).at(-1) === 'survived');
    });

    await test('a page that comes back has its name, and nothing twice', async () => {
        const page = await join(k, 'Back');
        await say(page, 'before');
        await until('said', async () => (await said(page)).at(-1) === 'before');
        const lines = (await said(page)).length;
        await page.evaluate(() => dispatchEvent(new Event('online'))); // reconnects
        await until('the name', async () => (await people(page)).includes('Back') &&
            await k.isLive(page));
        await say(page, 'after');
        await until('said', async () => (await said(page)).at(-1) === 'after');
        same((await said(page)).length, lines + 1, 'lines');
        await k.stop();
        await until('lost', async () => !(await k.isLive(page)));
        await k.start();
        await until('the name', async () => (await people(page)).join() === 'Back');
    }, k.OUTAGE);
}
