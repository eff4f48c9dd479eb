// A person and their tabs: sign-in, other hosts, refusal, deep links, sign-out.
import assert from 'node:assert/strict';
import { after, afterEach, before } from 'node:test';
import { Edge, fillIn, isAskedToSignIn, launchBrowser, person, program, scenario, signIn, signOut } from './edge.mjs';

let edge; let browser; const open = [];
before(async () => { edge = await Edge.start(); browser = await launchBrowser(); });
after(async () => { await browser?.close(); await edge?.stop(); });
afterEach(async () => { for (const context of open.splice(0)) await context.close(); });
const visitor = async (options) => { const context = await person(browser, options); open.push(context); return context; };

scenario('a person signs in and ends where they wanted to be', async () => {
  const page = await (await visitor()).newPage();
  await page.goto(edge.url('wiki', '/start'));
  await fillIn(page, 'alice', 'wrong');
  await page.waitForSelector('#error');
  await fillIn(page, 'alice');
  await page.waitForSelector('#user');
  assert.equal(page.url(), edge.url('wiki', '/start'));
  assert.equal(await page.textContent('#user'), 'alice@corp.example');
  const [request] = edge.received('/start');
  assert.ok(request.headers['x-portcullis-jwt-assertion'], 'the upstream gets the assertion');
  assert.ok(!(request.headers.cookie ?? '').includes('__Host-portcullis'), 'our cookie stays with us');
});

scenario('an unrelated host opens without a second sign-in', async () => {
  const context = await visitor();
  const page = await context.newPage();
  await signIn(page, edge.url('wiki'), 'alice');
  const asked = [];
  page.on('request', (request) => asked.push(new URL(request.url()).port));
  await page.goto(edge.url('vault', '/second'));
  assert.equal(await page.textContent('#user'), 'alice@corp.example');
  assert.ok(!asked.includes(String(edge.providerPort)), 'the provider is not asked again');
});

scenario('whoever may not sees who they are, why, and the request id', async () => {
  const page = await (await visitor()).newPage();
  await signIn(page, edge.url('wiki'), 'bob');
  const answer = await page.goto(edge.url('vault', '/refused'));
  assert.equal(answer.status(), 403);
  assert.equal(edge.received('/refused').length, 0, 'the upstream never hears of it');
  const text = await page.textContent('body');
  assert.match(text, /bob@corp\.example/);
  const id = answer.headers()['x-request-id'];
  assert.ok(id && text.includes(id), 'the page shows the request id');
});

scenario('ten tabs at once all end where they wanted to be', async () => {
  const context = await visitor();
  const tabs = await Promise.all(Array.from({ length: 10 }, () => context.newPage()));
  const hosts = ['wiki', 'vault'];
  const wanted = tabs.map((_, n) => edge.url(hosts[n % 2], `/tab?n=${n}`));
  await Promise.all(tabs.map((tab, n) => tab.goto(wanted[n])));
  for (const tab of tabs) assert.ok(await isAskedToSignIn(tab));
  for (const tab of tabs) { await fillIn(tab, 'alice'); await tab.waitForSelector('#user'); }
  assert.deepEqual(tabs.map((tab) => tab.url()), wanted);
});

scenario('a tab that stayed at the provider too long is sent on with the session of another', async () => {
  const context = await visitor();
  const [early, late] = [await context.newPage(), await context.newPage()];
  await late.goto(edge.url('wiki', '/late'));
  await signIn(early, edge.url('wiki', '/early'), 'alice');
  await late.goto(edge.url('wiki', '/late'));
  assert.equal(await late.textContent('#user'), 'alice@corp.example');
});

scenario('a deep link keeps its query and its fragment', async () => {
  const page = await (await visitor()).newPage();
  const deep = edge.url('wiki', '/deep/page?q=a%20b&plus=1%2B1&empty=#section-2');
  await page.goto(deep);
  await fillIn(page, 'alice');
  await page.waitForSelector('#user');
  assert.equal(page.url(), deep);
  assert.equal(await page.textContent('#url'), '/deep/page?q=a%20b&plus=1%2B1&empty=');
});

scenario('a sign-out ends the session everywhere and at the provider', async () => {
  const context = await visitor();
  const [page, other] = [await context.newPage(), await context.newPage()];
  await signIn(page, edge.url('wiki'), 'alice');
  await other.goto(edge.url('vault'));
  assert.equal(await other.textContent('#user'), 'alice@corp.example');
  await signOut(page, edge.url('wiki'));
  for (const host of ['wiki', 'vault']) {
    await other.goto(edge.url(host));
    assert.ok(await isAskedToSignIn(other), `${host} asks for a sign-in again`);
  }
});

scenario('a sign-out on a host that was never opened asks where the session is', async () => {
  const page = await (await visitor()).newPage();
  await signIn(page, edge.url('wiki'), 'alice');
  await page.goto(edge.url('vault', '/.portcullis/sign_out'));
  await page.click('form button');
  await page.waitForURL((now) => now.origin === edge.origin('auth') && now.pathname === '/.portcullis/sign_out');
  await page.click('form button');
  await page.click('button[value=yes]');
  await page.goto(edge.url('wiki'));
  assert.ok(await isAskedToSignIn(page), 'the session is over');
});

scenario('a sign-out cannot be caused by another site', async () => {
  const context = await visitor();
  const page = await context.newPage();
  await signIn(page, edge.url('wiki'), 'alice');
  await page.goto(edge.url('public'));
  const form = `const f = document.createElement('form'); f.method = 'post'; f.action = '${edge.url('wiki', '/.portcullis/sign_out')}'; document.body.append(f); f.submit();`;
  await Promise.all([page.waitForURL(/sign_out|signed_out/), page.evaluate(form)]).catch(() => {});
  await page.goto(edge.url('wiki'));
  assert.ok(!(await isAskedToSignIn(page)), 'the session lives on');
});

scenario('a live stream closes when the session ends in another tab', async () => {
  const context = await visitor();
  const [page, other] = [await context.newPage(), await context.newPage()];
  await signIn(page, edge.url('wiki'), 'alice');
  await page.evaluate(() => {
    const stream = new EventSource('/events');
    window.ticks = 0; window.over = false;
    stream.onmessage = () => { window.ticks += 1; };
    stream.onerror = () => { window.over = true; stream.close(); };
  });
  await page.waitForFunction(() => window.ticks > 2);
  await other.goto(edge.url('vault'));
  await signOut(other, edge.url('vault'));
  await page.waitForFunction(() => window.over);
});

scenario('the back button neither loops nor brings a session back', async () => {
  const context = await visitor();
  const page = await context.newPage();
  await signIn(page, edge.url('wiki', '/one'), 'alice');
  await page.goto(edge.url('wiki', '/two'));
  await page.goBack();
  assert.equal(page.url(), edge.url('wiki', '/one'));
  assert.equal(await page.textContent('#user'), 'alice@corp.example');
  await signOut(page, edge.url('wiki'));
  await page.goBack().catch(() => {});
  await page.goBack().catch(() => {});
  await page.waitForLoadState();
  assert.equal(await page.locator('#user').count(), 0, 'no page of the old session');
});

scenario('a request from a script is told where to sign in, not redirected', async () => {
  const answer = await program(edge, 'wiki', '/api', { accept: 'application/json' });
  assert.equal(answer.status, 401);
  assert.match(JSON.stringify(JSON.parse(answer.body)), /sign_in/);
});
