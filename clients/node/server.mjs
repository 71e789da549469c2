// An example of a back end behind a proxy that sets X-Koubei-Assertion.
//   KOUBEI_ISSUER=https://isv.example/koubei node server.mjs
import { createServer } from 'node:http'
import { koubeiVerifier, Refused } from './koubei.mjs'

const { KOUBEI_ISSUER: issuer, KOUBEI_AUDIENCE: audience = issuer, HOST = '127.0.0.1', PORT = '3000' } = process.env
const operatorOf = koubeiVerifier({ issuer, audience })

const server = createServer(async (request, response) => {
  try {
    const url = new URL(request.url, 'http://localhost')
    const operator = await operatorOf(request.headers['x-koubei-assertion'], { partnerId: url.searchParams.get('partner_id') ?? undefined })
    answer(response, 200, operator)
  } catch (e) {
    const status = e instanceof Refused ? e.status : 500
    if (status === 503) response.setHeader('Retry-After', '2')
    answer(response, status, { status })
  }
})

function answer(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' })
  response.end(JSON.stringify(body))
}

server.listen(Number(PORT), HOST, () => console.log(`http://${HOST}:${server.address().port}`))
