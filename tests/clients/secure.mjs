// What the tests of examples/secure share: the device, on this machine or emulated, logins, and
// another site's server that signs tokens.
import { createHmac } from 'node:crypto';
import process from 'node:process';
import { startTarget } from './device.mjs';
import { call, check, equal, sleep, until } from './harness.mjs';

export const ORIGIN = 'https://app.example'; // APP_ORIGIN
export const COOKIE = '__Host-session';

// how: { binary } or { board, elf, seedAt }, see device.mjs. Passwords and the token key are what
// it prints at its start, on the terminal or the serial line. args and env: of the binary alone.
export async function startSecure(how, args = [], env = {}) {
  Object.assign(process.env, env);
  const device = await startTarget({ ...how, args: ['--origin', ORIGIN, ...args] });
  Object.keys(env).forEach((name) => delete process.env[name]);
  const made = (what) => new RegExp(`${what}: (\\S+)`).exec(device.log())?.[1];
  await until('the secrets', () => /listening on/.test(device.log()));
  device.secrets = {
    admin: env.RTPUSH_ADMIN ?? made('admin password'),
    viewer: env.RTPUSH_VIEWER ?? made('viewer password'),
    token: env.RTPUSH_TOKEN_KEY ?? made('token key'),
  };
  check(Object.values(device.secrets).every(Boolean), `no secrets in: ${device.log()}`);
  return device;
}

// A POST whose body is a form or a command.
export const post = (s, path, body = '', headers = {}) => call(`${s.url}${path}`, {
  method: 'POST',
  body,
  headers: { 'Content-Length': Buffer.byteLength(body), ...headers },
});

export const tryPassword = (s, password, more = '') => (
  post(s, '/login', `password=${encodeURIComponent(password)}${more}`));

// Logs in and returns the header that a browser would send from then on.
export async function login(s, role, seconds = 600) {
  const answer = await tryPassword(s, s.secrets[role], `&seconds=${seconds}`);
  equal(answer.status, 303, `login as ${role}: ${answer.body}`);
  const [line] = answer.headers['set-cookie'];
  return { Cookie: line.slice(0, line.indexOf(';')) };
}

export const session = (s, headers) => call(`${s.url}/session`, { headers });

// So many seconds by the device's clock. That of an emulated one falls behind on a busy machine;
// each line of its log has it, and what is refused makes a line.
export async function wait(s, seconds) {
  if (!s.emulated) {
    return sleep(seconds * 1000);
  }
  const uptime = async () => {
    await call(`${s.url}/nothing`);
    return Number([...s.log().matchAll(/^\[([\d.]+)\]/gm)].at(-1)[1]);
  };
  const end = await uptime() + seconds;
  return until(`${seconds} s of the device`, async () => {
    await sleep(200);
    return await uptime() > end;
  }, 10_000 + 4000 * seconds);
}

export async function ticketOf(s, headers) {
  const answer = await post(s, '/ticket', '', headers);
  equal(answer.status, 200, `a ticket: ${answer.body}`);
  return answer.body;
}

// -- another site's server ------------------------------------------------------------------------

const base64url = (data) => Buffer.from(data).toString('base64url');
export const now = () => Math.floor(Date.now() / 1000);

export function token(key, claims = {}, header = { alg: 'HS256', typ: 'JWT' }) {
  const payload = { sub: 'alice', aud: 'device', exp: now() + 60, ...claims };
  const text = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(payload))}`;
  return `${text}.${base64url(createHmac('sha256', key).update(text).digest())}`;
}

export const bearer = (text) => ({ Authorization: `Bearer ${text}` });

// A device without a clock accepts no token until an admin has set the time.
export async function setClock(s) {
  const admin = await login(s, 'admin');
  if (!JSON.parse((await session(s, admin)).body).clock) {
    equal((await post(s, '/control', `clock ${now()}`, admin)).status, 204, 'the clock');
  }
}
