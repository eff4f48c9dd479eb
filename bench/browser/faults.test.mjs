// What goes wrong around a sign-in: a provider that is down or has new keys, hand-over addresses that get around.
import assert from 'node:assert/strict';
import { after, afterEach, before } from 'node:test';
import { Edge, fillIn, intercept, isAskedToSignIn, launchBrowser, person, scenario, signIn } from './edge.mjs';

let edge; let browser; const open = [];
before(async () => { edge = await Edge.start(); browser = await launchBrowser(); });
after(async () => { await browser?.close(); await edge?.stop(); });
afterEach(async () => { for (const context of open.splice(0)) await context.close(); await edge.provider.heal(); });
const visitor = async () => { const context = await person(browser); open.push(context); return context; };

scenario('while the provider fails, sign-ins say so and live sessions go on', async () => {
  const page = await (await visitor()).newPage();
  await signIn(page, edge.url('wiki'), 'alice');
  const stranger = await (await visitor()).newPage();
  await stranger.goto(edge.url('wiki', '/later'));
  await edge.provider.fault({ status: 503, path: '/token' });
  const refused = stranger.waitForResponse((answer) => answer.url().includes('/.portcullis/oidc/callback'));
  await fillIn(stranger, 'bob');
  assert.equal((await refused).status(), 503);
  await stranger.waitForLoadState();
  assert.equal(edge.received('/later').length, 0);
  await page.goto(edge.url('wiki', '/still-here'));
  assert.equal(await page.textContent('#user'), 'alice@corp.example');
  await edge.provider.heal();
  await signIn(stranger, edge.url('wiki', '/later'), 'bob').catch(async () => { await stranger.goto(edge.url('wiki', '/later')); });
  assert.equal(await stranger.textContent('#user'), 'bob@corp.example');
});

scenario('new keys at the provider are found without a restart', async () => {
  await edge.provider.hook('rotate', { keep_old: false });
  const page = await (await visitor()).newPage();
  await signIn(page, edge.url('wiki', '/rotated'), 'alice');
  assert.equal(await page.textContent('#user'), 'alice@corp.example');
});

scenario('a provider that is down from the start is waited for', async () => {
  const late = await Edge.start({ provider: 'down' });
  try {
    const page = await (await visitor()).newPage();
    const answer = await page.goto(late.url('vault'));
    assert.equal(answer.status(), 503);
    assert.equal((await page.goto(late.url('public'))).status(), 200, 'what is public works');
    await late.startProvider();
    const begun = Date.now();
    for (;;) {
      await page.goto(late.url('wiki'));
      if (await isAskedToSignIn(page)) break;
      assert.ok(Date.now() - begun < 30_000, 'the provider is found again');
      await page.waitForTimeout(200);
    }
    await fillIn(page, 'alice');
    await page.waitForSelector('#user');
  } finally { await late.stop(); }
});

/** Signs in, but keeps the address that would finish it from the browser. */
async function stopShort(context, path, pattern) {
  const page = await context.newPage();
  await page.goto(edge.url('wiki', path));
  await page.waitForSelector('input[name=username]');
  const kept = intercept(page, pattern);
  await fillIn(page, 'alice').catch(() => {}); // the last navigation fails: that is the point
  return { page, url: await kept };
}

scenario('a hand-over address opened in another browser gives no session', async () => {
  const { url } = await stopShort(await visitor(), '/stolen', '*/.portcullis/callback*');
  const thief = await visitor();
  const page = await thief.newPage();
  await page.goto(url);
  assert.equal(await page.locator('#user').count(), 0);
  const cookies = await thief.cookies(edge.origin('wiki'));
  assert.ok(!cookies.some((cookie) => cookie.name === '__Host-portcullis'), 'no session cookie');
  assert.equal(edge.received('/stolen').length, 0);
});

scenario('a hand-over address works once, and a second time gives no session', async () => {
  const context = await visitor();
  const { page, url } = await stopShort(context, '/once', '*/.portcullis/callback*');
  await page.goto(url);
  assert.equal(await page.textContent('#user'), 'alice@corp.example', 'the right browser is let in');
  // Only the bind cookie stays: what is left is the address itself.
  for (const host of ['wiki', 'auth']) await context.clearCookies({ name: '__Host-portcullis', domain: `${host}.localhost` });
  await context.clearCookies({ domain: '127.0.0.1' });
  await page.goto(url);
  assert.equal(await page.locator('#user').count(), 0, 'a replay does not sign in');
  assert.ok(await isAskedToSignIn(page), 'it starts again');
});

scenario('a provider callback opened in another browser gives no session', async () => {
  const { url } = await stopShort(await visitor(), '/code', '*/.portcullis/oidc/callback*');
  const thief = await visitor();
  const page = await thief.newPage();
  await page.goto(url);
  assert.equal(await page.locator('#user').count(), 0);
  const cookies = await thief.cookies(edge.origin('auth'));
  assert.ok(!cookies.some((cookie) => cookie.name === '__Host-portcullis'), 'no session cookie');
});
