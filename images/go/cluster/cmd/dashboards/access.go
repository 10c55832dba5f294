package main

import (
	"log/slog"
	"net/http"
	"time"
)

// logged writes a line for each request, without its query: that may be anything, and long.
func logged(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			next.ServeHTTP(w, r)
			return
		}
		began := time.Now()
		noted := &noting{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(noted, r)
		logger.Info("answered",
			"method", r.Method, "path", r.URL.Path, "status", noted.status, "bytes", noted.bytes,
			"seconds", time.Since(began).Seconds(),
		)
	})
}

type noting struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (n *noting) WriteHeader(status int) {
	n.status = status
	n.ResponseWriter.WriteHeader(status)
}

func (n *noting) Write(content []byte) (int, error) {
	written, err := n.ResponseWriter.Write(content)
	n.bytes += int64(written)
	return written, err
}

// Unwrap lets the proxy flush through it.
func (n *noting) Unwrap() http.ResponseWriter { return n.ResponseWriter }
