package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/ringkit/ringkit/client"
)

// one fetches a URL, says what became of it, and reports whether it was fetched.
func (f *fetcher) one(ctx context.Context, url string) bool {
	began := time.Now()
	t := f.shown.transfer()
	status, err := f.transfer(ctx, url, t)
	t.end(err)
	switch {
	case err != nil:
		f.shown.say("fetch: %s: %v", url, plain(err))
	case f.shown.lines:
		f.shown.say("fetch: %s: %d, %s in %v", url, status, size(t.got), time.Since(began).Round(time.Millisecond))
	}
	return err == nil
}

// plain returns the error without what is said besides: method and URL.
func plain(err error) error {
	var e *client.Error
	if errors.As(err, &e) {
		return fmt.Errorf("%s: %w", e.Op, e.Err)
	}
	return err
}

func (f *fetcher) transfer(ctx context.Context, url string, t *transfer) (status int, err error) {
	req, err := f.request(ctx, url)
	if err != nil {
		return 0, err
	}
	name, err := f.file(req.URL)
	if err != nil {
		return 0, err
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if f.fail && resp.StatusCode >= 400 {
		return resp.StatusCode, fmt.Errorf("status %s", resp.Status)
	}
	t.begin(resp.ContentLength)
	if name == "" {
		f.mu.Lock() // bodies are not mixed; that one is not read has its server wait
		defer f.mu.Unlock()
		return resp.StatusCode, f.write(f.stdout, resp, t)
	}
	return resp.StatusCode, save(name, func(w io.Writer) error { return f.write(w, resp, t) })
}

func (f *fetcher) request(ctx context.Context, url string) (*http.Request, error) {
	method := http.MethodGet
	if f.data != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, cmp.Or(f.method, method), url, f.body())
	if err != nil {
		return nil, err
	}
	req.Header = f.header.Clone()
	if f.data != nil && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "ringkit-fetch")
	}
	if f.host != "" {
		req.Host = f.host
	}
	return req, nil
}

// write writes what is wanted of a response.
func (f *fetcher) write(w io.Writer, resp *http.Response, t *transfer) error {
	if f.head {
		if _, err := fmt.Fprintf(w, "%s %s\r\n", resp.Proto, resp.Status); err != nil {
			return err
		}
		if err := resp.Header.Write(w); err != nil {
			return err
		}
		if _, err := io.WriteString(w, "\r\n"); err != nil {
			return err
		}
	}
	_, err := io.Copy(counter{w, t}, resp.Body)
	return err
}

// counter counts what is written.
type counter struct {
	io.Writer
	t *transfer
}

func (c counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.t.add(n)
	return n, err
}

// save has a file written that is complete, or not there.
func save(name string, write func(io.Writer) error) error {
	part := name + ".part"
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		part = name // a device or a pipe
	}
	file, err := os.Create(part)
	if err != nil {
		return err
	}
	err = write(file)
	if closed := file.Close(); err == nil {
		err = closed
	}
	switch {
	case part == name:
		return err
	case err == nil:
		return os.Rename(part, name)
	}
	return errors.Join(err, os.Remove(part))
}
