// Command gpu-device-plugin advertises simulated GPUs through the kubelet's device plugin API.
//
// There is no GPU: it lets scheduling, quotas and autoscaling on nvidia.com/gpu be developed on
// machines that have none, and says "simulated" wherever it shows.
package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const retryEvery = 500 * time.Millisecond

func main() {
	node := flag.String("node-name", os.Getenv("NODE_NAME"), "the node that this runs on")
	countLabel := flag.String("count-label", "kindling.dev/gpu-count", "node label with the number of GPUs")
	product := flag.String("product", "Simulated-GPU", "product name in the node's labels")
	memory := flag.Int("memory-mib", 16384, "memory of each GPU in the node's labels, in MiB")
	resource := flag.String("resource-name", "nvidia.com/gpu", "the resource to advertise")
	dir := flag.String("plugin-dir", pluginapi.DevicePluginPath, "the kubelet's folder of plugin sockets")
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
	if err := Run(ctx, logger, plugin, *dir); err != nil {
		logger.Error("the plugin stopped", "error", err.Error())
		os.Exit(1)
	}
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
	for {
		count, err := countOf(ctx, client, node, countLabel)
		if err == nil {
			err = label(ctx, client, node, Labels(product, count, memory))
		}
		if err == nil {
			return count, nil
		}
		logger.Warn("the API server is asked again", "error", err.Error())
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(retryEvery):
		}
	}
}

// Run serves and registers, again whenever the kubelet restarts, until ctx ends.
//
// A kubelet that starts empties its folder of plugin sockets and makes its own anew.
func Run(ctx context.Context, logger *slog.Logger, plugin *Plugin, dir string) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer watcher.Close()
	if err := watcher.Add(dir); err != nil {
		return err
	}
	defer plugin.Stop()
	kubelet := filepath.Join(dir, "kubelet.sock")
	for {
		plugin.Stop()
		if err := plugin.Start(); err != nil {
			return err
		}
		if err := plugin.Register(ctx, kubelet); err != nil {
			logger.Warn("the kubelet is asked again", "error", err.Error())
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(retryEvery):
				continue
			}
		}
		logger.Info("registered", "devices", plugin.devices)
		if !restarted(ctx, watcher, kubelet, plugin.socket) {
			return nil
		}
		logger.Info("the kubelet restarted")
	}
}

// restarted blocks until the kubelet's socket is made anew or the plugin's is gone; false when ctx ended.
func restarted(ctx context.Context, watcher *fsnotify.Watcher, kubelet, own string) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case event := <-watcher.Events:
			if event.Name == kubelet && event.Has(fsnotify.Create) {
				return true
			}
			// Looked at again: the event may be that of the socket of an earlier start.
			if _, err := os.Stat(own); event.Name == own && os.IsNotExist(err) {
				return true
			}
		}
	}
}
