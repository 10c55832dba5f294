package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"
)

const (
	// The page asks nothing of other hosts. Its styles are made while it runs.
	contentPolicy = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; " +
		"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
	forever = "public, max-age=31536000, immutable"
)

// newHandler serves the page of files, the dashboards, and a part of Prometheus' API.
func newHandler(
	files, dashboards fs.FS, prometheus *url.URL, interval string, logger *slog.Logger,
) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("GET /config.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"scrapeInterval":"`+interval+`"}`+"\n")
	})
	mux.Handle("GET /dashboards/", http.StripPrefix("/dashboards/", &static{files: dashboards}))
	mux.Handle("/api/", newProxy(prometheus, logger))
	assets := &static{files: files, cache: forever}
	mux.Handle("GET /assets/", assets)
	page := &static{files: files, only: "index.html"}
	mux.Handle("GET /{$}", page)
	mux.Handle("GET /d/{uid}", page)
	return secured(mux)
}

func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", contentPolicy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// static serves regular files and never lists a folder. What never changes is packed once.
type static struct {
	files  fs.FS
	only   string
	cache  string
	packed sync.Map
}

func (s *static) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := s.only
	if name == "" {
		name = strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	}
	content, err := fs.ReadFile(s.files, name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	header := w.Header()
	if kind := mime.TypeByExtension(path.Ext(name)); kind != "" {
		header.Set("Content-Type", kind)
	}
	if s.cache == "" {
		header.Set("Cache-Control", "no-cache")
	} else {
		header.Set("Cache-Control", s.cache)
		if packs(name) && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			content = s.pack(name, content)
			header.Set("Content-Encoding", "gzip")
		}
		header.Set("Vary", "Accept-Encoding")
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
}

func packs(name string) bool {
	return strings.HasSuffix(name, ".js") || strings.HasSuffix(name, ".css")
}

func (s *static) pack(name string, content []byte) []byte {
	if found, ok := s.packed.Load(name); ok {
		return found.([]byte)
	}
	var made bytes.Buffer
	writer := gzip.NewWriter(&made)
	writer.Write(content)
	writer.Close()
	s.packed.Store(name, made.Bytes())
	return made.Bytes()
}
