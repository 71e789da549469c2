package main

// meaningsZH are the meanings of the settings in docs/zh/settings.md. TestSettingsDocs fails if one is missing.
var meaningsZH = map[string]string{
	"PUBLIC_URL":        "浏览器访问本服务的地址。使用 https 时，Cookie 带 Secure 属性，并发送 HSTS。地址可以带路径：除 CALLBACK_PATH 外，所有公共路由都位于该路径之下。",
	"CALLBACK_PATH":     "在口碑登记的回调路径。不能与本服务的其他路由相同。",
	"HOME_URL":          "进入成功后浏览器跳转的地址：一个路径，或者一个完整地址，其源（origin）与 PUBLIC_URL 相同或列于 RETURN_TO_ORIGINS。服务会替换其中的 {partner_id}、{operator_id} 和 {operator_type}；它们可以放在参数中，或路径中固定的第一段之后。",
	"HOME_URLS":         "按操作人类型分别设置，例如 PROVIDER=/p/{partner_id},MER=/m",
	"RETURN_TO_ORIGINS": "除 PUBLIC_URL 之外，return_to 和跳转地址还可以使用的源（origin），用英文逗号分隔。",
	"ENTRY_URL":         "口碑中进入本服务的页面。所有提示“请从口碑重新进入”的页面都会链接到它。",
	"CORS_ORIGINS":      "允许其页面携带凭据读取 /session 并退出登录的源，必须同站且完整书写，用英文逗号分隔。",
	"FRAME_ANCESTORS":   "可以在 iframe 中展示页面的源，用英文逗号分隔。需要同时设置 SESSION_COOKIE_SAMESITE=none。",
	"ARRIVAL_CHECK":     "auto 或 off。auto 表示先确认浏览器能保存 Cookie，再使用授权码。",
	"FORWARD_AUTH_CODE": "是否允许 /auth/verify 把授权码传给代理之后的应用。",
	"ADMIN_TOKEN":       "/admin/* 和 /debug/pprof/* 的 Bearer 令牌，至少 32 个字符。不设置时，这些路由返回 404。",
	"TRUSTED_PROXIES":   "可信代理的网段（CIDR），只采信它们的 X-Forwarded-For，用英文逗号分隔。",
	"MAX_REQUESTS":      "公共端口同时处理的请求数上限，超出的请求返回 503。",
	"ACCESS_LOG":        "除进入请求外，还有哪些请求写访问日志：all 全部；public 公共端口的请求和失败的请求；off 仅失败的请求。",

	"CONFIRM_OPERATOR_SWITCH": "当前会话属于另一位操作人时，先询问用户再切换。",
	"OPERATOR_MEMORY":         "浏览器记住每位操作人的时长，从其最近一次进入算起。浏览器已有记录时，其他操作人登录之前会先询问用户。0 表示关闭，最长 2160h。CONFIRM_OPERATOR_SWITCH=false 时不起作用。",
	"CALLBACK_RATE":           "每个客户端每分钟最多可以占用的授权码数量，按副本计算，0 表示不限制。重复进入不计入。",

	"ALIPAY_APP_ID":          "应用的 APPID。",
	"ALIPAY_APP_PRIVATE_KEY": "应用私钥：PKCS#1 或 PKCS#8，PEM 格式或密钥工具输出的 Base64 文本。",
	"ALIPAY_PUBLIC_KEY":      "支付宝公钥（不是应用公钥），PEM 格式或 Base64 文本。不使用公钥证书模式时必填。",
	"ALIPAY_APP_CERT_FILE":   "公钥证书模式：应用公钥证书文件。三个证书文件必须同时设置。",
	"ALIPAY_CERT_FILE":       "公钥证书模式：支付宝公钥证书文件。",
	"ALIPAY_ROOT_CERT_FILE":  "公钥证书模式：支付宝根证书文件。",
	"ALIPAY_ENCRYPT_KEY":     "Base64 格式的 AES 密钥。设置后，请求和响应的内容加密传输。",
	"ALIPAY_APP_AUTH_TOKEN":  "应用授权令牌（app_auth_token），设置后随请求发送。",
	"ALIPAY_GATEWAY_URL":     "网关地址：正式环境、沙箱环境或 koubeisim。",
	"ALIPAY_ALLOW_HTTP":      "允许使用其他主机上的 http:// 网关。没有 TLS 时，响应可能被重放。",
	"ALIPAY_SIGN_TYPE":       "RSA2 或 RSA。",
	"ALIPAY_CHARSET":         "utf-8、gbk、gb2312 或 gb18030。已知网关只接受前两种。",
	"ALIPAY_TIMEOUT":         "换取一个授权码的总超时时间，包括重试。",
	"ALIPAY_ATTEMPT_TIMEOUT": "单次请求的超时时间。",

	"REDIS_URL":           "redis://、rediss:// 或 unix://，采用 go-redis 的 URL 格式。",
	"REDIS_MODE":          "single、sentinel 或 cluster，决定 REDIS_URL 的格式。",
	"REDIS_TIMEOUT":       "单条命令的超时时间，包括建立连接和等待空闲连接。优先于 URL 中的超时设置。",
	"REDIS_KEY_PREFIX":    "所有键的前缀。默认为 koubei: 加 APPID 加冒号。",
	"REDIS_CA_FILE":       "PEM 文件，配合 rediss:// 使用：可以签发 Redis 证书的 CA 证书，只用于 Redis 连接。默认使用系统的 CA 证书。",
	"REDIS_CERT_FILE":     "PEM 文件，配合 rediss:// 使用：客户端证书。与 REDIS_KEY_FILE 同时设置。",
	"REDIS_KEY_FILE":      "PEM 文件，配合 rediss:// 使用：客户端证书的私钥。",
	"REDIS_WAIT_REPLICAS": "授权码的占用、会话、退出登录和撤销需要多少个从节点确认才算完成。",

	"SEAL_KEYS":               "Base64 格式的 32 字节密钥，用英文逗号分隔。第一个用于加密，全部可用于解密。默认由应用私钥派生。",
	"SESSION_LIFETIME":        "每个商户条目的有效期，从该商户的进入时间算起，最长 24h。",
	"SESSION_IDLE_TIMEOUT":    "会话在最后一次读取之后经过多久失效，0 表示关闭。",
	"SESSION_CACHE_TTL":       "进程缓存已读会话的时长。任一副本上的变更仍在 100 毫秒内生效；与 Redis 的连接中断而未被发现时，在 1 秒内生效。0s 表示关闭缓存。",
	"SESSION_COOKIE_NAME":     "会话 Cookie 的名称。使用 https 时服务自动加前缀 __Host-；设置了域名时加 __Secure-。",
	"SESSION_COOKIE_SAMESITE": "lax；页面嵌入口碑的 iframe 时用 none（需要 https）。",
	"SESSION_COOKIE_DOMAIN":   "PUBLIC_URL 主机名的上级域名，用于与该域名下的其他主机共享会话。",

	"ASSERTION_KEYS_FILE": "PEM 文件，包含 EC P-256 或 Ed25519 私钥。第一个用于签名，全部公钥都会公布。",
	"ASSERTION_AUDIENCE":  "断言的受众（audience），用英文逗号分隔。默认使用第一个，请求可用 ?audience= 指定其他。默认为 PUBLIC_URL。",
	"ASSERTION_TTL":       "断言的有效期。",

	"PUBLIC_LISTEN":    "面向浏览器的监听地址：host:port，或供同机代理使用的 unix:/path（权限 0660）。",
	"INTERNAL_LISTEN":  "面向代理和运维的监听地址：host:port 或 unix:/path。不能暴露给浏览器。",
	"SHUTDOWN_DELAY":   "收到 SIGTERM 后，报告未就绪，但继续提供服务的时长。",
	"SHUTDOWN_TIMEOUT": "随后处理完进行中请求的最长时间。应长于一次进入可能需要的时间：ALIPAY_TIMEOUT 加六倍 REDIS_TIMEOUT 再加 1 秒。",

	"LOG_LEVEL":  "debug、info、warn 或 error。",
	"LOG_FORMAT": "json 或 text。",
	"OTEL_*":     "OpenTelemetry 的标准变量。设置 OTLP 地址（OTEL_EXPORTER_OTLP_ENDPOINT）后开启链路追踪，协议为 http/protobuf。",
}

// groupsZH are the headings.
var groupsZH = map[string]string{
	"Pages and routes": "页面与路由", "Landings": "进入", "Gateway and keys": "网关与密钥", "Redis": "Redis", "Sessions": "会话",
	"Assertions": "断言", "Listeners and shutdown": "监听与停机", "Log": "日志", "Tracing": "链路追踪",
}
