// Who is operating, by the assertion that the proxy has set in the header X-Koubei-Assertion.
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'

/** A refusal: status is 401 when nobody is signed in, 403 when somebody may not, 503 when it could not be found out. */
export class Refused extends Error {
  constructor(status, message, cause) {
    super(message, { cause })
    this.status = status
  }
}

const documented = ['PROVIDER', 'PROVIDER_STAFF', 'MER', 'MER_STAFF', 'SALES']

// What jose throws when the keys could not be had. Everything else that it throws is about the assertion.
const outages = new Set(['ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID', 'ERR_JOSE_GENERIC'])

/**
 * Makes a function from an assertion to its operator. It throws Refused.
 *
 * issuer is the service's PUBLIC_URL, letter by letter; audience is yours among its ASSERTION_AUDIENCE. Keys are fetched
 * when they are needed and kept for five minutes, as the service says; an unknown key is looked for at most every ten
 * seconds. Make one for the whole process.
 */
export function koubeiVerifier({ issuer, audience = issuer, jwksUrl = issuer.replace(/\/$/, '') + '/.well-known/jwks.json' }) {
  const keys = createRemoteJWKSet(new URL(jwksUrl), { cacheMaxAge: 300_000, cooldownDuration: 10_000, timeoutDuration: 3_000 })

  return async function operatorOf(assertion, { types = documented, partnerId } = {}) {
    if (typeof assertion !== 'string' || assertion === '') throw new Refused(401, 'no assertion')
    const claims = await verified(assertion)
    if (!documented.includes(claims.operator_type) || !types.includes(claims.operator_type)) {
      throw new Refused(403, 'this operator type is not allowed')
    }
    // A page that is about one merchant never acts for the one of another tab; '' is the entry without a merchant.
    if (partnerId !== undefined && partnerId !== (claims.partner_id ?? '')) throw new Refused(403, 'another partner')
    return {
      operatorId: claims.sub,
      operatorType: claims.operator_type,
      partnerId: claims.partner_id,
      shopIds: claims.shop_ids, // 'overflow': more than a header carries, ask /session
      appId: claims.app_id,
      until: new Date(claims.exp * 1000),
    }
  }

  async function verified(assertion) {
    try {
      // jose takes the key that kid names, and only if the key's own alg is the header's.
      const { payload } = await jwtVerify(assertion, keys, {
        algorithms: ['ES256', 'EdDSA'],
        typ: 'JWT',
        issuer,
        audience,
        clockTolerance: 5,
        requiredClaims: ['sub', 'iat', 'exp', 'app_id', 'operator_type', 'partner_id'],
      })
      if (payload.iat > Date.now() / 1000 + 5) throw new Refused(401, 'of the future')
      return payload
    } catch (e) {
      if (e instanceof Refused) throw e
      if (e instanceof errors.JOSEError && !outages.has(e.code)) throw new Refused(401, e.message, e)
      throw new Refused(503, 'the keys are out of reach', e) // fetch failed, timed out, or found something else
    }
  }
}
