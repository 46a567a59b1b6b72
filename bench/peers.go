package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"ipnoelp.io/platform/postgres"
)

// peer is a proxy that is measured.
type peer struct {
	name  string // as an argument
	title string
	start func(context.Context, *rig) (*program, string, error) // returns the address
}

var peers = []peer{
	{"ours", "gateway", func(ctx context.Context, r *rig) (*program, string, error) { return r.startGateway(ctx) }},
	{"nginx", "nginx", func(ctx context.Context, r *rig) (*program, string, error) { return r.startNginx(ctx, "nginx", false) }},
	{"nginx-log", "nginx with an access log", func(ctx context.Context, r *rig) (*program, string, error) {
		return r.startNginx(ctx, "nginx-log", true)
	}},
	{"caddy", "Caddy", func(ctx context.Context, r *rig) (*program, string, error) { return r.startCaddy(ctx) }},
	{"reverseproxy", "httputil.ReverseProxy", func(ctx context.Context, r *rig) (*program, string, error) {
		return r.startPeer(ctx, "reverseproxy", func(addr string) launch {
			return launch{args: []string{r.self, "reverse-proxy", addr, r.upstream}}
		})
	}},
	{"chp", "configurable-http-proxy", func(ctx context.Context, r *rig) (*program, string, error) { return r.startCHP(ctx) }},
	{"express", "Express, session in PostgreSQL", func(ctx context.Context, r *rig) (*program, string, error) { return r.startExpress(ctx) }},
}

// startPeer starts a proxy on an address that is free.
func (r *rig) startPeer(ctx context.Context, name string, how func(addr string) launch) (*program, string, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, "", err
	}
	p, err := r.start(name, how(addr))
	if err != nil {
		return nil, "", err
	}
	return p, addr, p.listens(ctx, addr)
}

// startNginx runs Debian's nginx. Its access log has the fields that
// edge/nginx.conf gives it.
func (r *rig) startNginx(ctx context.Context, name string, accessLog bool) (*program, string, error) {
	dir := filepath.Join(r.Dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, "", err
	}
	log := "off"
	if accessLog {
		log = dir + "/access.log event"
	}
	return r.startPeer(ctx, name, func(addr string) launch {
		conf := filepath.Join(dir, "nginx.conf")
		text := fmt.Sprintf(nginxConf, dir, log, r.upstream, addr)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			return launch{args: []string{"false"}}
		}
		return launch{args: []string{r.Nginx, "-p", dir, "-c", conf}}
	})
}

const nginxConf = `
daemon off;
user root;
worker_processes 2;
pid %[1]s/pid;
error_log stderr warn;
events { worker_connections 16384; }
http {
    log_format event escape=json
        '{"time":"$time_iso8601","request_id":"$request_id","client":"$remote_addr",'
        '"method":"$request_method","path":"$uri","status":$status,"bytes":$bytes_sent,'
        '"duration_s":$request_time,"upstream_s":"$upstream_response_time"}';
    access_log %[2]s;
    client_body_temp_path %[1]s/body;
    proxy_temp_path       %[1]s/proxy;
    fastcgi_temp_path     %[1]s/fastcgi;
    uwsgi_temp_path       %[1]s/uwsgi;
    scgi_temp_path        %[1]s/scgi;
    keepalive_timeout  120s;
    keepalive_requests 100000000;
    upstream slice {
        server %[3]s;
        keepalive 64;
        keepalive_timeout  120s;
        keepalive_requests 100000000;
    }
    server {
        listen %[4]s backlog=4096;
        location / {
            proxy_pass http://slice;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
        }
        location /socket.io/ {
            proxy_pass http://slice;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_read_timeout 90s;
        }
    }
}
`

func (r *rig) startCaddy(ctx context.Context) (*program, string, error) {
	return r.startPeer(ctx, "caddy", func(addr string) launch {
		host, port, _ := net.SplitHostPort(addr)
		conf := filepath.Join(r.Dir, "Caddyfile")
		text := fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n}\nhttp://:%s {\n\tbind %s\n\treverse_proxy %s\n}\n", port, host, r.upstream)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			return launch{args: []string{"false"}}
		}
		return launch{args: []string{r.Caddy, "run", "--config", conf, "--adapter", "caddyfile"}}
	})
}

func (r *rig) startCHP(ctx context.Context) (*program, string, error) {
	api, err := freeAddr()
	if err != nil {
		return nil, "", err
	}
	_, apiPort, _ := net.SplitHostPort(api)
	return r.startPeer(ctx, "chp", func(addr string) launch {
		host, port, _ := net.SplitHostPort(addr)
		return launch{
			args: []string{"node", filepath.Join(r.PeersDir, "node_modules", "configurable-http-proxy", "bin", "configurable-http-proxy"),
				"--ip", host, "--port", port, "--api-ip", host, "--api-port", apiPort, "--default-target", "http://" + r.upstream, "--log-level", "error"},
			environ: []string{"CONFIGPROXY_AUTH_TOKEN=" + r.password, "NODE_ENV=production"},
		}
	})
}

func (r *rig) startExpress(ctx context.Context) (*program, string, error) {
	return r.startPeer(ctx, "express", func(addr string) launch {
		_, port, _ := net.SplitHostPort(addr)
		return launch{
			args: []string{"node", filepath.Join(r.PeersDir, "express.js")},
			environ: []string{"PORT=" + port, "TARGET=http://" + r.upstream, "NODE_ENV=production",
				"DATABASE_URL=" + r.databaseURL(postgres.RoleGateway, postgres.DefaultDatabase)},
		}
	})
}

// runReverseProxy is the standard library's proxy and nothing else.
func runReverseProxy(addr, upstream string) error {
	target := &url.URL{Scheme: "http", Host: upstream}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, IdleConnTimeout: 90 * time.Second},
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return (&http.Server{Handler: proxy, IdleTimeout: 3 * time.Minute}).Serve(ln)
}
