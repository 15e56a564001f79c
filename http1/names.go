package http1

// CanonicalName returns a field name in the form that keys of net/http's Header
// have: the first letter and those after a hyphen in upper case, the others in
// lower case. For common names it does not allocate. A name that is not a token
// comes back as it is.
func CanonicalName(name []byte) string {
	if len(name) < len(commonNames) {
		for _, common := range commonNames[len(name)] {
			if equalFold(name, common) {
				return common
			}
		}
	}
	if !ValidToken(name) {
		return string(name)
	}
	canonical := make([]byte, len(name))
	upper := true
	for i, c := range name {
		c = lower(c)
		if upper && 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		canonical[i] = c
		upper = c == '-'
	}
	return string(canonical)
}

// commonNames has the canonical form of common field names by length.
var commonNames = [...][]string{
	2:  {"Te"},
	3:  {"Age", "Dnt", "Nel", "Via"},
	4:  {"Date", "Etag", "From", "Host", "Link", "Vary"},
	5:  {"Allow", "Range"},
	6:  {"Accept", "Cookie", "Expect", "Origin", "Pragma", "Server"},
	7:  {"Alt-Svc", "Expires", "Referer", "Sec-Gpc", "Trailer", "Upgrade", "X-Cache"},
	8:  {"If-Match", "If-Range", "Location", "Priority"},
	9:  {"Forwarded", "Report-To", "Sec-Ch-Ua", "X-Api-Key", "X-Real-Ip"},
	10: {"Connection", "Keep-Alive", "Set-Cookie", "Tracestate", "User-Agent"},
	11: {"Retry-After", "Traceparent"},
	12: {"Content-Type", "Max-Forwards", "X-Csrf-Token", "X-Powered-By", "X-Request-Id"},
	13: {"Accept-Ranges", "Authorization", "Cache-Control", "Content-Range", "If-None-Match", "Last-Event-Id", "Last-Modified", "Server-Timing"},
	14: {"Accept-Charset", "Content-Length", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User"},
	15: {"Accept-Encoding", "Accept-Language", "Referrer-Policy", "X-Forwarded-For", "X-Frame-Options"},
	16: {"Content-Encoding", "Content-Language", "Content-Location", "Proxy-Connection", "Sec-Ch-Ua-Mobile", "Www-Authenticate", "X-Correlation-Id", "X-Forwarded-Host", "X-Forwarded-Port", "X-Requested-With", "X-Xss-Protection"},
	17: {"If-Modified-Since", "Sec-Websocket-Key", "Transfer-Encoding", "X-Forwarded-Proto"},
	18: {"Permissions-Policy", "Proxy-Authenticate", "Sec-Ch-Ua-Platform"},
	19: {"Content-Disposition", "If-Unmodified-Since", "Proxy-Authorization"},
	20: {"Sec-Websocket-Accept"},
	21: {"Sec-Websocket-Version"},
	22: {"Access-Control-Max-Age", "Sec-Websocket-Protocol", "X-Content-Type-Options"},
	23: {"Content-Security-Policy"},
	24: {"Sec-Websocket-Extensions"},
	25: {"Strict-Transport-Security", "Upgrade-Insecure-Requests"},
	27: {"Access-Control-Allow-Origin"},
	28: {"Access-Control-Allow-Headers", "Access-Control-Allow-Methods"},
	29: {"Access-Control-Expose-Headers", "Access-Control-Request-Method"},
	30: {"Access-Control-Request-Headers"},
	32: {"Access-Control-Allow-Credentials"},
}
