package main

import (
	"context"
	"crypto/sha1"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// Plugin advertises simulated GPUs to one kubelet and hands them out.
type Plugin struct {
	pluginapi.UnimplementedDevicePluginServer

	resource string
	devices  []string
	socket   string
	server   *grpc.Server
	// Open streams on which a kubelet follows the devices, and a word whenever their number changes.
	followers atomic.Int32
	changed   chan struct{}
}

// NewPlugin has count devices, whose names are the same whenever the plugin starts on node.
func NewPlugin(resource, node string, count int, dir string) *Plugin {
	devices := make([]string, count)
	for i := range devices {
		devices[i] = deviceName(node, i)
	}
	return &Plugin{
		resource: resource,
		devices:  devices,
		socket:   filepath.Join(dir, "kindling-gpu.sock"),
		changed:  make(chan struct{}, 1),
	}
}

// deviceName has the form of NVIDIA's names: GPU- and a UUID, made of node and index.
func deviceName(node string, index int) string {
	sum := sha1.Sum([]byte(fmt.Sprintf("kindling.dev/gpu/%s/%d", node, index)))
	return fmt.Sprintf("GPU-%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// Start serves on the plugin's socket until Stop.
func (p *Plugin) Start() error {
	if err := os.Remove(p.socket); err != nil && !os.IsNotExist(err) {
		return err
	}
	listener, err := net.Listen("unix", p.socket)
	if err != nil {
		return err
	}
	p.server = grpc.NewServer()
	pluginapi.RegisterDevicePluginServer(p.server, p)
	go func() { _ = p.server.Serve(listener) }()
	return nil
}

// Stop ends open streams, so that the kubelet marks the devices as gone, and removes the socket.
func (p *Plugin) Stop() {
	if p.server == nil {
		return
	}
	p.server.Stop()
	p.server = nil
	_ = os.Remove(p.socket)
}

// Offer tells the kubelet that listens at kubeletSocket about the plugin, after serving anew where
// a kubelet that started has removed the plugin's socket.
func (p *Plugin) Offer(ctx context.Context, kubeletSocket string) error {
	if _, err := os.Stat(p.socket); os.IsNotExist(err) {
		p.Stop()
		if err := p.Start(); err != nil {
			return err
		}
	}
	connection, err := grpc.NewClient(
		"unix://"+kubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	_, err = pluginapi.NewRegistrationClient(connection).Register(ctx, &pluginapi.RegisterRequest{
		Version:      pluginapi.Version,
		Endpoint:     filepath.Base(p.socket),
		ResourceName: p.resource,
		Options:      &pluginapi.DevicePluginOptions{},
	})
	return err
}

// Followed is whether a kubelet follows the devices now.
func (p *Plugin) Followed() bool {
	return p.followers.Load() > 0
}

// AwaitChange blocks until a kubelet has begun or ceased to follow, at most for the time given.
func (p *Plugin) AwaitChange(ctx context.Context, atMost time.Duration) {
	select {
	case <-p.changed:
	case <-ctx.Done():
	case <-time.After(atMost):
	}
}

func (p *Plugin) follow(difference int32) {
	p.followers.Add(difference)
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// GetDevicePluginOptions asks for neither preferred allocation nor a call before start.
func (p *Plugin) GetDevicePluginOptions(
	context.Context, *pluginapi.Empty,
) (*pluginapi.DevicePluginOptions, error) {
	return &pluginapi.DevicePluginOptions{}, nil
}

// ListAndWatch sends all devices as healthy once: simulated ones do not fail.
func (p *Plugin) ListAndWatch(
	_ *pluginapi.Empty, stream grpc.ServerStreamingServer[pluginapi.ListAndWatchResponse],
) error {
	p.follow(1)
	defer p.follow(-1)
	response := &pluginapi.ListAndWatchResponse{}
	for _, id := range p.devices {
		response.Devices = append(response.Devices, &pluginapi.Device{ID: id, Health: pluginapi.Healthy})
	}
	if err := stream.Send(response); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

// Allocate names the devices to the container as NVIDIA's plugin does, and says that they are simulated.
func (p *Plugin) Allocate(
	_ context.Context, request *pluginapi.AllocateRequest,
) (*pluginapi.AllocateResponse, error) {
	response := &pluginapi.AllocateResponse{}
	for _, container := range request.ContainerRequests {
		for _, id := range container.DevicesIds {
			if !p.has(id) {
				return nil, fmt.Errorf("device %s is not one of %s", id, strings.Join(p.devices, ", "))
			}
		}
		response.ContainerResponses = append(response.ContainerResponses,
			&pluginapi.ContainerAllocateResponse{
				Envs: map[string]string{
					"NVIDIA_VISIBLE_DEVICES": strings.Join(container.DevicesIds, ","),
					"KINDLING_GPU_SIMULATED": "true",
				},
				Annotations: map[string]string{"kindling.dev/gpu": "simulated"},
			})
	}
	return response, nil
}

func (p *Plugin) has(id string) bool {
	for _, device := range p.devices {
		if device == id {
			return true
		}
	}
	return false
}
