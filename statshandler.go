package ringkit

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// PrometheusContentType is the media type of the Prometheus text format that
// StatsHandler writes.
const PrometheusContentType = "text/plain; version=0.0.4; charset=utf-8"

// StatsHandler returns a handler that answers GET and HEAD with [Server.Stats]: as
// JSON, with the names in the tags of [Stats], or in the Prometheus text format. The
// query parameter format=json or format=prometheus decides; without it the Accept field
// does, where text/plain stands for Prometheus, whose scraper asks for it; without
// either it is JSON. It can be mounted in any mux, on this server or another one, and
// may be used before the server starts. What it tells is nobody's business but the
// operator's: see to it that only they can reach it.
func (srv *Server) StatsHandler() http.Handler { return statsHandler{srv} }

type statsHandler struct{ srv *Server }

func (h statsHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "405 Method Not Allowed: statistics are read with GET", http.StatusMethodNotAllowed)
		return
	}
	format := r.URL.Query().Get("format")
	if format == "" {
		format = "json"
		if prefersText(r.Header.Values("Accept")) {
			format = "prometheus"
		}
	}
	var body bytes.Buffer
	kind, err := PrometheusContentType, error(nil)
	switch stats := h.srv.Stats(); format {
	case "json":
		kind = "application/json"
		encoder := json.NewEncoder(&body)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(&stats)
	case "prometheus":
		err = stats.writePrometheus(&body)
	default:
		http.Error(w, "400 Bad Request: format is json or prometheus", http.StatusBadRequest)
		return
	}
	if err != nil {
		http.Error(w, "500 Internal Server Error: "+err.Error(), http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", kind)
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	header.Set("Cache-Control", "no-store")
	header.Set("Vary", "Accept")
	w.Write(body.Bytes()) // of HEAD the server sends nothing; an error is that the client is gone
}

// prefersText reports whether an Accept field likes plain text better than JSON.
func prefersText(accept []string) bool {
	text, json := quality(accept, "text/plain", "text/*"), quality(accept, "application/json", "application/*", "*/*")
	return text > json
}

// quality returns how much an Accept field likes one of some media ranges, from 0 to 1
// (RFC 9110, section 12.5.1). What cannot be understood counts as 0.
func quality(accept []string, ranges ...string) (best float64) {
	for _, line := range accept {
		for element := range strings.SplitSeq(line, ",") {
			media, parameters, _ := strings.Cut(element, ";")
			q := 1.0
			for p := range strings.SplitSeq(parameters, ";") {
				if name, value, ok := strings.Cut(strings.TrimSpace(p), "="); ok && strings.EqualFold(name, "q") {
					q, _ = strconv.ParseFloat(value, 64)
				}
			}
			for _, r := range ranges {
				if strings.EqualFold(strings.TrimSpace(media), r) && q > best && q <= 1 {
					best = q
				}
			}
		}
	}
	return best
}
