package peer

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/mix"
)

// Paths of the routes besides those of packages mix, static and ws.
const (
	JSON   = "/json"   // a message as JSON, encoded for each request
	Upload = "/upload" // how many bytes the body of the request had, in decimal
)

// JSONType is the media type of what JSON answers; all else has client.ContentType.
const JSONType = "application/json"

// Message returns what JSON answers, which all servers encode with the same package.
func Message() []byte {
	data, err := json.Marshal(struct {
		Message string `json:"message"`
	}{client.Body})
	if err != nil {
		panic(err) // it is a string
	}
	return data
}

// Received returns what Upload answers to a body of n bytes.
func Received(n int64) string { return strconv.FormatInt(n, 10) }

// Standard answers as a program for net/http does.
func Standard(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case JSON:
		w.Header().Set("Content-Type", JSONType)
		w.Write(Message())
	case Upload:
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", client.ContentType)
		io.WriteString(w, Received(n))
	default:
		w.Header().Set("Content-Type", client.ContentType)
		io.WriteString(w, mix.Answer(r.URL.Path))
	}
}
