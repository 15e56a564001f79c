package http1

// neverTrailer reports whether a field may not stand in a trailer section (RFC 9110,
// section 6.5.1): framing, routing, authentication, what the content is and how to
// treat the request were decided long before. Were such a field merged into the
// header section, it would be believed.
func neverTrailer(name []byte) bool {
	if lookup(name) != unknownName {
		return true
	}
	for _, forbidden := range neverTrailers {
		if equalFold(name, forbidden) {
			return true
		}
	}
	return false
}

// neverTrailers are the fields that lookup does not know.
var neverTrailers = [...]string{
	"Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie",
	"Content-Type", "Content-Encoding", "Content-Range", "Content-Location",
	"Cache-Control", "Max-Forwards", "Pragma", "Range", "TE", "Trailer",
	"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range",
	"Keep-Alive", "Proxy-Connection", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
}
