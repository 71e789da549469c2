// Which Koubei operator is signed in, asked from a page of the service's own site. License: Apache-2.0

/** A request that was refused: status 401, 403 or 503, the service's code, and seconds in retryAfter. */
export class Refused extends Error {
  constructor(status, code, retryAfter) {
    super(code)
    Object.assign(this, { status, code, retryAfter })
  }
}

/**
 * Returns the operator that is signed in, for partnerId if the page is about one merchant. service is its PUBLIC_URL.
 * credentials: 'include' sends the cookie to another host of the same site too. The service's CORS_ORIGINS must then name
 * this page's origin. A browser never sends the cookie from a page of another site.
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
