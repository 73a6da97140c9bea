// Chromium with the test CA imported, as a user imports it, and every check on. Needs tests/browser's
// playwright-core, Chromium (CHROMIUM names it) and certutil.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import process from 'node:process';
import { check } from '../clients/harness.mjs';

const { chromium } = createRequire(`${process.cwd()}/tests/browser/`)('playwright-core');

function certutil(home, ...args) {
  const done = spawnSync('certutil', ['-d', `sql:${home}/.pki/nssdb`, ...args]);
  check(done.status === 0, `certutil ${args.join(' ')}: ${done.stderr ?? done.error}`);
}

// A browser that trusts build/cert/ca.pem, or nobody of ours.
export function launch(trusting = true) {
  mkdirSync('build/tls', { recursive: true });
  const home = mkdtempSync(`${process.cwd()}/build/tls/home-`);
  mkdirSync(`${home}/.pki/nssdb`, { recursive: true });
  certutil(home, '-N', '--empty-password');
  if (trusting) {
    certutil(home, '-A', '-t', 'C,,', '-n', 'rtpush', '-i', 'build/cert/ca.pem');
  }
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox'],
    env: { ...process.env, HOME: home },
  });
}
