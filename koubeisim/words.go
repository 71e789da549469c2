package koubeisim

import (
	"net/http"
	"strconv"
	"strings"
)

var langTags = map[string]string{"zh": "zh-CN", "en": "en"}

// languageOf is what the visitor chose, else the browser's first choice of our two; Chinese when in doubt.
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
	for key, p := range phrases {
		words[key] = map[string]string{"zh": p.zh, "en": p.en}[lang]
	}
	return words
}

var phrases = map[string]struct{ zh, en string }{
	"language":            {"中文", "English"},
	"title":               {"口碑模拟门户 · 仅供测试", "Koubei, simulated · for tests only"},
	"colon":               {"：", ": "},
	"name":                {"口碑模拟门户", "Koubei, simulated"},
	"badge":               {"仅供测试", "for tests only"},
	"intro":               {"选择身份，带着一枚新授权码进入 ISV 的页面。这里的人、商户和授权码都是虚构的，与口碑、支付宝无关。", "Choose who you are and enter the ISV's page with a fresh code. People, merchants and codes here are made up; Koubei and Alipay have no part in it."},
	"app":                 {"应用", "Application"},
	"landing":             {"落地地址", "Landing address"},
	"nolanding":           {"还没有登记落地地址，无法进入。启动时请用 --landing-url 指定。", "No landing address is registered, so there is nowhere to go. Start with --landing-url."},
	"who":                 {"以谁的身份进入", "Enter as"},
	"how":                 {"怎样跳转", "How to get there"},
	"spelling":            {"参数写法", "Parameters"},
	"spelling.observed":   {"实际所见 auth_code", "as observed: auth_code"},
	"spelling.documented": {"文档所述 code", "as documented: code"},
	"show":                {"显示方式", "Shown"},
	"show.page":           {"直接打开", "as a page"},
	"show.frame":          {"在 iframe 中", "in an iframe"},
	"trouble":             {"什么会出错", "What goes wrong"},
	"honest":              {"一切正常", "Nothing"},
	"chosen":              {"下一次进入时", "At the next entry"},
	"code.expired":        {"授权码已过期", "the code has expired"},
	"code.used":           {"授权码已被使用", "the code has been used"},
	"code.unknown":        {"授权码不存在", "the code never existed"},
	"code.foreign":        {"授权码属于别的应用", "the code is another application's"},
	"group.network":       {"网络", "The network"},
	"group.refusal":       {"网关拒绝", "The gateway refuses"},
	"group.forgery":       {"应答被伪造", "Somebody forges"},
	"group.content":       {"内容不合文档", "Not as documented"},
	"group.spelling":      {"难读的真应答", "True, but hard to read"},
	"times":               {"故障次数", "How often"},
	"times.1":             {"一次", "once"},
	"times.3":             {"三次", "three times"},
	"times.10":            {"十次", "ten times"},
	"gateway":             {"网关动态", "At the gateway"},
	"queued":              {"排队的故障", "Faults in the queue"},
	"clear":               {"清空", "Clear"},
	"held":                {"挂起的调用", "Calls being held"},
	"release":             {"放行", "Release"},
	"calls":               {"最近的调用，新的在前", "The latest calls, newest first"},
	"nocalls":             {"网关还没有收到调用。", "Nothing has reached the gateway yet."},
	"at":                  {"时间", "Time"},
	"code":                {"授权码", "Code"},
	"fault":               {"故障", "Fault"},
	"outcome":             {"结果", "Outcome"},
	"underway":            {"进行中", "under way"},
	"ci":                  {"程序可用 /api/app、/api/codes、/api/faults、/api/calls 控制本模拟器。", "Programs control the simulator by /api/app, /api/codes, /api/faults and /api/calls."},
	"frame.title":         {"商家中心（模拟）", "Merchant centre (simulated)"},
	"frame.back":          {"返回门户", "Back to the portal"},
	"frame.isv":           {"ISV 的页面", "The ISV's page"},
}
