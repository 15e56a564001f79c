package client

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// checkTimeout bounds one Check.
const checkTimeout = 10 * time.Second

// Check sends a request with a body of size bytes by net/http, and compares what comes back
// with kind, a media type, and want. An empty kind stands for any.
func Check(method, url string, size int, kind string, want []byte) error {
	request, err := http.NewRequest(method, url, bytes.NewReader(bytes.Repeat([]byte("x"), size)))
	if err != nil {
		return err
	}
	request.Close = true
	response, err := (&http.Client{Timeout: checkTimeout}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(io.LimitReader(response.Body, int64(len(want))+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", url, err)
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s", url, response.Status)
	case !strings.HasPrefix(response.Header.Get("Content-Type"), kind):
		return fmt.Errorf("%s: Content-Type %q, want %s", url, response.Header.Get("Content-Type"), kind)
	case !bytes.Equal(got, want):
		return fmt.Errorf("%s: a body of %d bytes, %.40q…, want %d", url, len(got), got, len(want))
	}
	return nil
}
