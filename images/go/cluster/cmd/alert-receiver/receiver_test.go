package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func receiver(t *testing.T, file string, keep int) http.Handler {
	t.Helper()
	store, err := Open(file, keep)
	if err != nil {
		t.Fatal(err)
	}
	return Handler(store, slog.New(slog.NewTextHandler(io.Discard, nil)))
}

func call(handler http.Handler, method, path, body string) (int, string) {
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(method, path, strings.NewReader(body)))
	return answer.Code, answer.Body.String()
}

func post(t *testing.T, handler http.Handler, name, status string) {
	t.Helper()
	alert := fmt.Sprintf(`{"status":%q,"labels":{"alertname":%q},"startsAt":"2026-01-01T00:00:00Z"}`, status, name)
	code, body := call(handler, "POST", "/alerts", `{"version":"4","groupKey":"g","alerts":[`+alert+`]}`)
	if code != http.StatusOK {
		t.Fatalf("answered %d: %s", code, body)
	}
}

func names(t *testing.T, handler http.Handler, query string) []string {
	t.Helper()
	code, body := call(handler, "GET", "/notifications"+query, "")
	if code != http.StatusOK {
		t.Fatalf("answered %d: %s", code, body)
	}
	var shown struct{ Notifications []Notification }
	if err := json.Unmarshal([]byte(body), &shown); err != nil {
		t.Fatal(err)
	}
	found := []string{}
	for _, one := range shown.Notifications {
		found = append(found, one.Labels["alertname"]+" "+one.Status)
	}
	return found
}

func expect(t *testing.T, found []string, wanted ...string) {
	t.Helper()
	if strings.Join(found, ",") != strings.Join(wanted, ",") {
		t.Fatalf("found %q, not %q", found, wanted)
	}
}

func TestItShowsWhatWasSentByNameStatusAndTime(t *testing.T) {
	handler := receiver(t, filepath.Join(t.TempDir(), "kept"), 10)
	post(t, handler, "A", "firing")
	post(t, handler, "B", "firing")
	post(t, handler, "A", "resolved")
	expect(t, names(t, handler, ""), "A firing", "B firing", "A resolved")
	expect(t, names(t, handler, "?alertname=A"), "A firing", "A resolved")
	expect(t, names(t, handler, "?alertname=A&status=resolved"), "A resolved")
	expect(t, names(t, handler, "?since="+time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
	hourAgo := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	expect(t, names(t, handler, "?status=firing&since="+hourAgo), "A firing", "B firing")
	if _, body := call(handler, "GET", "/notifications", ""); strings.Count(body, `"groupKey":"g"`) != 3 {
		t.Fatal(body)
	}
	_, metrics := call(handler, "GET", "/metrics", "")
	for _, wanted := range []string{`{status="firing"} 2`, `{status="resolved"} 1`} {
		if !strings.Contains(metrics, "kindling_notifications_total"+wanted) {
			t.Fatal(metrics)
		}
	}
}

func TestItLogsWhichAlertsCameAndNothingThatTheyTell(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kept")
	store, err := Open(file, 10)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	handler := Handler(store, slog.New(slog.NewTextHandler(&log, nil)))
	code, _ := call(handler, "POST", "/alerts", `{"version":"4","alerts":[{"status":"firing",
		"labels":{"alertname":"A","instance":"in-label"},"annotations":{"summary":"in-annotation"}}]}`)
	if code != http.StatusOK || !strings.Contains(log.String(), "alertname=A status=firing") {
		t.Fatalf("answered %d, logged %s", code, log.String())
	}
	if strings.Contains(log.String(), "in-") {
		t.Fatal(log.String())
	}
	// What is kept is not for other users of the machine.
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info, err)
	}
}

func TestItKeepsTheNewestOverARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kept")
	handler := receiver(t, file, 2)
	for _, name := range []string{"A", "B", "C", "D"} {
		post(t, handler, name, "firing")
	}
	expect(t, names(t, handler, ""), "C firing", "D firing")
	post(t, handler, "E", "firing")
	expect(t, names(t, handler, ""), "D firing", "E firing")
	if content, _ := os.ReadFile(file); strings.Count(string(content), "\n") > 4 {
		t.Fatalf("the file grows: %s", content)
	}
	torn, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = torn.WriteString(`{"status":"fir`)
	torn.Close()
	again := receiver(t, file, 2)
	post(t, again, "F", "firing")
	expect(t, names(t, receiver(t, file, 2), ""), "E firing", "F firing")
}

func TestWhatGrowsAsItIsWrittenIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kept")
	text := strings.Repeat("<", 1_000_000)
	code, body := call(receiver(t, file, 2), "POST", "/alerts", `{"version":"4","alerts":[{"status":"firing",
		"labels":{"alertname":"A"},"annotations":{"summary":"`+text+`"}}]}`)
	if code != http.StatusOK {
		t.Fatalf("answered %d: %s", code, body)
	}
	expect(t, names(t, receiver(t, file, 2), ""), "A firing")
}

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	handler := receiver(t, filepath.Join(t.TempDir(), "kept"), 2)
	for body, why := range map[string]string{
		`nothing`:         "not JSON",
		`{"version":"3"}`: "another version",
		`{"version":"4","alerts":[{"status":"odd"}]}`:              "a status that is none",
		`{"version":"4","x":"` + strings.Repeat("x", 1<<20) + `"}`: "too large",
	} {
		if code, _ := call(handler, "POST", "/alerts", body); code != http.StatusBadRequest {
			t.Errorf("%s: answered %d", why, code)
		}
	}
	if code, _ := call(handler, "GET", "/notifications?since=yesterday", ""); code != http.StatusBadRequest {
		t.Errorf("a bad time: answered %d", code)
	}
	expect(t, names(t, handler, ""))
}

func TestWhatCannotBeKeptIsAskedForAgain(t *testing.T) {
	folder := t.TempDir()
	handler := receiver(t, filepath.Join(folder, "kept"), 10)
	if err := os.Remove(filepath.Join(folder, "kept")); err != nil {
		t.Fatal(err)
	}
	code, _ := call(handler, "POST", "/alerts", `{"version":"4","alerts":[{"status":"firing"}]}`)
	if code != http.StatusInternalServerError {
		t.Fatalf("answered %d", code)
	}
}
