// examples/rtc: two pages meet, talk without the device, and part; rooms are apart; bad messages
// end their sender alone.

import { check, same, until } from '../checks.mjs';

export default async function rtc(k) {
    const { test } = k;
    const enter = async (room) => {
        const page = await k.open();
        await page.fill('#room', room);
        await page.press('#room', 'Enter');
        return page;
    };
    const text = (page, id, words) => until(`${id}: ${words}`, async () => (
        await page.textContent(`#${id}`)).includes(words));
    const say = async (from, to, words) => {
        await from.fill('#text', words);
        await from.press('#text', 'Enter');
        await text(to, 'log', words);
    };
    const meet = async (room) => {
        const pages = [await enter(room), await enter(room)];
        await Promise.all(pages.map((page) => text(page, 'channel', 'open')));
        return pages;
    };

    await test('two pages meet by way of the device and go on without it', async () => {
        const [a, b] = await meet('one');
        await Promise.all([a, b].map((page) => text(page, 'socket', 'closed')));
        await say(a, b, 'hello <b>');
        await say(b, a, 'and back');
        const signals = await a.textContent('#signals');
        await k.stop();
        await say(a, b, 'without a device');
        await say(b, a, 'neither here');
        await until('a round trip', async () => Number(await a.textContent('#rtt')) > 0);
        same(await a.textContent('#signals'), signals, 'messages by way of the device');
        await k.start();
    }, k.OUTAGE);

    await test('who leaves is missed, and the next one is called', async () => {
        const [a, b] = await meet('two');
        await say(a, b, 'first');
        await b.context().close();
        await text(a, 'channel', 'none');
        const c = await enter('two');
        await Promise.all([a, c].map((page) => text(page, 'channel', 'open')));
        await say(c, a, 'second');
        check(!(await c.textContent('#log')).includes('first'), 'what was not for it');
    });

    await test('a room is for two, and hears nothing of others', async () => {
        const page = await k.open();
        const heard = await page.evaluate(async () => {
            const open = (room) => new Promise((done) => {
                const url = new URL(`ws?room=${room}`, location.href);
                url.protocol = 'ws';
                const socket = new WebSocket(url);
                socket.heard = [];
                socket.onmessage = ({ data }) => { socket.heard.push(data); done(socket); };
                socket.onclose = ({ code }) => { socket.code = code; done(socket); };
            });
            const a = await open('a');
            const b = await open('a');
            const other = await open('other');
            const third = await open('a');
            const rooms = [];
            for (let i = 0; i < 30; i++) {
                rooms.push(await open(`r${i}`));
            }
            a.send('{"x":1}');
            other.send('{"y":1}'); // nobody is there
            a.send('{"x":2}');
            while (b.heard.length < 3) {
                await new Promise((done) => setTimeout(done, 10));
            }
            const codes = rooms.map(({ code }) => code).filter(Boolean);
            const result = {
                a: a.heard, b: b.heard, other: other.heard, third: third.code, full: codes,
            };
            b.close();
            while (a.heard.length < 3) {
                await new Promise((done) => setTimeout(done, 10));
            }
            [a, other, ...rooms].forEach((socket) => socket.close());
            return result;
        });
        same(heard.a, ['alone', 'call', 'left'], 'the first');
        same(heard.b, ['wait', '{"x":1}', '{"x":2}'], 'the second');
        same(heard.other, ['alone'], 'another room');
        same(heard.third, 4001, 'a third');
        check(heard.full.length > 0 && heard.full.every((code) => code === 4001),
            `more rooms than there are: ${heard.full}`);
    });

    await test('bad messages end their sender alone', async () => {
        const [a, b] = await Promise.all([enter('three'), enter('four')]);
        await text(a, 'said', 'Nobody else');
        for (const message of ['hello', 'call', '', ' {}', [1, 2, 3]]) {
            same(await k.hostile(b, [message], 'ws?room=three'), 1008, `code of ${message}`);
        }
        same(await k.hostile(b, [`{${'x'.repeat(3000)}}`], 'ws?room=three'), 1009, 'too long');
        for (const room of ['ws', 'ws?room=', `ws?room=${'x'.repeat(24)}`, 'ws?room=%zz']) {
            check([1006, 4000].includes(await k.hostile(b, [], room).catch(() => 1006)), room);
        }
        // An offer that is none: said, and survived.
        same(await k.hostile(b, ['{"offer":{"type":"offer","sdp":"x"}}', '{', '{"candidate":1}'],
            'ws?room=three', 1000), null, 'nonsense for the other page');
        await b.fill('#room', 'three');
        await b.press('#room', 'Enter');
        await Promise.all([a, b].map((page) => text(page, 'channel', 'open')));
        await say(a, b, 'still here');
    }, k.OUTAGE);
}
