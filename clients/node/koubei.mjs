// Which Koubei operator a request comes from, by the assertion in the header X-Koubei-Assertion.
// License: Apache-2.0
import { setTimeout as delay } from 'node:timers/promises'
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'

/** A request that may not pass. status is 401 if nobody is signed in, 403 if somebody may not pass, 503 if that could not be found out. */
export class Refused extends Error {
  constructor(status, message, cause) {
    super(message, { cause })
    this.name = 'Refused'
    this.status = status
  }
}

/** The operator types that Koubei documents. It may send others. */
export const documentedTypes = Object.freeze(['PROVIDER', 'PROVIDER_STAFF', 'MER', 'MER_STAFF', 'SALES'])

// The errors of jose that mean that the keys could not be fetched. All others are about the assertion.
const outages = new Set(['ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID', 'ERR_JOSE_GENERIC'])

const fresh = 300_000 // ms that keys are used without a refresh
const maxStale = 3_600_000 // ms that they are used after that, while the service does not answer
const cooldown = 10_000 // ms between two fetches
const knownKeysWait = 250 // ms that a request waits for a refresh although it has keys

/**
 * Returns a function that returns the operator in an assertion, and throws Refused. Make one for the whole process.
 *
 * issuer is exactly the service's PUBLIC_URL. audience is your entry in its ASSERTION_AUDIENCE. The keys are fetched when
 * they are needed, and refreshed every five minutes.
 */
export function koubeiVerifier({ issuer, audience = issuer, jwksUrl = issuer.replace(/\/$/, '') + '/.well-known/jwks.json' }) {
  const keys = createRemoteJWKSet(new URL(jwksUrl), { cacheMaxAge: Infinity, cooldownDuration: cooldown, timeoutDuration: 3_000 })
  let loaded = -Infinity // when the keys were last fetched
  let tried = -Infinity
  let running // the fetch that all requests wait for

  // Returns when the keys are fresh enough to verify with. A request that has keys waits briefly for newer ones.
  async function refreshed() {
    const age = Date.now() - loaded
    if (age < fresh) return
    if (!running && Date.now() - tried >= cooldown) {
      tried = Date.now()
      running = keys.reload().then(() => { loaded = Date.now() }).finally(() => { running = undefined })
      running.catch(() => {}) // those who wait get it
    }
    if (age < fresh + maxStale) {
      await Promise.race([running, delay(knownKeysWait, undefined, { ref: false })]).catch(() => {})
      return
    }
    if (!running) throw new Refused(503, 'the keys are unavailable')
    await running
  }

  async function verified(assertion) {
    try {
      await refreshed()
      // jose uses the key that kid names, and only if the key's own alg is the header's.
      const { payload } = await jwtVerify(assertion, keys, {
        algorithms: ['ES256', 'EdDSA'],
        typ: 'JWT',
        issuer,
        audience,
        clockTolerance: 5,
        requiredClaims: ['sub', 'iat', 'exp', 'app_id', 'operator_type', 'partner_id'],
      })
      if (payload.iat > Date.now() / 1000 + 5) throw new Refused(401, 'not valid yet')
      return payload
    } catch (e) {
      if (e instanceof Refused) throw e
      if (e instanceof errors.JOSEError && !outages.has(e.code)) throw new Refused(401, e.message, e)
      throw new Refused(503, 'the keys are unavailable', e) // the fetch failed, timed out, or returned something else
    }
  }

  return async function operatorOf(assertion, { types = documentedTypes, partnerId } = {}) {
    if (typeof assertion !== 'string' || assertion === '') throw new Refused(401, 'no assertion')
    const claims = await verified(assertion)
    if (!types.includes(claims.operator_type)) throw new Refused(403, 'this operator type is not allowed')
    // A page about one merchant must not act for the merchant of another tab. '' is the entry without a merchant.
    if (partnerId !== undefined && partnerId !== (claims.partner_id ?? '')) throw new Refused(403, 'another partner')
    return {
      operatorId: claims.sub,
      operatorType: claims.operator_type,
      partnerId: claims.partner_id,
      shopIds: claims.shop_ids, // 'overflow': too long for a header, ask /session
      appId: claims.app_id,
      until: new Date(claims.exp * 1000),
    }
  }
}
