// Compiled by the tests, never run: the types as an application uses them.
import type { IncomingMessage } from 'node:http'
import { documentedTypes, koubeiVerifier, Refused, type Operator } from 'koubei-landing-client'

const operatorOf = koubeiVerifier({ issuer: 'https://isv.example/koubei' })

export async function handle(request: IncomingMessage): Promise<string> {
  const header = request.headers['x-koubei-assertion']
  if (Array.isArray(header)) throw new Refused(401, 'more than one assertion')
  const operator: Operator = await operatorOf(header, { types: [...documentedTypes, 'FUTURE_TYPE'], partnerId: '2088102150477653' })
  const merchant: string | null = operator.partnerId
  return `${operator.operatorId} ${merchant} ${operator.until.toISOString()}`
}

// @ts-expect-error issuer is required
koubeiVerifier({})
// @ts-expect-error 404 is no status of a refusal
new Refused(404, 'x')
