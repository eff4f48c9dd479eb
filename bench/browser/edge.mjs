// What the browser tests share: a provider, an upstream, the real proxy in front, and a browser. Ports are free ones,
// state lies in a temporary folder, and everything ends with the test.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const BINARY = path.resolve(process.env.PORTCULLIS_BIN ?? path.join(HERE, '../../target/debug/portcullis'));
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const START_DEADLINE = 30_000;

let nextPort = 28_500 + (process.pid % 80) * 50;

/** A port nobody listens on right now, below those that the kernel gives to outgoing connections. */
async function freePort() {
  for (;;) {
    const port = nextPort++;
    const probe = net.createServer();
    const free = await new Promise((resolve) => {
      probe.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    probe.close();
    await once(probe, 'close');
    return port;
  }
}

async function until(what, check) {
  const begun = Date.now();
  for (;;) {
    const value = await check().catch(() => undefined);
    if (value) return value;
    if (Date.now() - begun > START_DEADLINE) throw new Error(`timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The certified provider as a process of its own. */
export class Provider {
  static async start(signInOrigin, port = 0) {
    const env = { ...process.env, OP_PORT: String(port), RP_ORIGINS: signInOrigin };
    const child = spawn(process.execPath, [path.join(HERE, '../idp/server.mjs')], { env, stdio: ['ignore', 'pipe', 'ignore'] });
    for await (const line of createInterface({ input: child.stdout })) {
      if (line.startsWith('op ready ')) return new Provider(child, line.slice('op ready '.length).trim());
    }
    throw new Error('the provider did not start: npm ci in bench/idp?');
  }

  constructor(child, issuer) { this.child = child; this.issuer = issuer; child.stdout.resume(); }

  async hook(name, body = {}) {
    const answer = await fetch(`${this.issuer}/__test/${name}`, { method: 'POST', body: JSON.stringify(body) });
    assert.equal(answer.status, 200);
  }

  fault(fault) { return this.hook('fault', fault); }
  heal() { return this.hook('fault', {}); }

  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) { this.child.kill('SIGKILL'); await once(this.child, 'exit'); }
  }
}

/** An upstream that shows what it received and offers an event stream. */
async function startUpstream() {
  const seen = [];
  const server = http.createServer((request, response) => {
    seen.push({ method: request.method, url: request.url, headers: request.headers });
    if (request.url.startsWith('/events')) {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      let tick = 0;
      const timer = setInterval(() => response.write(`data: ${tick++}\n\n`), 100);
      response.on('close', () => clearInterval(timer));
      return;
    }
    const user = request.headers['x-portcullis-claim-email'] ?? 'nobody';
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
    response.end(`<!doctype html><html lang="en"><title>upstream</title><link rel="icon" href="data:,">
<h1 id="user">${user}</h1><p id="url">${request.url.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</p><p id="hash"></p>
<script>document.getElementById('hash').textContent = location.hash;</script></html>`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, seen, url: `http://127.0.0.1:${server.address().port}` };
}

/** The whole edge. Its addresses: `edge.url('wiki', '/path')`. */
export class Edge {
  /** `changes(parts)` may edit {providers, routes, more} before the configuration is written. */
  static async start({ provider = 'up', changes = (parts) => parts } = {}) {
    const edge = new Edge();
    edge.port = await freePort();
    edge.telemetry = await freePort();
    edge.folder = mkdtempSync(path.join(tmpdir(), 'portcullis-browser-'));
    edge.upstream = await startUpstream();
    edge.dead = await freePort();
    edge.providerPort = await freePort();
    const issuer = `http://127.0.0.1:${edge.providerPort}`;
    if (provider === 'up') await edge.startProvider();
    writeFileSync(path.join(edge.folder, 'idp-secret'), 'proxy-secret', { mode: 0o600 });
    const parts = changes({
      providers: { corp: { label: 'Corporate directory', issuer, client_id: 'proxy', client_secret: { file: path.join(edge.folder, 'idp-secret') }, scopes: ['openid', 'profile', 'email', 'groups'] } },
      routes: edge.routes(),
      more: {},
    });
    edge.file = path.join(edge.folder, 'portcullis.yaml');
    // JSON is YAML.
    writeFileSync(edge.file, JSON.stringify({
      directories: { run_dir: path.join(edge.folder, 'run'), state_dir: path.join(edge.folder, 'state') },
      listen: { public: `127.0.0.1:${edge.port}`, telemetry: `127.0.0.1:${edge.telemetry}` },
      sign_in: { host: 'auth.localhost' },
      providers: parts.providers,
      assertion: { claim_headers: ['email', 'groups', 'name'] },
      drain: { delay: '0s', timeout: '2s', h2: '2s' },
      ...parts.more,
      routes: parts.routes,
    }, null, 1) + '\n');
    try { await edge.startProxy(); } catch (error) { await edge.stop(); throw error; }
    return edge;
  }

  routes() {
    const staff = [{ allow: { and: [{ authenticated_user: true }] } }];
    const forward = { to: this.upstream.url, timeout: '0s', pass_identity_headers: true };
    const from = (host) => `https://${host}.localhost:${this.port}`;
    return [
      { name: 'wiki', from: from('wiki'), ...forward, policy: staff, keep_fragment: true },
      { name: 'vault', from: from('vault'), ...forward, show_error_details: true, policy: [{ allow: { and: [{ 'claim/groups': 'admins' }] } }] },
      { name: 'broken', from: from('broken'), to: `http://127.0.0.1:${this.dead}`, policy: staff },
      { name: 'public', from: from('public'), ...forward, allow_public_unauthenticated_access: true },
    ];
  }

  async startProvider() { this.provider = await Provider.start(this.origin('auth'), this.providerPort); }

  async startProxy() {
    this.log = [];
    this.child = spawn(BINARY, ['run', '--config', this.file], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.child.stdout, this.child.stderr]) createInterface({ input: stream }).on('line', (line) => this.log.push(line));
    const gone = once(this.child, 'exit').then(() => { throw new Error(`portcullis ended:\n${this.log.slice(-20).join('\n')}`); });
    gone.catch(() => {});
    const ready = until('portcullis is ready', async () => (await fetch(`http://127.0.0.1:${this.telemetry}/readyz`)).ok);
    await Promise.race([ready, gone]);
  }

  origin(host) { return `https://${host}.localhost:${this.port}`; }
  url(host, rest = '/') { return this.origin(host) + rest; }

  /** What the upstream received at paths that begin so. */
  received(prefix) { return this.upstream.seen.filter((request) => request.url.startsWith(prefix)); }

  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill('SIGTERM');
      const killer = setTimeout(() => this.child.kill('SIGKILL'), 10_000);
      await once(this.child, 'exit');
      clearTimeout(killer);
    }
    await this.provider?.stop();
    this.upstream.server.closeAllConnections();
    this.upstream.server.close();
    if (process.env.KEEP) {
      writeFileSync(path.join(this.folder, 'portcullis.log'), this.log.join('\n'));
      console.error(`kept ${this.folder}`);
    } else rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A test that ends: whatever hangs fails after a minute and a half. */
export const scenario = (name, run) => test(name, { timeout: 90_000 }, run);

/** Keeps the first request for such an address from the network, redirects included, and answers its address. */
export async function intercept(page, pattern) {
  const session = await page.context().newCDPSession(page);
  await session.send('Fetch.enable', { patterns: [{ urlPattern: pattern }] });
  return new Promise((resolve) => {
    session.on('Fetch.requestPaused', async ({ requestId, request }) => {
      await session.send('Fetch.failRequest', { requestId, errorReason: 'Aborted' });
      await session.detach();
      resolve(request.url);
    });
  });
}

/** A headless browser that talks to loopback only. */
export function launchBrowser() {
  return chromium.launch({
    executablePath: CHROMIUM, headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'],
  });
}

/** A person with a browser profile of their own. */
export async function person(browser, options = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
  context.setDefaultTimeout(15_000);
  return context;
}

/** Fills in the provider's form in this tab. */
export async function fillIn(page, user, password = user) {
  await page.waitForSelector('input[name=username]');
  await page.fill('input[name=username]', user);
  await page.fill('input[name=password]', password);
  await page.click('button[type=submit]');
}

/** Opens an address, signs in, and waits until the upstream's page is there. */
export async function signIn(page, url, user) {
  await page.goto(url);
  await fillIn(page, user);
  await page.waitForURL((now) => now.origin === new URL(url).origin && !now.pathname.includes('/.portcullis/'));
}

/** Signs out on this host, here and at the provider, which asks once more. */
export async function signOut(page, url) {
  await page.goto(new URL('/.portcullis/sign_out', url).href);
  await page.click('form button');
  await page.click('button[value=yes]');
  await page.waitForURL((now) => now.pathname === '/.portcullis/signed_out');
}

/** A request of a program without a browser: names below localhost need no resolver. */
export function program(edge, host, path, headers = {}) {
  return new Promise((resolve, reject) => {
    const name = `${host}.localhost`;
    const request = https.request({ host: '127.0.0.1', port: edge.port, servername: name, path, rejectUnauthorized: false,
      headers: { host: `${name}:${edge.port}`, ...headers } }, (answer) => {
      let body = '';
      answer.on('data', (piece) => { body += piece; });
      answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, body }));
    });
    request.on('error', reject).end();
  });
}

/** Whether this tab shows the provider's form. */
export async function isAskedToSignIn(page) {
  return (await page.locator('input[name=password]').count()) > 0;
}
