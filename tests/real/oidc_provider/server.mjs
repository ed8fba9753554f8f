// panva's oidc-provider with one client, as an operator would set it up: one-time refresh tokens with reuse
// detection, revocation, logout by redirect and logout tokens.
//
// node server.mjs SETTINGS, a JSON object: `port`, `control` (the port of the administrator), `client` (metadata
// of the client), `lifetime` (of access tokens, in seconds). Prints a line when it listens.
import { generateKeyPairSync } from 'node:crypto'
import http from 'node:http'
import Provider from 'oidc-provider'
import MemoryAdapter from './node_modules/oidc-provider/lib/adapters/memory_adapter.js'

const settings = JSON.parse(process.argv[2])
const issuer = `http://localhost:${settings.port}`
const counts = { refreshes: 0, refused: 0, revocations: 0 }
// What the administrator can end: one entry for each sign-in of a client.
const signIns = new Map()
const disabled = new Set()

const account = (id) => ({
  accountId: id,
  claims: async () => ({
    sub: id, email: `${id}@example.com`, email_verified: true, preferred_username: id, groups: { shop: ['buyer'] },
  }),
})

// Each provider gives its own memory to the adapter that comes with the package, but not to another class.
class Shared extends MemoryAdapter {}

// The newest first, which signs. The one before it is still published.
const keys = []
function addKey() {
  const jwk = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })
  keys.unshift({ ...jwk, kid: `key-${keys.length + 1}`, use: 'sig', alg: 'RS256' })
}

const configuration = () => ({
  adapter: Shared,
  jwks: { keys: keys.slice(0, 2) },
  clients: [settings.client],
  findAccount: async (_, id) => (disabled.has(id) ? undefined : account(id)),
  claims: { openid: ['sub', 'groups'], email: ['email', 'email_verified'], profile: ['preferred_username'] },
  // What the gateway needs to know stands in the ID token.
  conformIdTokenClaims: false,
  features: {
    devInteractions: { enabled: true },
    revocation: { enabled: true },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      // The user is not asked again after the gateway has asked.
      logoutSource: async (ctx, form) => {
        const yes = '<input type="hidden" name="logout" value="yes"/></form>'
        ctx.body = `<!doctype html><title>Signing out</title>${form.replace('</form>', yes)}`
          + '<script>document.forms[0].submit()</script>'
      },
    },
  },
  // The dispatcher that comes with the options refuses loopback, where the gateway is.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  pkce: { required: () => true },
  rotateRefreshToken: true,
  // Without `prompt=consent` this server drops the scope `offline_access`.
  issueRefreshToken: async (_, client) => client.grantTypeAllowed('refresh_token'),
  expiresWithSession: async () => false,
  ttl: { AccessToken: settings.lifetime, RefreshToken: 86400, IdToken: 3600, Session: 86400, Grant: 86400, Interaction: 600 },
  loadExistingGrant: async (ctx) => {
    const known = ctx.oidc.session.grantIdFor(ctx.oidc.client.clientId)
    if (known) return provider.Grant.find(known)
    const grant = new provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId })
    grant.addOIDCScope('openid profile email offline_access')
    await grant.save()
    return grant
  },
})

// A provider with other keys takes the place of the one before: both have what is stored.
let provider
let answer
function begin() {
  addKey()
  provider = new Provider(issuer, configuration())
  listen()
  answer = provider.callback()
}

function listen() {
  provider.on('authorization.success', (ctx) => {
    const { session, client } = ctx.oidc
    signIns.set(session.uid, {
      client, account: session.accountId, sid: session.sidFor(client.clientId),
      grant: session.grantIdFor(client.clientId),
    })
  })
  provider.on('grant.success', (ctx) => { if (ctx.oidc.params.grant_type === 'refresh_token') counts.refreshes += 1 })
  provider.on('grant.error', (ctx) => { if (ctx.oidc.params?.grant_type === 'refresh_token') counts.refused += 1 })
  provider.on('revocation.error', (_, error) => console.error('revocation', error.message))
  provider.on('refresh_token.destroyed', () => { counts.revocations += 1 })
  provider.on('backchannel.error', (_, error) => console.error('backchannel', error.message))
  provider.on('server_error', (_, error) => console.error(error))
}
begin()

async function endSessions() {
  const all = [...signIns.entries()]
  signIns.clear()
  for (const [uid, { client, account: id, sid, grant }] of all) {
    const session = await provider.Session.findByUid(uid)
    if (session) await session.destroy()
    await provider.RefreshToken.revokeByGrantId(grant)
    await provider.AccessToken.revokeByGrantId(grant)
    await client.backchannelLogout(id, sid)
  }
  return all.length
}

const control = http.createServer(async (request, response) => {
  try {
    const { pathname } = new URL(request.url, issuer)
    let said = counts
    if (pathname === '/end') said = { ended: await endSessions() }
    if (pathname === '/rotate') begin()
    if (pathname.startsWith('/disable/')) disabled.add(pathname.slice('/disable/'.length))
    if (pathname.startsWith('/enable/')) disabled.delete(pathname.slice('/enable/'.length))
    response.end(JSON.stringify(said))
  } catch (error) {
    response.statusCode = 500
    response.end(JSON.stringify({ error: String(error) }))
  }
})

http.createServer((request, response) => answer(request, response)).listen(settings.port, '127.0.0.1', () => {
  control.listen(settings.control, '127.0.0.1', () => console.log('listening'))
})
