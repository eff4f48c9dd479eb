// Every page of ours in light and dark, on a desktop and on a phone: looked at by rules here, by people on the screenshots.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Edge, fillIn, intercept, launchBrowser, person, scenario, signIn } from './edge.mjs';
import { checkPage } from './page_rules.mjs';

const SHOTS = path.join(path.dirname(fileURLToPath(import.meta.url)), 'screenshots');
const LOOKS = [
  { name: 'desktop-light', colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  { name: 'desktop-dark', colorScheme: 'dark', viewport: { width: 1280, height: 800 } },
  { name: 'phone-light', colorScheme: 'light', viewport: { width: 390, height: 844 }, isMobile: true, deviceScaleFactor: 2 },
  { name: 'phone-dark', colorScheme: 'dark', viewport: { width: 390, height: 844 }, isMobile: true, deviceScaleFactor: 2 },
];

let edge; let browser; let jar;
before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  edge = await Edge.start({ changes: ({ providers, routes, more }) => ({
    // A second name for the same provider brings up the choice page.
    providers: { ...providers, partners: { ...providers.corp, label: 'Partner accounts', client_id: 'proxy-post', client_secret: { env: 'PARTNER_SECRET' }, client_auth: 'post' } },
    routes: routes.map((route) => ({ ...route, providers: route.name === 'public' || route.name === 'vault' ? undefined : 'corp' })),
    more,
  }) });
  browser = await launchBrowser();
  // bob signs in once; every look borrows his cookies.
  const context = await person(browser);
  const page = await context.newPage();
  await signIn(page, edge.url('wiki'), 'bob');
  jar = await context.storageState();
  await context.close();
});
after(async () => { await browser?.close(); await edge?.stop(); });
process.env.PARTNER_SECRET = 'proxy-post-secret';

/** One page in all looks. `visit(page)` answers the response of the page that is to be looked at. */
function shown(name, status, visit, options = {}) {
  scenario(name, async (t) => {
    for (const look of LOOKS) {
      await t.test(look.name, async () => {
        const { name: lookName, ...settings } = look;
        const context = await person(browser, { ...settings, storageState: options.stranger ? undefined : jar });
        try {
          const page = await context.newPage();
          const foreign = []; const broken = [];
          page.on('request', (request) => { const url = new URL(request.url()); if (url.protocol !== 'data:' && !url.hostname.endsWith('localhost') && url.hostname !== '127.0.0.1') foreign.push(request.url()); });
          page.on('console', (message) => { if (message.type() === 'error' && /Content Security Policy|Refused to/.test(message.text())) broken.push(message.text()); });
          const answer = await visit(page);
          await page.screenshot({ path: path.join(SHOTS, `${name.replaceAll(' ', '-')}-${lookName}.png`), fullPage: true });
          assert.equal(answer.status(), status);
          await checkPage(page, answer, options);
          assert.deepEqual(foreign, [], 'nothing from elsewhere');
          assert.deepEqual(broken, [], 'nothing our own policy refuses');
        } finally { await context.close(); }
      });
    }
  });
}

shown('refused', 403, (page) => page.goto(edge.url('vault', '/reports')), { controls: 1 });
shown('no such route', 404, (page) => page.goto(edge.url('auth', '/nothing-here')));
shown('upstream down', 502, (page) => page.goto(edge.url('broken')));
shown('sign-out question', 200, (page) => page.goto(edge.url('wiki', '/.portcullis/sign_out')), { controls: 1 });
shown('user', 200, (page) => page.goto(edge.url('wiki', '/.portcullis/user')), { controls: 1 });
shown('routes', 200, (page) => page.goto(edge.url('wiki', '/.portcullis/routes')), { controls: 1 });
shown('signed out', 200, (page) => page.goto(edge.url('auth', '/.portcullis/signed_out')), { stranger: true });
shown('provider choice', 200, (page) => page.goto(edge.url('vault', '/choose')), { stranger: true, controls: 2 });
shown('malformed request', 400, (page) => page.goto(edge.url('public', '/a%2Fb')), { stranger: true });
shown('another browser', 400, async (page) => {
  // The provider sends back a sign-in that began elsewhere: nobody is bound to it here.
  const elsewhere = await person(browser);
  const other = await elsewhere.newPage();
  await other.goto(edge.url('wiki', '/elsewhere'));
  await other.waitForSelector('input[name=username]');
  const kept = intercept(other, '*/.portcullis/oidc/callback*');
  await fillIn(other, 'alice').catch(() => {}); // the last navigation fails: that is the point
  const url = await kept;
  await elsewhere.close();
  return page.goto(url);
}, { stranger: true, controls: 1 });
shown('sign-in loop', 403, async (page) => {
  // A browser that forgets the session cookie each time.
  let answer;
  for (let round = 0; round < 4; round += 1) {
    answer = await page.goto(edge.url('vault', '/choose'));
    if (answer.status() === 403) break;
    if (round === 0) { await page.click('main a'); await fillIn(page, 'alice'); await page.waitForURL((now) => now.pathname === '/choose'); }
    await page.context().clearCookies({ name: '__Host-portcullis', domain: 'vault.localhost' });
  }
  return answer;
}, { stranger: true, controls: 1 });
shown('provider unavailable', 503, async (page) => {
  await page.goto(edge.url('wiki', '/unavailable'));
  await edge.provider.fault({ status: 503, path: '/token' });
  try {
    const callback = page.waitForResponse((answer) => answer.url().includes('/.portcullis/oidc/callback'));
    await fillIn(page, 'alice');
    const answer = await callback;
    await page.waitForLoadState();
    return answer;
  } finally { await edge.provider.heal(); }
}, { stranger: true });
