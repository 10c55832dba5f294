package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const largestBody = 1 << 20

// message is what Alertmanager posts: version 4 of its webhook's payload.
type message struct {
	Version  string         `json:"version"`
	GroupKey string         `json:"groupKey"`
	Alerts   []Notification `json:"alerts"`
}

// Handler takes messages at /alerts and shows them at /notifications, which understands
// ?alertname=, ?status=firing or resolved, and ?since= as RFC 3339.
func Handler(store *Store, logger *slog.Logger) http.Handler {
	registry := prometheus.NewRegistry()
	received := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kindling_notifications_total",
		Help: "Alerts that Alertmanager told of, by their status.",
	}, []string{"status"})
	registry.MustRegister(received)
	for _, status := range []string{"firing", "resolved"} {
		received.WithLabelValues(status)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /notifications", func(w http.ResponseWriter, r *http.Request) { show(store, w, r) })
	mux.HandleFunc("POST /alerts", func(w http.ResponseWriter, r *http.Request) {
		var sent message
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, largestBody)).Decode(&sent)
		if err != nil || sent.Version != "4" {
			http.Error(w, "not a message of Alertmanager's webhook, version 4", http.StatusBadRequest)
			return
		}
		for i := range sent.Alerts {
			if status := sent.Alerts[i].Status; status != "firing" && status != "resolved" {
				http.Error(w, "an alert is neither firing nor resolved", http.StatusBadRequest)
				return
			}
			sent.Alerts[i].Received = time.Now().UTC()
			sent.Alerts[i].GroupKey = sent.GroupKey
		}
		if err := store.Add(sent.Alerts); err != nil {
			logger.Error("notifications are lost", "error", err.Error())
			// Alertmanager sends again what was answered with 5xx.
			http.Error(w, "cannot be kept", http.StatusInternalServerError)
			return
		}
		for _, one := range sent.Alerts {
			received.WithLabelValues(one.Status).Inc()
			logger.Info("notification", "alertname", one.Labels["alertname"], "status", one.Status,
				"severity", one.Labels["severity"], "fingerprint", one.Fingerprint)
		}
	})
	return mux
}

func show(store *Store, w http.ResponseWriter, r *http.Request) {
	asked := r.URL.Query()
	query := Query{AlertName: asked.Get("alertname"), Status: asked.Get("status")}
	if since := asked.Get("since"); since != "" {
		var err error
		if query.Since, err = time.Parse(time.RFC3339, since); err != nil {
			http.Error(w, "since must be a time as in RFC 3339", http.StatusBadRequest)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"notifications": store.Find(query)})
}
