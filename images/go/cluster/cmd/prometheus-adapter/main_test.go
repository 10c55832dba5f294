package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func parsed(t *testing.T, rules string, arguments ...string) (*adapter, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	return parse(append([]string{"--config=" + file}, arguments...))
}

const oneRule = `
rules:
  - seriesQuery: queue{namespace!="",pod!=""}
    resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
    metricsQuery: sum by (<<.GroupBy>>) (last_over_time(<<.Series>>{<<.LabelMatchers>>}[10s]))
`

func TestTheFlagsAreUpstreams(t *testing.T) {
	a, err := parsed(t, oneRule, "--prometheus-url=http://prometheus:9090", "--secure-port=6443",
		"--cert-dir=/tmp", "--metrics-relist-interval=10s", "--metrics-max-age=1h", "--v=2")
	if err != nil {
		t.Fatal(err)
	}
	if a.prometheus.Host != "prometheus:9090" || a.relist != 10*time.Second || a.maxAge != time.Hour {
		t.Errorf("read %v, %v, %v", a.prometheus, a.relist, a.maxAge)
	}
	if len(a.rules) != 1 || a.SecureServing.BindPort != 6443 {
		t.Errorf("read %v, port %d", a.rules, a.SecureServing.BindPort)
	}
}

func TestSeriesAreRememberedAtLeastUntilTheNextLook(t *testing.T) {
	if a, err := parsed(t, oneRule, "--metrics-relist-interval=1m"); err != nil || a.maxAge != time.Minute {
		t.Errorf("%v, %v", a, err)
	}
	_, err := parsed(t, oneRule, "--metrics-relist-interval=1m", "--metrics-max-age=30s")
	if err == nil || !strings.Contains(err.Error(), "30s is less than") {
		t.Errorf("%v", err)
	}
}

func TestRulesThatWouldNotBeServedAreRefused(t *testing.T) {
	for _, rules := range []string{oneRule + "externalRules: [{seriesQuery: a}]", oneRule + "resourceRules: {}"} {
		if _, err := parsed(t, rules); err == nil || !strings.Contains(err.Error(), "does not serve") {
			t.Errorf("%s: %v", rules, err)
		}
	}
}

func TestAFileThatIsNotThereIsRefused(t *testing.T) {
	if _, err := parse([]string{"--config=/nowhere"}); err == nil {
		t.Error("accepted")
	}
}

func TestARequestWithADeadlineAsksPrometheusForNoTimeThatIsPast(t *testing.T) {
	asked := make(chan url.Values, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Query()
		fmt.Fprint(w, `{"status": "success", "data": {"resultType": "vector", "result": []}}`)
	}))
	defer server.Close()
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	// As every request has it that comes in through the API server.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := newClient(address).Query(ctx, 0, "up"); err != nil {
		t.Fatal(err)
	}
	if query := <-asked; query.Get("query") != "up" || query.Has("timeout") {
		t.Errorf("asked for %v", query)
	}
}
