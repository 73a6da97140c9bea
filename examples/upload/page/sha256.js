// SHA-256 (FIPS 180-4) of bytes, as hexadecimal. crypto.subtle has it too, but not on plain http to
// an address, where most devices are.

const primes = [];
for (let n = 2; primes.length < 64; n++) {
    if (primes.every((p) => n % p)) {
        primes.push(n);
    }
}
const fraction = (x) => ((x - Math.floor(x)) * 2 ** 32) | 0;
const H = primes.slice(0, 8).map((p) => fraction(Math.sqrt(p)));
const K = primes.map((p) => fraction(Math.cbrt(p)));
const rotate = (x, n) => (x >>> n) | (x << (32 - n));

export function sha256(bytes) {
    const padded = new Uint8Array((bytes.length + 72) & ~63);
    const view = new DataView(padded.buffer);
    padded.set(bytes);
    padded[bytes.length] = 0x80;
    view.setUint32(padded.length - 8, Math.floor(bytes.length / 2 ** 29));
    view.setUint32(padded.length - 4, bytes.length << 3);
    const h = Int32Array.from(H);
    const w = new Int32Array(64);
    for (let block = 0; block < padded.length; block += 64) {
        let [a, b, c, d, e, f, g, last] = h;
        for (let i = 0; i < 64; i++) {
            if (i < 16) {
                w[i] = view.getInt32(block + 4 * i);
            } else {
                const x = w[i - 15];
                const y = w[i - 2];
                w[i] = w[i - 16] + (rotate(x, 7) ^ rotate(x, 18) ^ (x >>> 3)) + w[i - 7] +
                    (rotate(y, 17) ^ rotate(y, 19) ^ (y >>> 10));
            }
            const one = last + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
                ((e & f) ^ (~e & g)) + K[i] + w[i];
            const two = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) +
                ((a & b) ^ (a & c) ^ (b & c));
            last = g; g = f; f = e; e = (d + one) | 0;
            d = c; c = b; b = a; a = (one + two) | 0;
        }
        [a, b, c, d, e, f, g, last].forEach((x, i) => { h[i] += x; });
    }
    return [...h].map((x) => (x >>> 0).toString(16).padStart(8, '0')).join('');
}
