// Command nginx writes a configuration for the nginx that is installed and becomes it, in
// one process and with defaults otherwise: a server of the benchmark's response, see
// package peer, or with -to a reverse proxy.
package main

import (
	"bytes"
	"flag"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"text/template"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/peer"
	"github.com/ringkit/ringkit/bench/internal/secure"
	"github.com/ringkit/ringkit/bench/internal/static"
)

// conf has the cipher that Go's servers choose. The limit on requests of a connection is
// above what a measurement sends. TLS sessions are resumed by tickets, as in Go.
var conf = template.Must(template.New("nginx.conf").Parse(`daemon off; master_process off;
pid {{.Dir}}/pid; error_log {{.Dir}}/error.log;
events { worker_connections 20000; }
http {
	access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; sendfile on;
	client_body_temp_path {{.Dir}}/t1; proxy_temp_path {{.Dir}}/t2; fastcgi_temp_path {{.Dir}}/t3; uwsgi_temp_path {{.Dir}}/t4; scgi_temp_path {{.Dir}}/t5;
	default_type {{.Type}};
{{- with .To}}
	upstream origin { server {{.}}; keepalive 1024; keepalive_requests 1000000000; }
{{- end}}
	server {
		listen {{.Addr}}{{if .Cert}} ssl; ssl_certificate {{.Cert}}; ssl_certificate_key {{.Key}}; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256{{end}};
{{- with .Files}}
		location {{$.Prefix}} { alias {{.}}/; }
{{- end}}
		location / {
{{- if .To}}
			proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
			proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
{{- else}}
			return 200 "{{.Body}}";
{{- end}}
		}
	}
}
`))

type settings struct {
	Dir, Addr, To    string
	Cert, Key, Files string
	Type, Body       string
	Prefix           string
}

func main() {
	to := flag.String("to", "", "`address` of a server that requests are passed to")
	o := peer.Parse()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx" // which is not in everybody's path
	}
	dir, err := os.MkdirTemp("", "nginx-") // of whoever measures, who removes it
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		log.Fatal(err)
	}
	s := settings{Dir: dir, To: *to, Files: o.Files, Type: client.ContentType, Body: client.Body, Prefix: static.Prefix}
	if o.TLS != "" {
		s.Cert, s.Key = secure.Files(o.TLS)
	}
	at := freeAddress(o.Addr)
	s.Addr = at.String()
	var text bytes.Buffer
	if err := conf.Execute(&text, s); err != nil {
		log.Fatal(err)
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		log.Fatal(err)
	}
	peer.Listening(at)
	args := []string{program, "-c", file, "-p", dir, "-e", filepath.Join(dir, "error.log")}
	log.Fatal(syscall.Exec(program, args, os.Environ()))
}

// freeAddress has the kernel choose a port, which nginx cannot say when it has chosen one.
func freeAddress(addr string) net.Addr {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	return l.Addr()
}
