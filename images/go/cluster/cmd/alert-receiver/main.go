// Command alert-receiver keeps what Alertmanager sends it, so that people and tests can see that a
// notification arrived. It sends nothing on.
package main

import (
	"context"
	"flag"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"kindling.dev/images/cluster/internal/serving"
)

func main() {
	listen := flag.String("listen-address", ":8080", "where to listen")
	file := flag.String("file", "/var/lib/alert-receiver/notifications.jsonl", "where notifications are kept")
	keep := flag.Int("keep", 1000, "how many notifications of single alerts are kept, the newest")
	flag.Parse()

	logger := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	if *keep < 1 {
		logger.Error("-keep must be at least 1", "keep", *keep)
		os.Exit(2)
	}
	store, err := Open(*file, *keep)
	if err != nil {
		logger.Error("notifications cannot be kept", "error", err.Error())
		os.Exit(1)
	}
	server := &http.Server{
		Addr:              *listen,
		Handler:           Handler(store, logger),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	logger.Info("listening", "address", *listen, "kept", len(store.Find(Query{})))
	if err := serving.Until(ctx, server); err != nil {
		logger.Error("cannot serve", "error", err.Error())
		os.Exit(1)
	}
}
