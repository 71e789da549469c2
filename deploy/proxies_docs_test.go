package deploy_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the matrix of proxies into docs/proxies.md and docs/zh/proxies.md")

// proxyPages are the pages with the matrix, each with the translation of its cells.
var proxyPages = map[string]func(t *testing.T, cell string) string{
	"../docs/proxies.md":    func(_ *testing.T, cell string) string { return cell },
	"../docs/zh/proxies.md": cellInChinese,
}

// columns are the proxies of the matrix that the tests run.
var columns = []string{"nginx", "Caddy", "HAProxy", "Traefik"}

// matrix returns the table of a page, with every cell translated.
func matrix(translate func(cell string) string) string {
	var table strings.Builder
	fmt.Fprintf(&table, "| %s | %s | Envoy |\n|%s\n", translate("request"), strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)+2))
	for _, row := range situations {
		fmt.Fprintf(&table, "| %s |", translate(row.name))
		for _, proxy := range columns {
			fmt.Fprintf(&table, " %s |", translate(row.wanted(proxy)))
		}
		fmt.Fprintf(&table, " %s |\n", translate("not run"))
	}
	return table.String()
}

const matrixMark = "<!-- matrix: written by go test ./deploy -run TestMatrixInDocs -update -->\n"

func TestMatrixInDocs(t *testing.T) {
	t.Parallel()
	for name, translate := range proxyPages {
		page := slurp(t, name)
		before, rest, ok := strings.Cut(page, matrixMark)
		end := strings.Index(rest, "\n\n")
		if !ok || end < 0 {
			t.Fatalf("%s has no %q with a table and an empty line after it", name, matrixMark)
		}
		want := before + matrixMark + matrix(func(cell string) string { return translate(t, cell) }) + rest[end+1:]
		if *update {
			write(t, name, want)
		} else if page != want {
			t.Errorf("the matrix in %s is stale: run go test ./deploy -run TestMatrixInDocs -update", name)
		}
	}
}

// cellInChinese translates a cell of the matrix. Status codes alone need no translation.
func cellInChinese(t *testing.T, cell string) string {
	t.Helper()
	if text, ok := cellsZH[cell]; ok {
		return text
	}
	if !regexp.MustCompile(`^\d[\dx]+$`).MatchString(cell) {
		t.Errorf("cellsZH has no translation of %q", cell)
	}
	return cell
}

// cellsZH are the rows and cells of the matrix in Chinese.
var cellsZH = map[string]string{
	"request": "请求",
	"not run": "未测试",

	"Signed in":                   "已登录",
	rowSockets:                    "已登录，使用 Unix 套接字",
	"Not signed in, a browser":    "未登录，浏览器访问",
	"Not signed in, an API call":  "未登录，接口调用",
	rowTypes:                      "操作人类型不允许",
	rowPartners:                   "操作人的另一个商户",
	rowOthersPartner:              "其他操作人的商户",
	"Forged `X-Koubei-*` headers": "伪造的 `X-Koubei-*` 请求头",
	"Forged headers, most identity headers empty": "伪造的请求头，且多数身份请求头为空",
	"Ambiguous path":                           "有歧义的路径",
	"Upload of 5 MB":                           "上传 5 MB",
	"WebSocket":                                "WebSocket",
	"Upgrade to another protocol":              "升级到其他协议",
	"CORS preflight":                           "CORS 预检请求",
	"60 shops":                                 "60 个门店",
	"30 KiB of cookies":                        "30 KiB 的 Cookie",
	"Headers too large":                        "请求头过大",
	"HTTP/1.0":                                 "HTTP/1.0",
	"HTTP/1.0 without Host":                    "HTTP/1.0，没有 Host",
	"Form of 20 KiB for the service":           "向本服务提交 20 KiB 的表单",
	"Form for the service, body never arrives": "向本服务提交表单，但请求体一直未到",
	"Page of the service, body never arrives":  "访问本服务的页面，但请求体一直未到",
	"Request for the application, body never arrives": "访问应用，但请求体一直未到",
	"Connections to the check":                        "与会话校验接口的连接",
	"Concurrent operators":                            "多个操作人并发访问",
	"Redis down":                                      "Redis 不可用",
	"Service down":                                    "本服务不可用",
	"Service hangs":                                   "本服务无响应",
	"Codes in the proxy's log":                        "代理日志中的授权码",

	cellIdentity:              "200，带身份",
	cellUnavailable:           "503，带 Retry-After",
	"not supported":           "不支持",
	"303 to the sign-in page": "303 到登录页",
	"that partner":            "该商户",
	"that partner, with `X-Koubei-Select-Partner`": "该商户，需带 `X-Koubei-Select-Partner`",
	"removed":                             "已删除",
	"400, or forwarded as a cleaned path": "400，或转发规范化后的路径",
	"101, identity":                       "101，带身份",
	"200, not upgraded":                   "200，不升级",
	"200, no identity":                    "200，不带身份",
	"not forwarded":                       "不转发",
	"cut off after 60 s":                  "60 秒后断开",
	"kept":                                "保持",
	"two kept":                            "保持两个",
	"never mixed":                         "不会混淆",
	"none":                                "没有",
}

func TestProxiesInDocs(t *testing.T) {
	t.Parallel()
	for page := range proxyPages {
		text := slurp(t, page)
		for _, name := range identity {
			if !strings.Contains(text, "| `"+name+"`") {
				t.Errorf("%s does not explain %s", page, name)
			}
		}
		for _, name := range []string{"nginx/koubei.conf", "caddy/Caddyfile", "haproxy/haproxy.cfg", "haproxy/koubei.lua", "traefik/traefik.yaml", "traefik/koubei.yaml",
			"envoy/envoy.yaml", "apisix/apisix.yaml", "apisix/config.yaml", "kubernetes/ingress.yaml"} {
			if _, err := os.Stat(name); err != nil || !strings.Contains(text, "deploy/"+name) {
				t.Errorf("%s does not link to %s (%v)", page, name, err)
			}
		}
	}
}
