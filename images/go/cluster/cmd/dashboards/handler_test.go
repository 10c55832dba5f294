package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
)

// upstream stands in for Prometheus and notes what reaches it.
type upstream struct {
	*httptest.Server
	requests []*http.Request
	bodies   []string
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	made := &upstream{}
	made.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		made.requests = append(made.requests, r)
		made.bodies = append(made.bodies, string(body))
		io.WriteString(w, `{"status":"success"}`)
	}))
	t.Cleanup(made.Close)
	return made
}

func newViewer(t *testing.T, prometheus string, log io.Writer) http.Handler {
	t.Helper()
	target, err := url.Parse(prometheus)
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{
		"index.html":     {Data: []byte("<html>the page</html>")},
		"assets/page.js": {Data: []byte(strings.Repeat("let a = 1;", 100))},
	}
	dashboards := fstest.MapFS{"index.json": {Data: []byte("[]")}}
	logger := slog.New(slog.NewJSONHandler(log, nil))
	return logged(logger, newHandler(files, dashboards, target, "5s", logger))
}

func ask(viewer http.Handler, method, address, body string, headers ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, address, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer := httptest.NewRecorder()
	viewer.ServeHTTP(answer, request)
	return answer
}

func TestQueriesReachPrometheus(t *testing.T) {
	prometheus := newUpstream(t)
	viewer := newViewer(t, prometheus.URL, io.Discard)
	for _, one := range []struct{ method, address string }{
		{"GET", "/api/v1/query?query=up"},
		{"POST", "/api/v1/query"},
		{"POST", "/api/v1/query_range"},
		{"GET", "/api/v1/series"},
		{"GET", "/api/v1/labels"},
		{"GET", "/api/v1/label/__name__/values"},
		{"GET", "/api/v1/metadata"},
		{"GET", "/api/v1/status/buildinfo"},
		{"POST", "/api/v1/parse_query"},
		{"GET", "/api/v1/rules"},
		{"GET", "/api/v1/alerts"},
	} {
		if answer := ask(viewer, one.method, one.address, ""); answer.Code != http.StatusOK {
			t.Errorf("%s %s is answered %d", one.method, one.address, answer.Code)
		}
	}
	if len(prometheus.requests) != 11 {
		t.Errorf("%d requests arrived", len(prometheus.requests))
	}
}

func TestAQueryArrivesAsItWasSent(t *testing.T) {
	prometheus := newUpstream(t)
	viewer := newViewer(t, prometheus.URL, io.Discard)
	form := "query=" + url.QueryEscape(`sum(rate(x{a="b"}[1m]))`)
	ask(viewer, "POST", "/api/v1/query?time=1", form, "Content-Type", "application/x-www-form-urlencoded")
	arrived := prometheus.requests[0]
	if prometheus.bodies[0] != form || arrived.URL.RawQuery != "time=1" {
		t.Errorf("arrived: %q, %q", prometheus.bodies[0], arrived.URL.RawQuery)
	}
	if arrived.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("arrived as %q", arrived.Header.Get("Content-Type"))
	}
}

func TestNothingElseReachesPrometheus(t *testing.T) {
	prometheus := newUpstream(t)
	viewer := newViewer(t, prometheus.URL, io.Discard)
	for _, one := range []struct {
		method, address string
		status          int
	}{
		{"POST", "/api/v1/admin/tsdb/delete_series", 403},
		{"GET", "/api/v1/admin/tsdb/snapshot", 403},
		{"GET", "/api/v1/status/config", 403},
		{"GET", "/api/v1/targets", 403},
		{"POST", "/api/v1/write", 403},
		{"GET", "/api/v1/label/a%2Fb/values", 403},
		{"GET", "/api/v1/querying", 403},
		{"GET", "/api/v1/query/../admin/tsdb/snapshot", 0},
		{"GET", "/api/v1/query%2F..%2Fadmin", 403},
		{"DELETE", "/api/v1/series", 405},
		{"POST", "/api/v1/rules", 405},
		{"PUT", "/api/v1/query", 405},
		{"POST", "/-/reload", 404},
		{"POST", "/-/quit", 404},
		{"GET", "/graph", 404},
		{"GET", "/metrics", 404},
	} {
		answer := ask(viewer, one.method, one.address, "")
		if one.status != 0 && answer.Code != one.status {
			t.Errorf("%s %s is answered %d", one.method, one.address, answer.Code)
		}
	}
	if len(prometheus.requests) != 0 {
		t.Errorf("arrived: %s", prometheus.requests[0].URL)
	}
}

func TestCookiesAndCredentialsOfOtherServersStayHere(t *testing.T) {
	prometheus := newUpstream(t)
	viewer := newViewer(t, prometheus.URL, io.Discard)
	ask(viewer, "GET", "/api/v1/query?query=up", "",
		"Cookie", "session=x", "Authorization", "Basic eA==", "X-Forwarded-For", "1.2.3.4", "Accept", "application/json")
	arrived := prometheus.requests[0].Header
	for _, name := range []string{"Cookie", "Authorization", "X-Forwarded-For"} {
		if arrived.Get(name) != "" {
			t.Errorf("%s arrived", name)
		}
	}
	if arrived.Get("Accept") != "application/json" {
		t.Error("Accept did not arrive")
	}
}

func TestAQueryIsBounded(t *testing.T) {
	prometheus := newUpstream(t)
	viewer := newViewer(t, prometheus.URL, io.Discard)
	if answer := ask(viewer, "POST", "/api/v1/query", strings.Repeat("x", queryBytes+1)); answer.Code == http.StatusOK {
		t.Error("a query of more than a megabyte was passed on")
	}
}

func TestAPrometheusThatIsAwayIsAnErrorThatThePageCanShow(t *testing.T) {
	prometheus := newUpstream(t)
	prometheus.Close()
	answer := ask(newViewer(t, prometheus.URL, io.Discard), "GET", "/api/v1/query?query=up", "")
	var said struct{ Status, Error string }
	if err := json.Unmarshal(answer.Body.Bytes(), &said); err != nil {
		t.Fatal(err)
	}
	if answer.Code != http.StatusBadGateway || said.Status != "error" || said.Error != "Prometheus does not answer" {
		t.Errorf("answered %d %+v", answer.Code, said)
	}
}

func TestThePageIsServedUnderEveryDashboardsAddressAndNoOther(t *testing.T) {
	viewer := newViewer(t, "http://prometheus:9090", io.Discard)
	for address, status := range map[string]int{
		"/": 200, "/d/model-serving": 200, "/dashboards/index.json": 200, "/assets/page.js": 200, "/health": 200,
		"/config.json": 200, "/index.html": 404, "/d/": 404, "/d/a/b": 404, "/assets/": 404, "/dashboards/": 404,
		"/dashboards/none.json": 404, "/dashboards/..%2Findex.html": 404,
	} {
		if answer := ask(viewer, "GET", address, ""); answer.Code != status {
			t.Errorf("%s is answered %d", address, answer.Code)
		}
	}
	if answer := ask(viewer, "POST", "/", ""); answer.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST is answered %d", answer.Code)
	}
	if said := ask(viewer, "GET", "/config.json", "").Body.String(); !strings.Contains(said, `"scrapeInterval":"5s"`) {
		t.Errorf("the page is told %s", said)
	}
}

func TestThePageMayAskThisServerOnlyAndBeInNoFrame(t *testing.T) {
	policy := ask(newViewer(t, "http://prometheus:9090", io.Discard), "GET", "/", "").Header().Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'self'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, part) {
			t.Errorf("%q is not in %q", part, policy)
		}
	}
}

func TestScriptsArePackedForBrowsersThatUnpackThem(t *testing.T) {
	viewer := newViewer(t, "http://prometheus:9090", io.Discard)
	plain := ask(viewer, "GET", "/assets/page.js", "")
	packed := ask(viewer, "GET", "/assets/page.js", "", "Accept-Encoding", "gzip, br")
	if packed.Header().Get("Content-Encoding") != "gzip" || packed.Body.Len() >= plain.Body.Len() {
		t.Fatalf("%d bytes plain, %d packed", plain.Body.Len(), packed.Body.Len())
	}
	reader, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	if content, _ := io.ReadAll(reader); !bytes.Equal(content, plain.Body.Bytes()) {
		t.Error("what was packed is something else")
	}
	if !strings.Contains(plain.Header().Get("Cache-Control"), "immutable") {
		t.Error("what is named by its hash is asked for again and again")
	}
	if kept := ask(viewer, "GET", "/dashboards/index.json", "").Header().Get("Cache-Control"); kept != "no-cache" {
		t.Errorf("a dashboard that changes is kept: %q", kept)
	}
}

func TestTheLogHasALineForEachRequestWithoutItsQuery(t *testing.T) {
	prometheus := newUpstream(t)
	var log bytes.Buffer
	viewer := newViewer(t, prometheus.URL, &log)
	ask(viewer, "GET", "/api/v1/query?query=secret", "")
	ask(viewer, "GET", "/nothing", "")
	ask(viewer, "GET", "/health", "")
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || strings.Contains(log.String(), "secret") {
		t.Fatalf("logged: %s", log.String())
	}
	var line struct {
		Method, Path string
		Status       int
	}
	if err := json.Unmarshal([]byte(lines[1]), &line); err != nil {
		t.Fatal(err)
	}
	if line.Method != "GET" || line.Path != "/nothing" || line.Status != 404 {
		t.Errorf("logged: %+v", line)
	}
}
