// Command dashboards serves the viewer of dashboards, and what it reads of Prometheus and no more.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"kindling.dev/images/cluster/internal/serving"
)

const (
	headWithin  = 5 * time.Second
	idleWithin  = 2 * time.Minute
	checkWithin = 2 * time.Second
)

func main() {
	listen := flag.String("listen", ":3000", "address to listen on")
	files := flag.String("files", "/srv/viewer", "folder of the page and its scripts")
	dashboards := flag.String("dashboards", "/etc/dashboards", "folder of the dashboards' JSON and their index")
	prometheus := flag.String("prometheus", "http://prometheus:9090", "address of Prometheus")
	interval := flag.String("scrape-interval", "30s", "how often Prometheus scrapes, which bounds the windows of rates")
	check := flag.String("check", "", "only ask this address for /health, and say with the exit code whether it answers")
	flag.Parse()

	logger := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	if *check != "" {
		os.Exit(checked(*check))
	}
	target, err := url.Parse(*prometheus)
	if err != nil || target.Host == "" {
		logger.Error("--prometheus is not an address", "value", *prometheus)
		os.Exit(2)
	}
	if _, err := time.ParseDuration(*interval); err != nil {
		logger.Error("--scrape-interval is not a duration", "value", *interval)
		os.Exit(2)
	}
	handler := logged(logger, newHandler(os.DirFS(*files), os.DirFS(*dashboards), target, *interval, logger))
	if err := serve(logger, *listen, handler); err != nil {
		logger.Error("the server stopped", "error", err.Error())
		os.Exit(1)
	}
}

func serve(logger *slog.Logger, listen string, handler http.Handler) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	server := &http.Server{
		Addr: listen, Handler: handler, ReadHeaderTimeout: headWithin, ReadTimeout: headWithin, IdleTimeout: idleWithin,
	}
	logger.Info("serving", "address", listen)
	return serving.Until(ctx, server)
}

// checked is for a HEALTHCHECK in an image without a shell.
func checked(address string) int {
	client := http.Client{Timeout: checkWithin}
	answer, err := client.Get("http://" + address + "/health")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 1
	}
	return 0
}
