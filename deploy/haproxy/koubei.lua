-- Asks the landing service's internal listener who sent a request: HAProxy has no forward auth of its own.
--
--   http-request lua.koubei 127.0.0.1:9091
--
-- The address is the "listen" section koubei_check of haproxy.cfg, which has the timeouts and keeps connections to the
-- service. (The HTTP client used here would retry the service four times, one second apart.)
-- txn.koubei_types is a comma-separated list of the operator types that are allowed; unset means all. The status of the
-- check is left in txn.koubei_status, 0 if there was none. On 200 the request carries the identity headers of the check.
-- On anything else it carries none, and must not be passed on.

local names = {
  "x-koubei-app-id", "x-koubei-operator-id", "x-koubei-operator-type", "x-koubei-partner-id",
  "x-koubei-shop-ids", "x-koubei-session-expires", "x-koubei-assertion", "x-koubei-auth-code",
}

local function unescape(s)
  return (s:gsub("%+", " "):gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- selectors returns the partners that the page's address names, for the check's query. The service refuses partners that
-- disagree; an empty one selects the entry without a partner. The rest of the page's query stays out of the check, because
-- it would change what the check asks for.
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
