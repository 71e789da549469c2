-- Asks the landing service's internal listener who a request is from: HAProxy has no forward auth of its own.
--
--   http-request lua.koubei 127.0.0.1:9091
--
-- That address is a "listen" section of HAProxy's own, which knows the way to the service: the client in here would try an
-- address four times, a second apart, and knows no time-outs worth having. txn.koubei_types names the operator types
-- that are let in, separated by commas; unset means all. The answer's status is left in txn.koubei_status, 0 where there
-- was none. On 200 the request carries the answer's identity headers; on anything else it carries none, and must
-- not be passed on.

local names = {
  "x-koubei-app-id", "x-koubei-operator-id", "x-koubei-operator-type", "x-koubei-partner-id",
  "x-koubei-shop-ids", "x-koubei-session-expires", "x-koubei-assertion", "x-koubei-auth-code",
}

local function unescape(s)
  return (s:gsub("%+", " "):gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- The partners that a page's address names, as they stand there: the service refuses those that disagree, and takes an
-- empty one for the entry without a partner. Nothing else of the query may reach the check: it would steer it.
local function selectors(query)
  local found = ""
  for pair in (query or ""):gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=?(.*)$")
    if unescape(name) == "partner_id" then
      found = found .. "&partner_id=" .. value
    end
  end
  return found
end

local function cookies(headers)
  local all = {}
  for _, value in pairs(headers["cookie"] or {}) do all[#all + 1] = value end
  return table.concat(all, "; ")
end

local function ask(txn, address)
  local types = txn:get_var("txn.koubei_types")
  return core.httpclient():get{
    url = "http://" .. address .. "/auth/verify?" .. (types and "type=" .. types or "") .. selectors(txn.f:query()),
    headers = { cookie = { cookies(txn.http:req_get_headers()) } },
  }
end

core.register_action("koubei", { "http-req" }, function(txn, address)
  local ok, answer = pcall(ask, txn, address)
  local status = ok and answer and answer.status or 0
  if status == 200 then
    for _, name in ipairs(names) do
      local values = answer.headers[name]
      txn.http:req_set_header(name, values and values[0] or "")
    end
  end
  txn:set_var("txn.koubei_status", status)
end, 1)
