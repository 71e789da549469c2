import { signOut, whoIsOperating } from './koubei.js'

const service = document.querySelector('meta[name=koubei-service]').content
const partnerId = new URLSearchParams(location.search).get('partner_id') ?? undefined
const state = document.getElementById('state')
const button = document.getElementById('signout')

async function show() {
  try {
    const who = await whoIsOperating(service, partnerId)
    state.textContent = `${who.operator_type} ${who.operator_id} → ${who.partner_id ?? '—'}`
    document.getElementById('partners').replaceChildren(...who.partners.map((p) => Object.assign(document.createElement('li'), { textContent: p.partner_id })))
    button.hidden = false
  } catch (e) {
    button.hidden = true
    document.getElementById('partners').replaceChildren()
    state.textContent = { 401: '请从口碑重新进入。', 403: '您没有这个商户的权限。' }[e.status] ?? '暂时无法查询，请稍后再试。'
  }
  document.documentElement.dataset.done = String(Number(document.documentElement.dataset.done ?? 0) + 1)
}

button.addEventListener('click', async () => {
  await signOut(service)
  await show()
})
await show()
