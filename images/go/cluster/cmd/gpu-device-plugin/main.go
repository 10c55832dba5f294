// Command gpu-device-plugin advertises simulated GPUs through the kubelet's device plugin API.
//
// There is no GPU: it lets scheduling, quotas and autoscaling on nvidia.com/gpu be developed on
// machines that have none, and says "simulated" wherever it shows.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const (
	retryEvery = 500 * time.Millisecond
	// A kubelet calls back at once after a registration.
	followWithin   = 10 * time.Second
	lookAgainAfter = time.Minute
	prepareWithin  = time.Minute
)

func main() {
	node := flag.String("node-name", os.Getenv("NODE_NAME"), "the node that this runs on")
	countLabel := flag.String("count-label", "kindling.dev/gpu-count", "node label with the number of GPUs")
	product := flag.String("product", "Simulated-GPU", "product name in the node's labels")
	memory := flag.Int("memory-mib", 16384, "memory of each GPU in the node's labels, in MiB")
	resource := flag.String("resource-name", "nvidia.com/gpu", "the resource to advertise")
	dir := flag.String("plugin-dir", pluginapi.DevicePluginPath, "the kubelet's folder of plugin sockets")
	holders := flag.String("pod-resources-socket", "/var/lib/kubelet/pod-resources/kubelet.sock",
		"where the kubelet tells which pods hold GPUs")
	metricsPort := flag.Int("metrics-port", 9400, "port of /metrics; the DCGM exporter's own by default")
	flag.Parse()

	logger := slog.New(slog.NewJSONHandler(os.Stdout, nil)).With("gpu", "simulated", "node", *node)
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()

	count, err := prepare(ctx, logger, *node, *countLabel, *product, *memory)
	if err != nil {
		logger.Error("cannot read or label the node", "error", err.Error())
		os.Exit(1)
	}
	plugin := NewPlugin(*resource, *node, count, *dir)
	gpus := &GPUs{
		Node: *node, Product: *product, MemoryMiB: *memory, Devices: plugin.devices, Logger: logger,
	}
	if gpus.Holders, err = PodResources(*holders, *resource); err != nil {
		logger.Error("the kubelet cannot be asked", "error", err.Error())
		os.Exit(1)
	}
	go serveMetrics(logger, *metricsPort, gpus)
	if err := Run(ctx, logger, plugin, *dir); err != nil {
		logger.Error("the plugin stopped", "error", err.Error())
		os.Exit(1)
	}
}

// serveMetrics answers scrapes; a port that is taken ends the program, so that it shows.
func serveMetrics(logger *slog.Logger, port int, gpus *GPUs) {
	server := &http.Server{
		Addr: fmt.Sprintf(":%d", port), Handler: Metrics(gpus), ReadHeaderTimeout: 5 * time.Second,
	}
	logger.Error("metrics cannot be served", "error", server.ListenAndServe().Error())
	os.Exit(1)
}

func prepare(
	ctx context.Context, logger *slog.Logger, node, countLabel, product string, memory int,
) (int, error) {
	config, err := rest.InClusterConfig()
	if err != nil {
		return 0, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return 0, err
	}
	deadline := time.Now().Add(prepareWithin)
	for {
		count, err := countOf(ctx, client, node, countLabel)
		if err == nil {
			err = label(ctx, client, node, Labels(product, count, memory))
		}
		if err == nil {
			return count, nil
		}
		if time.Now().After(deadline) {
			// The restarts that follow show what a pod that only waits would hide.
			return 0, err
		}
		logger.Warn("the API server is asked again", "error", err.Error())
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(retryEvery):
		}
	}
}

// Run serves the devices and keeps one kubelet following them, until ctx ends.
//
// It registers only while no kubelet follows. A kubelet that restarts drops its stream and empties
// its folder of plugin sockets; one that is registered with twice in a row may drop the second
// stream when it notices the end of the first. Either way the end of the stream tells.
func Run(ctx context.Context, logger *slog.Logger, plugin *Plugin, dir string) error {
	if err := plugin.Start(); err != nil {
		return err
	}
	defer plugin.Stop()
	kubelet := filepath.Join(dir, "kubelet.sock")
	for {
		if !plugin.Followed() {
			if err := plugin.Offer(ctx, kubelet); err != nil {
				logger.Warn("the kubelet is asked again", "error", err.Error())
			} else {
				logger.Info("registered", "devices", plugin.devices)
				plugin.AwaitChange(ctx, followWithin)
			}
		} else {
			plugin.AwaitChange(ctx, lookAgainAfter)
		}
		// A kubelet takes note of a stream's end in this time, before it is registered with again.
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryEvery):
		}
	}
}
