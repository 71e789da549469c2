package koubeisim

import (
	"net/http"
	"strconv"
	"strings"
)

// text is a text in both languages.
type text struct{ zh, en string }

func (t text) in(lang string) string {
	if lang == "en" {
		return t.en
	}
	return t.zh
}

var langTags = map[string]string{"zh": "zh-CN", "en": "en"}

// languageOf returns the visitor's choice, or else the browser's first choice of zh and en; zh when in doubt.
func languageOf(c choice, r *http.Request) string {
	if langTags[c.lang] != "" {
		return c.lang
	}
	best, weight := "zh", 0.0
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		lang, _, _ := strings.Cut(strings.ToLower(tag), "-")
		w := 1.0
		if value, ok := strings.CutPrefix(strings.TrimSpace(q), "q="); ok {
			w, _ = strconv.ParseFloat(value, 64)
		}
		if langTags[lang] != "" && w > weight {
			best, weight = lang, w
		}
	}
	return best
}

func words(lang string) map[string]string {
	words := make(map[string]string, len(phrases))
	for key, t := range phrases {
		words[key] = t.in(lang)
	}
	return words
}

var phrases = map[string]text{
	"language":            {"中文", "English"},
	"title":               {"口碑模拟门户 · 仅供测试", "Koubei simulator · for tests only"},
	"colon":               {"：", ": "},
	"name":                {"口碑模拟门户", "Koubei simulator"},
	"badge":               {"仅供测试", "for tests only"},
	"intro":               {"选择一个身份进入 ISV 页面，每次都会携带新的授权码。这里的账号、商户和授权码均为虚构，与口碑、支付宝无关。", "Choose an account. The portal opens the ISV's page with a new code. Accounts, merchants and codes are made up and have nothing to do with Koubei or Alipay."},
	"app":                 {"应用", "Application"},
	"landing":             {"落地页地址", "Landing address"},
	"nolanding":           {"尚未登记落地页地址，无法进入。请在启动时使用 --landing-url 指定。", "No landing address is registered. Start the simulator with --landing-url."},
	"who":                 {"选择身份进入", "Enter as"},
	"another":             {"先以一个身份进入并退出登录，再以另一个身份进入，可以看到应用在登录陌生账号之前的询问。", "To see how an application asks about an unknown account, enter as one account, sign out, and enter as another."},
	"how":                 {"跳转方式", "Redirect"},
	"spelling":            {"参数名称", "Parameters"},
	"spelling.observed":   {"实际使用的 auth_code", "as observed: auth_code"},
	"spelling.documented": {"文档中的 code", "as documented: code"},
	"show":                {"打开方式", "Open"},
	"show.page":           {"直接打开", "as a page"},
	"show.frame":          {"在 iframe 中打开", "in an iframe"},
	"trouble":             {"模拟故障", "Faults"},
	"honest":              {"无故障", "None"},
	"chosen":              {"下次进入时", "At the next entry"},
	"code.expired":        {"授权码已过期", "the code has expired"},
	"code.used":           {"授权码已被使用", "the code was used before"},
	"code.unknown":        {"授权码不存在", "the code was never issued"},
	"code.foreign":        {"授权码属于其他应用", "the code belongs to another application"},
	"group.network":       {"网络故障", "Network"},
	"group.refusal":       {"网关拒绝", "Refusals of the gateway"},
	"group.forgery":       {"伪造的响应", "Forged responses"},
	"group.content":       {"内容与文档不符", "Content that is not as documented"},
	"group.spelling":      {"写法少见的正确响应", "Correct responses with an unusual spelling"},
	"times":               {"故障次数", "How often"},
	"times.1":             {"一次", "once"},
	"times.3":             {"三次", "three times"},
	"times.10":            {"十次", "ten times"},
	"gateway":             {"网关调用", "Gateway"},
	"queued":              {"排队的故障", "Queued faults"},
	"clear":               {"清空", "Clear"},
	"held":                {"挂起的调用", "Held calls"},
	"release":             {"放行", "Release"},
	"calls":               {"最近的调用（从新到旧）", "Latest calls, newest first"},
	"nocalls":             {"网关尚未收到调用。", "The gateway has received no calls yet."},
	"at":                  {"时间", "Time"},
	"code":                {"授权码", "Code"},
	"fault":               {"故障", "Fault"},
	"outcome":             {"结果", "Outcome"},
	"underway":            {"进行中", "in progress"},
	"ci":                  {"程序可通过 /api/app、/api/codes、/api/faults、/api/calls 控制本模拟器。", "Programs control the simulator with /api/app, /api/codes, /api/faults and /api/calls."},
	"missing":             {"页面不存在", "Page not found"},
	"frame.title":         {"商家中心（模拟）", "Merchant center (simulated)"},
	"frame.back":          {"返回门户", "Back to the portal"},
	"frame.isv":           {"ISV 页面", "The ISV's page"},
}
