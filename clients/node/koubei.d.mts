/** A request that may not pass. */
export class Refused extends Error {
  constructor(status: 401 | 403 | 503, message: string, cause?: unknown)
  /** 401 if nobody is signed in, 403 if somebody may not pass, 503 if that could not be found out. */
  readonly status: 401 | 403 | 503
}

/** The operator types that Koubei documents. It may send others. */
export const documentedTypes: readonly string[]

/** The person who sent a request, and the partner for whom that person acts. */
export interface Operator {
  operatorId: string
  operatorType: string
  /** The merchant; null if Koubei named none. */
  partnerId: string | null
  /** As Koubei sent them; 'overflow' if they are too long for a header: then ask /session. */
  shopIds?: string
  /** The ISV's application at Alipay. */
  appId: string
  /** When the assertion ends. */
  until: Date
}

export interface VerifierOptions {
  /** Exactly the service's PUBLIC_URL. */
  issuer: string
  /** Your entry in the service's ASSERTION_AUDIENCE; by default issuer. */
  audience?: string
  /** Where the service publishes its keys; by default issuer + /.well-known/jwks.json. */
  jwksUrl?: string
}

/** Who may pass. */
export interface Access {
  /** The operator types allowed, documented or not; by default the documented ones. */
  types?: readonly string[]
  /** The partner that the request is about; '' for the entry for which Koubei named none. */
  partnerId?: string
}

/** Returns a function that returns the operator in an assertion. The function rejects with Refused. */
export function koubeiVerifier(options: VerifierOptions): (assertion: string | undefined, access?: Access) => Promise<Operator>
