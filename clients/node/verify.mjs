// Verifies the assertion on standard input and prints the operator, or, with exit code 1, the status.
//   curl -s … | KOUBEI_ISSUER=https://isv.example/koubei node verify.mjs
import { text } from 'node:stream/consumers'
import { koubeiVerifier } from './koubei.mjs'

const { KOUBEI_ISSUER: issuer, KOUBEI_AUDIENCE: audience = issuer, KOUBEI_JWKS_URL: jwksUrl } = process.env
try {
  const operator = await koubeiVerifier({ issuer, audience, jwksUrl })((await text(process.stdin)).trim())
  console.log(JSON.stringify(operator))
} catch (e) {
  console.log(JSON.stringify({ status: e.status, why: e.message }))
  process.exitCode = 1
}
