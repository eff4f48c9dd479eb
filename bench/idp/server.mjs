// The certified OpenID Provider of the browser tests (npm oidc-provider 9): three users, group claims, PKCE required,
// refresh rotation, RP-initiated and back-channel logout, and /__test/* hooks that break it on purpose. Loopback only.
//
//   npm ci && OP_PORT=9400 RP_ORIGINS=https://auth.localhost:8443 node server.mjs
//
// RP_ORIGINS: origins of the sign-in hosts, separated by commas. OP_PORT 0 takes any port; the first line printed is
// `op ready ISSUER`. Users alice, bob, carol; the password is the user name. Client `proxy`, secret `proxy-secret`.
// Hooks, POST JSON: /__test/user {user, set: {groups|email|disabled}}, /__test/rotate {keep_old},
// /__test/fault {status, delay_ms, path} ({} heals).
import http from 'node:http';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import Provider from 'oidc-provider';

const E = process.env;
const RPS = (E.RP_ORIGINS ?? 'https://auth.localhost:8443').split(',');
const ALG = E.OP_ID_TOKEN_ALG ?? 'RS256'; // RS256 | PS256 | ES256 | EdDSA
const TTL = Number(E.OP_TTL ?? 300); // access and ID token lifetime, seconds

const many = (n) => Array.from({ length: n }, (_, i) => `team-${i}`);
let ISSUER; // known once the port is
const users = { // password is the user name; hooks below change these at run time
  alice: { name: 'Alice Admin', email: 'alice@corp.example', email_verified: true, groups: ['admins', 'engineering'] },
  bob: { name: 'Bob Builder', email: 'bob@corp.example', email_verified: true, groups: ['engineering'] },
  carol: { name: 'Cärol Contractor', email: 'carol@partner.example', email_verified: false, groups: ['contractors', ...many(150)] },
};
const client = (id, more) => ({ client_id: id, client_secret: `${id}-secret`, response_types: ['code'],
  grant_types: ['authorization_code', 'refresh_token'], redirect_uris: RPS.map((o) => `${o}/.portcullis/oidc/callback`),
  post_logout_redirect_uris: RPS.map((o) => `${o}/.portcullis/signed_out`), id_token_signed_response_alg: ALG, ...more });
const clients = [
  client('proxy'),
  client('proxy-post', { token_endpoint_auth_method: 'client_secret_post' }),
];
const key = (type, opt, alg) => ({ ...generateKeyPairSync(type, opt).privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${randomUUID()}` });
const keys = () => [key('rsa', { modulusLength: 2048 }, 'RS256'), key('rsa', { modulusLength: 2048 }, 'PS256'),
  key('ec', { namedCurve: 'P-256' }, 'ES256'), key('ed25519', {}, 'EdDSA')];

let jwks = { keys: keys() };
const make = () => {
  const op = new Provider(ISSUER, {
    clients, jwks, cookies: { keys: ['test-only'] },
    claims: { openid: ['sub', 'sid'], profile: ['name'], email: ['email', 'email_verified'], groups: ['groups'] },
    scopes: ['openid', 'offline_access'], conformIdTokenClaims: false, // put claims in the ID token too
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
    features: { devInteractions: { enabled: false }, revocation: { enabled: true },
      introspection: { enabled: true }, backchannelLogout: { enabled: true },
      rpInitiatedLogout: { enabled: true }, resourceIndicators: { enabled: true, defaultResource: (_c, _cl, r) => r,
        useGrantedResource: () => true, getResourceServerInfo: (_c, r) => ({ scope: 'openid groups', audience: r,
          accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }) } },
    extraTokenClaims: (_ctx, t) => ({ groups: users[t.accountId]?.groups }),
    findAccount: (_ctx, sub) => users[sub] && !users[sub].disabled && { accountId: sub, claims: () => ({ sub, ...users[sub] }) },
    loadExistingGrant: async (ctx) => { // first-party: consent is implied
      const { client: c, session, params } = ctx.oidc;
      const grant = new op.Grant({ clientId: c.clientId, accountId: session.accountId });
      grant.addOIDCScope('openid profile email groups offline_access');
      if (params.resource) grant.addResourceScope([params.resource].flat()[0], 'openid groups');
      await grant.save(); return grant;
    },
    issueRefreshToken: (_ctx, c) => c.grantTypeAllowed('refresh_token'), rotateRefreshToken: true,
    interactions: { url: (_ctx, i) => `/login/${i.uid}` }, pkce: { required: () => E.OP_REQUIRE_PKCE !== '0' },
    ttl: { AccessToken: TTL, IdToken: TTL, RefreshToken: 86400, Session: 86400, Grant: 86400, Interaction: 600, DeviceCode: 600 },
    fetch: (url, { dispatcher, ...o }) => fetch(url, o), // library blocks loopback callbacks (SSRF guard): tests need them
  });
  op.on('backchannel.error', (_c, err, cl, _a, sid) => console.error('backchannel.error', cl.clientId, sid, err.message));
  op.on('backchannel.success', (_c, cl, _a, sid) => console.log('backchannel.success', cl.clientId, sid));
  op.on('server_error', (_c, err) => console.error('server_error', err));
  return op;
};
let op; let handle; let fault = {}; // fault: { status, delay_ms, path }
const body = async (req) => { let b = ''; for await (const c of req) b += c; return b; };

async function route(req, res) {
  const url = new URL(req.url, ISSUER); const seg = url.pathname.split('/');
  if (seg[1] === '__test') {
    const a = JSON.parse((await body(req)) || '{}');
    if (seg[2] === 'user') { users[a.user] = { ...users[a.user], ...a.set }; }            // e.g. {"user":"bob","set":{"groups":[]}}
    else if (seg[2] === 'rotate') { jwks = { keys: a.keep_old ? [...keys(), ...jwks.keys] : keys() }; op = make(); handle = op.callback(); }
    else if (seg[2] === 'fault') { fault = a; }                                            // e.g. {"status":503,"path":"/token"} or {}
    else return res.writeHead(404).end();
    return res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ ok: true, kids: jwks.keys.map((k) => k.kid) }));
  }
  if ((fault.status || fault.delay_ms) && url.pathname.startsWith(fault.path ?? '/')) {
    await new Promise((r) => setTimeout(r, fault.delay_ms ?? 0));
    if (fault.status) return res.writeHead(fault.status).end('fault injected');
  }
  if (seg[1] === 'login') {
    try {
      const it = await op.interactionDetails(req, res); let msg = '';
      if (it.prompt.name === 'consent') return await op.interactionFinished(req, res, { consent: { grantId: it.grantId } }, { mergeWithLastSubmission: true }); // native clients always ask
      if (req.method === 'POST') {
        const f = new URLSearchParams(await body(req)); const u = f.get('username');
        if (users[u] && !users[u].disabled && f.get('password') === u) {
          return await op.interactionFinished(req, res, { login: { accountId: u, amr: ['pwd'], remember: true } }, { mergeWithLastSubmission: false });
        }
        msg = '<p id="error">Wrong user name or password</p>';
      }
      return res.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(`<!doctype html><html lang="en"><title>Test sign-in</title>
<h1>Sign in to ${String(it.params.client_id).replace(/[^\w-]/g, '')}</h1>${msg}<form method="post"><input name="username" placeholder="user" autofocus>
<input name="password" type="password" placeholder="password"><button type="submit">Sign in</button></form>`);
    } catch (e) { return res.writeHead(400, { 'content-type': 'text/plain' }).end(`${e.name}`); }
  }
  return handle(req, res);
}
const on = (req, res) => route(req, res).catch((e) => { console.error(e); if (!res.headersSent) res.writeHead(500).end(); });
const srv = http.createServer(on);
srv.listen(Number(E.OP_PORT ?? 9400), '127.0.0.1', () => {
  ISSUER = E.OP_ISSUER ?? `http://127.0.0.1:${srv.address().port}`;
  op = make(); handle = op.callback();
  console.log(`op ready ${ISSUER}`);
});
process.on('disconnect', () => process.exit(0));
