package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/ringkit/ringkit/client"
)

const usage = `Usage: fetch [flags] [URL ...]

Fetches URLs, or those on the lines of standard input if there are none.

  fetch http://127.0.0.1:8080/                     the body to standard output
  fetch -i -d 'some body' http://127.0.0.1:8080/echo
  fetch -o page.html -L example.com
  fetch -O -P 4 http://127.0.0.1:8080/1.iso http://127.0.0.1:8080/2.iso
  fetch -O -P 32 -f < urls.txt
  fetch -X PUT -H 'Content-Type: application/json' -d @item.json http://127.0.0.1:8080/items/1

A file is written to FILE.part, which becomes FILE when it is complete and is removed when
it fails. The exit status is 0 if all was fetched, 1 if something was not, 2 for wrong
arguments. An interrupt ends all transfers.

`

// Bounds of a run.
const (
	maxParallel = 1000
	maxURLs     = 100_000
)

// options are the arguments.
type options struct {
	urls       []string
	parallel   int
	out        string // file
	remoteName bool   // the file is named as the URL
	head       bool   // is written too
	header     http.Header
	host       string
	method     string
	data       []byte // nil for none
	proxy      *url.URL
	insecure   bool
	follow     bool
	fail       bool // for statuses from 400
	coded      bool // ask for compression
	silent     bool
	timeout    time.Duration
}

func parse(args []string, stdin io.Reader, help io.Writer) (*options, error) {
	o := &options{header: make(http.Header)}
	flags := flag.NewFlagSet("fetch", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.IntVar(&o.parallel, "P", 8, "`number` of URLs to fetch at a time")
	flags.StringVar(&o.out, "o", "", "`file` for the body, - for standard output; for one URL")
	flags.BoolVar(&o.remoteName, "O", false, "write to files named as the last part of each URL")
	flags.BoolVar(&o.head, "i", false, "write the head of the response, too")
	flags.Func("H", "`field` of the request, \"Name: value\"; may be repeated", o.addField)
	flags.StringVar(&o.method, "X", "", "`method`; the default is GET, and POST with -d")
	data := flags.String("d", "", "`body` of the request, @file for that of a file, @- for standard input")
	flags.Func("proxy", "`URL` of a proxy: http, https, socks5 or socks5h; the default is that of the environment", func(s string) (err error) {
		o.proxy, err = url.Parse(s)
		return err
	})
	flags.BoolVar(&o.insecure, "insecure", false, "do not verify certificates")
	flags.BoolVar(&o.follow, "L", false, "follow up to 10 redirects")
	flags.BoolVar(&o.fail, "f", false, "fail for a status of 400 or more, without its body")
	flags.BoolVar(&o.coded, "compressed", false, "ask for gzip, deflate, br or zstd, and decode it")
	flags.BoolVar(&o.silent, "s", false, "show no progress")
	flags.DurationVar(&o.timeout, "timeout", 0, "`time` that one URL may take; the default has no end, but for one that makes no progress")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(help, usage)
			flags.SetOutput(help)
			flags.PrintDefaults()
		}
		return nil, err
	}
	sends := false
	flags.Visit(func(f *flag.Flag) { sends = sends || f.Name == "d" })
	if sends {
		if err := o.readData(*data, stdin); err != nil {
			return nil, err
		}
	}
	if o.urls = flags.Args(); len(o.urls) == 0 {
		if *data == "@-" {
			return nil, errors.New("-d @- and URLs cannot both come from standard input")
		}
		if err := o.readURLs(stdin); err != nil {
			return nil, err
		}
	}
	return o, o.check()
}

func (o *options) addField(field string) error {
	name, value, ok := strings.Cut(field, ":")
	if !ok {
		return errors.New("want Name: value")
	}
	if value = strings.TrimSpace(value); strings.EqualFold(name, "Host") {
		o.host = value
	} else {
		o.header.Add(name, value)
	}
	return nil
}

func (o *options) readData(data string, stdin io.Reader) (err error) {
	name, isFile := strings.CutPrefix(data, "@")
	switch {
	case !isFile:
		o.data = []byte(data)
	case name == "-":
		o.data, err = io.ReadAll(stdin)
	default:
		o.data, err = os.ReadFile(name)
	}
	if o.data == nil {
		o.data = []byte{}
	}
	return err
}

func (o *options) readURLs(stdin io.Reader) error {
	lines := bufio.NewScanner(stdin)
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" {
			o.urls = append(o.urls, line)
		}
		if len(o.urls) > maxURLs {
			return fmt.Errorf("more than %d URLs", maxURLs)
		}
	}
	return lines.Err()
}

func (o *options) check() error {
	switch {
	case len(o.urls) == 0:
		return errors.New("no URL")
	case o.parallel < 1 || o.parallel > maxParallel:
		return fmt.Errorf("-P %d: want 1 to %d", o.parallel, maxParallel)
	case o.out != "" && o.remoteName:
		return errors.New("-o and -O: want one of them")
	case o.out != "" && o.out != "-" && len(o.urls) > 1:
		return errors.New("-o is for one URL; -O gives each a file")
	case o.timeout < 0:
		return fmt.Errorf("-timeout %v: want 0 or more", o.timeout)
	}
	seen := make(map[string]bool)
	for i, text := range o.urls {
		if !strings.Contains(text, "://") {
			text = "http://" + text
			o.urls[i] = text
		}
		u, err := url.Parse(text)
		if err != nil {
			return err
		}
		if o.remoteName {
			name, err := fileName(u)
			if err != nil {
				return err
			}
			if seen[name] {
				return fmt.Errorf("-O: more than one URL is for the file %q", name)
			}
			seen[name] = true
		}
	}
	return nil
}

// fileName returns the last part of the path of a URL.
func fileName(u *url.URL) (string, error) {
	name, err := url.PathUnescape(path.Base(u.EscapedPath()))
	if err != nil || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") || strings.HasSuffix(u.Path, "/") {
		return "", fmt.Errorf("-O: %s has no name for a file", u.Redacted())
	}
	return name, nil
}

// file returns the file for a URL, "" for standard output.
func (o *options) file(u *url.URL) (string, error) {
	switch {
	case o.remoteName:
		return fileName(u)
	case o.out == "-":
		return "", nil
	}
	return o.out, nil
}

func (o *options) toStdout() bool { return !o.remoteName && (o.out == "" || o.out == "-") }

// redirects is for Client.MaxRedirects.
func (o *options) redirects() int {
	if o.follow {
		return client.DefaultMaxRedirects
	}
	return -1
}

func (o *options) transport() *client.Transport {
	t := &client.Transport{
		Proxy:              http.ProxyFromEnvironment,
		DisableCompression: !o.coded,
		MaxBodyBytes:       -1, // it is not kept in memory
	}
	if o.proxy != nil {
		t.Proxy = http.ProxyURL(o.proxy)
	}
	if o.insecure {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	}
	return t
}

// body returns the body of a request, nil for none.
func (o *options) body() io.Reader {
	if o.data == nil {
		return nil
	}
	return bytes.NewReader(o.data)
}
