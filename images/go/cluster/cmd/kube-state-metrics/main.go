// Command kube-state-metrics stands in for the program of that name where its image cannot be had.
//
// It exports those of upstream's metrics that Kindling's rules and dashboards use, with upstream's
// names, labels and types, and takes those of upstream's flags that Kindling's chart sets. It says
// in its log and in kube_state_metrics_build_info that it is not upstream's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	version      = "kindling stand-in 0.1.0"
	syncWithin   = 2 * time.Minute
	shutDownTime = 3 * time.Second
)

// options are upstream's flags, as far as there are any here.
type options struct {
	port, telemetryPort int
	resources           []string
}

func main() {
	logger := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	chosen, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		logger.Error("the arguments are refused", "error", err.Error())
		os.Exit(2)
	}
	logger.Warn("this is Kindling's stand-in for kube-state-metrics, with a part of upstream's metrics",
		"version", version, "resources", chosen.resources)
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, logger, chosen); err != nil {
		logger.Error("kube-state-metrics stopped", "error", err.Error())
		os.Exit(1)
	}
}

// parse reads the arguments; a flag that is not known, or a resource, is an error.
func parse(arguments []string, output io.Writer) (options, error) {
	flags := flag.NewFlagSet("kube-state-metrics", flag.ContinueOnError)
	flags.SetOutput(output)
	port := flags.Int("port", 8080, "port of /metrics")
	telemetryPort := flags.Int("telemetry-port", 8081, "port of /readyz and of this program's own metrics")
	resources := flags.String("resources", strings.Join(resourceNames(), ","), "what to export, with commas between")
	if err := flags.Parse(arguments); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("argument %q is not a flag", flags.Arg(0))
	}
	chosen := options{port: *port, telemetryPort: *telemetryPort}
	for _, name := range strings.Split(*resources, ",") {
		if _, known := exported[name]; !known {
			return options{}, fmt.Errorf("resource %q is not one of %s", name, strings.Join(resourceNames(), ", "))
		}
		chosen.resources = append(chosen.resources, name)
	}
	return chosen, nil
}

func run(ctx context.Context, logger *slog.Logger, chosen options) error {
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	state := NewState(client, chosen.resources)
	failed := make(chan error, 3)
	for port, handler := range map[int]http.Handler{
		chosen.port:          state.Metrics(),
		chosen.telemetryPort: state.Telemetry(),
	} {
		server := &http.Server{
			Addr:              net.JoinHostPort("", strconv.Itoa(port)),
			Handler:           handler,
			ReadHeaderTimeout: 5 * time.Second,
		}
		go func() { failed <- server.ListenAndServe() }()
		defer func() {
			left, cancel := context.WithTimeout(context.Background(), shutDownTime)
			defer cancel()
			_ = server.Shutdown(left)
		}()
	}
	go func() {
		syncing, cancel := context.WithTimeout(ctx, syncWithin)
		defer cancel()
		if err := state.Sync(ctx, syncing); err != nil {
			// The restarts that follow show what a pod that only waits would hide.
			failed <- err
			return
		}
		logger.Info("all objects are read")
	}()
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
}
