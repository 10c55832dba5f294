// Command pod-network connects the pods of kind's nodes where kindnetd cannot be had.
//
// It runs in kindnetd's DaemonSet, under its name and with its few rights. It does not enforce
// NetworkPolicies.
package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	conflistDir = "/etc/cni/net.d"
	// Pods wait for this program: it asks again soon while kube-proxy is still starting.
	retryEvery = 250 * time.Millisecond
	// A watch tells of every change; the full look is for what a watch may miss.
	lookAgainAfter = time.Minute
)

func main() {
	logger := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	logger.Warn("this pod network does not enforce NetworkPolicies")
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, logger); err != nil {
		logger.Error("the pod network stopped", "error", err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context, logger *slog.Logger) error {
	// On the host's network, the host's name is that of its node.
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	hostIP := os.Getenv("HOST_IP")
	_, podSubnet, err := net.ParseCIDR(os.Getenv("POD_SUBNET"))
	if err != nil || podSubnet.IP.To4() == nil {
		return errors.New("POD_SUBNET is not one IPv4 network, which is all that this pod network can do")
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	config.Timeout = 0
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if err := syncMasquerade(podSubnet); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := follow(ctx, logger, client, name, hostIP); err != nil {
			logger.Warn("trying again", "error", err.Error())
			pause(ctx, retryEvery)
		}
	}
	return nil
}

// follow brings this node in line with all nodes, and returns when any of them changes.
func follow(ctx context.Context, logger *slog.Logger, client kubernetes.Interface, name, hostIP string) error {
	asked, cancel := context.WithTimeout(ctx, 5*time.Second)
	nodes, err := client.CoreV1().Nodes().List(asked, metav1.ListOptions{})
	cancel()
	if err != nil {
		return err
	}
	own, peers, err := split(nodes.Items, name, hostIP)
	if err != nil {
		return err
	}
	if own == nil {
		return errors.New("the node " + name + " has no pod network yet")
	}
	content, err := conflist(own, mtu())
	if err != nil {
		return err
	}
	if err := syncRoutes(peers); err != nil {
		return err
	}
	if err := writeConflist(conflistDir, content); err != nil {
		return err
	}
	logger.Info("in line", "pods", own.String(), "peers", len(peers))
	return changed(ctx, client, nodes.ResourceVersion)
}

// changed blocks until any node changes, or until it is time to look again anyway.
func changed(ctx context.Context, client kubernetes.Interface, version string) error {
	seconds := int64(lookAgainAfter.Seconds())
	watcher, err := client.CoreV1().Nodes().Watch(ctx, metav1.ListOptions{
		ResourceVersion: version, TimeoutSeconds: &seconds,
	})
	if err != nil {
		return err
	}
	defer watcher.Stop()
	for range watcher.ResultChan() {
		// Nodes report every few seconds; a second's wait makes one look of many reports.
		pause(ctx, time.Second)
		return nil
	}
	return nil
}

func mtu() int {
	device, err := net.InterfaceByName("eth0")
	if err != nil {
		return 1500
	}
	return device.MTU
}

func pause(ctx context.Context, wait time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
}
