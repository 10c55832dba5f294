package main

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"time"
)

const (
	queryBytes   = 1 << 20
	answerWithin = 2 * time.Minute
)

// readable is what a viewer may ask of Prometheus: queries, and what there is to query.
var readable = regexp.MustCompile(
	`^/api/v1/(query|query_range|series|labels|label/[A-Za-z_][A-Za-z0-9_]*/values|metadata|` +
		`status/buildinfo|parse_query|rules|alerts)$`,
)

// asked by POST are only those whose parameters can outgrow an address.
var asked = regexp.MustCompile(`^/api/v1/(query|query_range|series|labels|parse_query)$`)

// passed are the headers that Prometheus gets. Cookies and credentials are other servers': browsers
// send those of one port of a host to all its ports.
var passed = []string{"Accept", "Accept-Encoding", "Content-Type", "Content-Length", "User-Agent"}

func newProxy(prometheus *url.URL, logger *slog.Logger) http.Handler {
	forward := &httputil.ReverseProxy{
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			ResponseHeaderTimeout: answerWithin,
			IdleConnTimeout:       time.Minute,
			MaxIdleConnsPerHost:   32,
		},
		Rewrite: func(r *httputil.ProxyRequest) {
			kept := http.Header{}
			for _, name := range passed {
				if values := r.In.Header.Values(name); len(values) > 0 {
					kept[name] = values
				}
			}
			r.Out.Header = kept
			r.SetURL(prometheus)
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				// The page was left, or asked anew.
				w.WriteHeader(499)
				return
			}
			logger.Warn("Prometheus does not answer", "path", r.URL.Path, "error", err.Error())
			refuse(w, http.StatusBadGateway, "unavailable", "Prometheus does not answer")
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !readable.MatchString(r.URL.Path):
			refuse(w, http.StatusForbidden, "forbidden", "only queries are passed on")
		case r.Method == http.MethodGet, r.Method == http.MethodPost && asked.MatchString(r.URL.Path):
			r.Body = http.MaxBytesReader(w, r.Body, queryBytes)
			forward.ServeHTTP(w, r)
		default:
			w.Header().Set("Allow", "GET")
			refuse(w, http.StatusMethodNotAllowed, "forbidden", "only queries are passed on")
		}
	})
}

// refuse answers in the form of Prometheus' own errors, which the page can show.
func refuse(w http.ResponseWriter, status int, kind, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write([]byte(`{"status":"error","errorType":"` + kind + `","error":"` + text + `"}` + "\n"))
}
