// examples/upload: an image in pieces, cut at several places, sent by two at once, with a wrong
// hash; what is no piece is refused and changes nothing.

import { createHash, randomBytes } from 'node:crypto';
import { call, connect, request } from '../../clients/harness.mjs';
import { check, same, sleep, until } from '../checks.mjs';

const hashOf = (bytes) => createHash('sha256').update(bytes).digest('hex');
const OCTETS = { 'Content-Type': 'application/octet-stream' };

export default async function upload(k) {
    const { test } = k;
    const post = async (path, body = '', headers = OCTETS) => {
        const { status, body: text } = await call(`${k.url}/${path}`, {
            method: 'POST', body, headers: { ...headers, 'Content-Length': body.length },
        });
        return { status, ...(text[0] === '{' ? JSON.parse(text) : { text }) };
    };
    const begin = (bytes, hash = hashOf(bytes)) => (
        post(`begin?size=${bytes.length}&sha256=${hash}`));
    const piece = (at, bytes, headers) => post(`piece?at=${at}`, bytes, headers);
    const choose = (page, buffer) => page.setInputFiles('#file', {
        name: 'image.bin', mimeType: 'application/octet-stream', buffer,
    });
    const said = (page, words) => until(words, async () => (
        await page.textContent('#said')).includes(words));
    // From where the device is to the end of the image.
    const finish = async (bytes) => {
        let device = await begin(bytes);
        while (device.status === 200 && device.state === 'receiving') {
            device = await piece(device.at, bytes.subarray(device.at, device.at + device.piece));
        }
        return device;
    };
    // A part of a piece, of which the rest does not come.
    const half = async (at, bytes) => {
        const c = connect(k.port);
        c.write(request('POST', `/piece?at=${at}`,
            { ...OCTETS, 'Content-Length': 2 * bytes.length }));
        c.write(bytes);
        return c;
    };

    await test('an image is sent, and another page sees it', async () => {
        const page = await k.live();
        const other = await k.live();
        await choose(page, randomBytes(200_001));
        await page.click('#go');
        await said(page, 'the hash is right');
        await until('all of it', async () => (await other.textContent('#percent')) === '100' &&
            (await other.textContent('#state')) === 'done');
        check((await other.textContent('#log')).includes('hash is right'), 'log');
        await page.click('#go'); // the same again is here already
        await said(page, 'the hash is right');
        const lines = await page.locator('#log li').count();
        const late = await k.live();
        await until('the log', async () => (await late.locator('#log li').count()) === lines);
    });

    await test('a network that is cut in the middle costs nothing', async () => {
        const page = await k.live();
        const bytes = randomBytes(600_000);
        await page.route('**/piece*', async (route) => {
            await sleep(20);
            await route.continue().catch(() => {});
        });
        await choose(page, bytes);
        await page.click('#go');
        for (const part of [20, 50]) {
            await until(`${part} %`, async () => (
                Number(await page.textContent('#percent')) >= part));
            await page.context().setOffline(true);
            await sleep(300);
            await page.context().setOffline(false);
        }
        await page.click('#stop');
        await said(page, 'Paused');
        const { at } = await begin(bytes);
        check(at > 0 && at < bytes.length, `paused at ${at}`);
        await page.click('#go');
        await said(page, 'the hash is right');
        check((await begin(bytes)).state === 'done', 'done');
    }, k.OUTAGE);

    await test('a piece that is cut goes on at the byte where it was', async () => {
        const page = await k.live();
        const bytes = randomBytes(50_000);
        same((await begin(bytes)).at, 0, 'offset');
        for (const part of [1, 1000, 7999]) {
            const { at } = await begin(bytes);
            const c = await half(at, bytes.subarray(at, at + part));
            await until('the bytes', async () => (await begin(bytes)).at === at + part);
            c.socket.resetAndDestroy();
            await until('the cut', async () => (
                await page.textContent('#log')).includes(`Cut at ${at + part}`));
        }
        same((await finish(bytes)).state, 'done', 'state');
    });

    await test('of two at once one sends, and the other learns where it is', async () => {
        const bytes = randomBytes(30_000);
        await begin(bytes);
        const c = await half(0, bytes.subarray(0, 5000));
        await until('the bytes', async () => (await begin(bytes)).at === 5000);
        const second = await piece(5000, bytes.subarray(5000, 6000));
        same([second.status, second.at], [409, 5000], 'the same image meanwhile');
        same((await begin(randomBytes(99))).status, 409, 'another image');
        c.write(bytes.subarray(5000, 10000));
        await c.until('an answer', (text) => text.includes('"at":10000'));
        c.destroy();
        same((await piece(0, bytes.subarray(0, 1000))).at, 10000, 'a piece that is late');
        const both = await Promise.all([finish(bytes), finish(bytes)]);
        check(both.some((one) => one.state === 'done'), JSON.stringify(both));
        same((await finish(bytes)).state, 'done', 'state');
    });

    await test('a wrong hash does not count, and the image begins again', async () => {
        const page = await k.live();
        const bytes = randomBytes(20_000);
        const wrong = hashOf('something else');
        await begin(bytes, wrong);
        await piece(0, bytes.subarray(0, 16384));
        const last = await piece(16384, bytes.subarray(16384));
        same([last.status, last.state], [422, 'wrong hash'], 'the last piece');
        await until('the page', async () => (await page.textContent('#state')) === 'wrong hash');
        same((await piece(20_000, Buffer.from('x'))).status, 409, 'more behind it');
        same((await begin(bytes, wrong)).at, 0, 'from the beginning');
        same((await begin(bytes)).status, 409, 'another one meanwhile');
    });

    await test('what is no piece is refused and changes nothing', async () => {
        const bytes = randomBytes(20_000);
        await until('the silence that gives up an image', async () => (
            (await begin(bytes)).status === 200));
        await piece(0, bytes.subarray(0, 100));
        for (const at of [0, 99, 101, -1, '', '100x', '0100000000100', '4294967396']) {
            const { status } = await piece(at, bytes.subarray(100, 200));
            same(status, 409, `at ${at}`);
        }
        same((await piece(100, '')).status, 409, 'nothing');
        same((await piece(100, randomBytes(16385))).status, 413, 'a piece too long');
        same((await piece(100, 'x', { 'Content-Type': 'text/plain' })).status, 415, 'a text');
        same((await call(`${k.url}/piece?at=100`)).status, 405, 'GET');
        for (const [size, hash] of [[0, hashOf('')], ['', hashOf('')], [5_000_000, hashOf('')],
            [4_294_967_296, hashOf('')], [9, 'abc'], [9, hashOf('').toUpperCase()], [9, '']]) {
            same((await post(`begin?size=${size}&sha256=${hash}`)).status, 400, `size ${size}`);
        }
        same((await begin(bytes)).at, 100, 'offset');
        await piece(100, bytes.subarray(100, 16_000));
        same((await piece(16_000, randomBytes(5000))).status, 409, 'more than its size');
        same((await finish(bytes)).status, 200, 'the rest');
        same((await finish(bytes)).state, 'done', 'state');
    });

    await test('a device that restarts gets it from the beginning', async () => {
        const page = await k.live();
        await page.route('**/piece*', async (route) => {
            await sleep(20);
            await route.continue().catch(() => {});
        });
        await choose(page, randomBytes(500_000));
        await page.click('#go');
        await until('30 %', async () => Number(await page.textContent('#percent')) >= 30);
        await k.stop();
        await k.start();
        await said(page, 'the hash is right');
    }, k.OUTAGE);
}
