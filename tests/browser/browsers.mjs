// The browsers: RTPUSH_BROWSER chooses chromium (the default) or firefox. CHROMIUM and FIREFOX name
// the programs, /usr/bin/chromium-headless-shell and /usr/bin/firefox-esr by default. The first is
// Chromium's engine, network and certificates without windows and profiles: a third of the CPU.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { chromium, firefox } from 'playwright-core';

export const FIREFOX = process.env.RTPUSH_BROWSER === 'firefox';

// The environment of one that trusts this CA, as a user would import it, or with null no CA of
// ours: a home of its own with a database of certificates. Needs certutil.
function trusting(ca) {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'rtpush-browser-'));
  process.on('exit', () => fs.rmSync(home, { recursive: true, force: true }));
  const store = path.join(home, '.pki', 'nssdb');
  fs.mkdirSync(store, { recursive: true });
  const certutil = (...args) => execFileSync('certutil', ['-d', `sql:${store}`, ...args]);
  certutil('-N', '--empty-password');
  if (ca) {
    certutil('-A', '-n', 'rtpush', '-t', 'C,,', '-i', ca);
  }
  return { ...process.env, HOME: home };
}

// Firefox as Debian has it, not the one that Playwright patches: it is driven by WebDriver BiDi.
// The program's name is resolved against /, whatever the working directory is.
const launchFirefox = (prefs) => firefox.launch({
  firefoxUserPrefs: prefs,
  channel: 'moz-firefox',
  executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
});

// The whole browser, for what the engine alone lacks: notifications.
export const WHOLE = '/usr/bin/chromium';

// Without a CA named: as it is, for plain HTTP. cache: with the back/forward cache, which
// Playwright turns off and the engine alone does not have.
export const launch = (ca, args = [], { prefs = {}, program, cache = false } = {}) => (FIREFOX
  ? launchFirefox(prefs)
  : chromium.launch({
    executablePath: program ?? process.env.CHROMIUM ?? '/usr/bin/chromium-headless-shell',
    args: ['--no-sandbox', ...args],
    ignoreDefaultArgs: cache ? ['--disable-back-forward-cache'] : [],
    env: ca === undefined ? process.env : trusting(ca),
  }));
