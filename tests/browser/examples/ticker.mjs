// examples/ticker: the same prices by four transports, slow readers, corrections, bad messages.

import net from 'node:net';
import { check, same, sleep, until } from '../checks.mjs';

// 50 moves a second instead of 1,000, which one test has: what this page costs a browser is not the
// question. LONG=1 in the environment: all of them at 1 kHz.
const RATE = process.env.LONG ? 1000 : 50;
export const args = ['--rate', String(RATE)];
export const connections = 5; // four transports, and requests

const WAYS = ['websocket', 'sse', 'poll', 'short'];
const row = async (page, way) => (await page.locator(`#${way} td`).allTextContents())
    .map((text) => parseFloat(text));

// Reads an event stream, a piece of at most `most` bytes every `pause` ms, for `ms`. All it got.
async function read(port, { most, pause, ms }) {
    const socket = net.connect(port, '127.0.0.1');
    const parts = [];
    socket.on('error', () => {});
    socket.write('GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    for (const end = Date.now() + ms; Date.now() < end; await sleep(pause)) {
        const part = socket.read(most) ?? socket.read();
        if (part) {
            parts.push(part);
        }
    }
    socket.destroy();
    return Buffer.concat(parts).toString();
}

// Until when in ms, and how many moves the device has made, as it says `count` times.
const marks = (page, count, pause) => page.evaluate(async ([n, ms]) => {
    const socket = new WebSocket(`ws://${location.host}/ws?topics=trade`);
    await new Promise((done) => { socket.onopen = done; });
    const all = [];
    while (all.length < n) {
        const answer = new Promise((done) => {
            socket.onmessage = ({ data }) => /^\d+ \d+ \d+$/.test(data) && done(data);
        });
        socket.send('time');
        all.push((await answer).split(' ').slice(1).map(Number));
        await new Promise((done) => { setTimeout(done, ms); });
    }
    socket.close();
    return all;
}, [count, pause]);

// When the prices of an event stream were made, on the device's clock.
const times = (text) => [...text.matchAll(/event: ?p\d\ndata: ?(\d+) /g)].map((m) => Number(m[1]));

export default async function ticker(k) {
    const { test } = k;

    await test('each transport brings prices, and the table has what they cost', async () => {
        const page = await k.live();
        for (const way of WAYS) {
            await until(`prices by ${way}`, async () => (await row(page, way)).every(
                (value) => value >= 0) && (await row(page, way))[0] > 0);
        }
        const rows = Object.fromEntries(await Promise.all(
            WAYS.map(async (way) => [way, await row(page, way)])));
        check(rows.websocket[4] > 0 && rows.short[4] > 0, JSON.stringify(rows));
        // Per price a stream costs fewer bytes than polls, whose answers have heads.
        const each = (way) => rows[way][4] / rows[way][0];
        check(each('websocket') < each('sse') && each('websocket') < each('poll'),
            JSON.stringify(rows));
        same(await page.locator('#prices li').count(), 50, 'prices');
        check(!(await page.locator('#prices').textContent()).includes('–'), 'a price is missing');
    });

    await test('a slow reader costs nobody else, and gets prices as new as it can', async () => {
        const [slow, fast] = await Promise.all([
            read(k.port, { most: 200, pause: 50, ms: 4000 }),
            read(k.port, { most: 65536, pause: 5, ms: 4000 }),
        ]);
        const [few, many] = [times(slow), times(fast)];
        check(few.length > 5 && many.length > few.length, `${few.length} of ${many.length}`);
        check(few.every((ms, i) => i === 0 || ms >= few[i - 1] - 1000), 'a price went back');
    });

    await test('50 prices at 1 kHz reach fast and slow readers, over each transport', async () => {
        const device = await k.another('--rate', '1000');
        const page = await k.open({ url: `${device.url}/` });
        const texts = await Promise.all([
            read(device.port, { most: 1 << 20, pause: 2, ms: 4000 }),
            read(device.port, { most: 1000, pause: 100, ms: 4000 }), // 10 KB/s
        ]);
        const [many, few] = texts.map(times);
        texts.forEach((text, i) => {
            const groups = new Set([...text.matchAll(/event: ?(p\d)\n/g)].map((m) => m[1]));
            same(groups.size, 10, `groups of 5 prices that reach reader ${i}`);
        });
        check(few.length * 2 < many.length, `${few.length} values of ${many.length}`);
        const span = few.at(-1) - few[0];
        console.log(`     fast ${many.length} values, slow ${few.length} of ${span} ms`);
        // By the device's own clock, so it does not matter how busy this machine is.
        const told = await marks(page, 4, 500);
        told.slice(1).forEach(([ms, moves], i) => {
            const [began, before] = told[i];
            console.log(`     ${moves - before} moves in ${ms - began} ms`);
            same(moves - before, ms - began, 'moves of so many ms');
            check(ms > began, 'no time has passed');
        });
        await until('the rate', async () => (
            Math.abs(parseInt(await page.textContent('#rate'), 10) - 1000) <= 10));
        for (const way of WAYS) { // prices, age, worst age, answers, KB: per second, in ms
            await until(`figures of ${way}`, async () => {
                const all = await row(page, way);
                return all[0] > 0 && all[1] >= 0 && all[2] >= all[1] && all[4] > 0;
            });
            console.log(`     ${way}: ${(await row(page, way)).join(' ')}`);
        }
        await until('50 prices', async () => (
            !(await page.locator('#prices').textContent()).includes('–')));
        await page.context().close();
        await device.stop();
    });

    await test('after a break no trade is missing, and corrections are applied', async () => {
        const page = await k.live();
        await until('a correction', async () => (await page.locator('.fixed').count()) > 0);
        await page.click('#cut');
        await until('the break', async () => !(await k.isLive(page)));
        await until('live', () => k.isLive(page));
        await sleep(500);
        same(await page.textContent('#lost'), 'none missed', 'missed');
        const numbers = (await page.locator('#trades span:first-child').allTextContents())
            .map((text) => parseInt(text, 10));
        for (let i = 1; i < numbers.length; i++) { // each 8th is a correction: no row
            check(numbers[i - 1] - numbers[i] === 1 || numbers[i] % 8 === 7, numbers.join());
        }
    });

    await test('bad messages end their sender alone', async () => {
        const page = await k.live();
        for (const message of ['', 'hello', 'timer', [0x74, 0x69, 0x6d, 0x65]]) {
            same(await k.hostile(page, [message], 'ws?topics=trade'), 1008, `${message}`);
        }
        same(await k.hostile(page, ['x'.repeat(1000)], 'ws?topics=trade'), 1009, 'too long');
        await k.hostile(page, Array(3000).fill('time'), 'ws?topics=trade', 1000);
        const before = await page.locator('#trades li').first().textContent();
        await until('trades', async () => (
            await page.locator('#trades li').first().textContent()) !== before);
    });
}
