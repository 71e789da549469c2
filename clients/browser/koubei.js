// Which Koubei operator is signed in, asked from a page of the service's own site. License: Apache-2.0

/** A refusal: status is 401, 403 or 503, code what the service calls it, retryAfter seconds. */
export class Refused extends Error {
  constructor(status, code, retryAfter) {
    super(code)
    Object.assign(this, { status, code, retryAfter })
  }
}

/**
 * Asks service, which is its PUBLIC_URL, who is operating: for partnerId, if the page is about one merchant.
 * credentials: 'include' sends the cookie to another host of the same site too, whose CORS_ORIGINS must name this page's
 * origin. An origin of another site never gets the cookie sent, whatever the settings say.
 */
export async function whoIsOperating(service, partnerId) {
  const query = partnerId === undefined ? '' : '?' + new URLSearchParams({ partner_id: partnerId })
  const response = await fetch(service + '/session' + query, { credentials: 'include', headers: { Accept: 'application/json' } })
  if (response.ok) return response.json()
  const problem = await response.json().catch(() => ({}))
  throw new Refused(response.status, problem.code ?? 'unknown', Number(response.headers.get('Retry-After')) || undefined)
}

/** Ends the session. */
export async function signOut(service) {
  const response = await fetch(service + '/logout', { method: 'POST', credentials: 'include', headers: { Accept: 'application/json' } })
  if (!response.ok) throw new Refused(response.status, 'not signed out')
}
