package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	pluginapi "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// kubelet is the kubelet's side of registration.
type kubelet struct {
	pluginapi.UnimplementedRegistrationServer

	registered chan *pluginapi.RegisterRequest
}

func (k *kubelet) Register(_ context.Context, r *pluginapi.RegisterRequest) (*pluginapi.Empty, error) {
	k.registered <- r
	return &pluginapi.Empty{}, nil
}

func startKubelet(t *testing.T, dir string) (*kubelet, *grpc.Server) {
	t.Helper()
	socket := filepath.Join(dir, "kubelet.sock")
	_ = os.Remove(socket)
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server, k := grpc.NewServer(), &kubelet{registered: make(chan *pluginapi.RegisterRequest, 8)}
	pluginapi.RegisterRegistrationServer(server, k)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return k, server
}

func await(t *testing.T, k *kubelet) *pluginapi.RegisterRequest {
	t.Helper()
	select {
	case request := <-k.registered:
		return request
	case <-time.After(10 * time.Second):
		t.Fatal("the plugin did not register")
		return nil
	}
}

func TestRegistersAgainWhenTheKubeletRestarts(t *testing.T) {
	dir := t.TempDir()
	first, server := startKubelet(t, dir)
	plugin := NewPlugin("nvidia.com/gpu", "node", 2, dir)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	go func() { ended <- Run(ctx, logger, plugin, dir) }()

	request := await(t, first)
	if request.ResourceName != "nvidia.com/gpu" || request.Version != pluginapi.Version {
		t.Errorf("registered %v", request)
	}
	server.Stop()
	second, _ := startKubelet(t, dir)
	if again := await(t, second); again.Endpoint != request.Endpoint {
		t.Errorf("registered again at %s, not %s", again.Endpoint, request.Endpoint)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, request.Endpoint)); !os.IsNotExist(err) {
		t.Error("the plugin's socket is still there after its end")
	}
}

func TestAllocatesTheDevicesThatWereAskedForAndNoOthers(t *testing.T) {
	dir := t.TempDir()
	plugin := NewPlugin("nvidia.com/gpu", "node", 2, dir)
	if err := plugin.Start(); err != nil {
		t.Fatal(err)
	}
	defer plugin.Stop()
	connection, err := grpc.NewClient("unix://"+plugin.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	client := pluginapi.NewDevicePluginClient(connection)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	stream, err := client.ListAndWatch(ctx, &pluginapi.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	listed, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if len(listed.Devices) != 2 || listed.Devices[0].ID == listed.Devices[1].ID {
		t.Fatalf("devices are %v", listed.Devices)
	}
	ask := func(id string) (*pluginapi.AllocateResponse, error) {
		return client.Allocate(ctx, &pluginapi.AllocateRequest{
			ContainerRequests: []*pluginapi.ContainerAllocateRequest{{DevicesIds: []string{id}}},
		})
	}
	response, err := ask(listed.Devices[1].ID)
	if err != nil {
		t.Fatal(err)
	}
	envs := response.ContainerResponses[0].Envs
	if envs["NVIDIA_VISIBLE_DEVICES"] != listed.Devices[1].ID || envs["KINDLING_GPU_SIMULATED"] != "true" {
		t.Errorf("environment is %v", envs)
	}
	if _, err := ask("GPU-of-somebody-else"); err == nil {
		t.Error("a device that is not there was allocated")
	}
}

func TestDeviceNamesDifferBetweenNodesAndStayTheSame(t *testing.T) {
	if deviceName("a", 0) == deviceName("b", 0) || deviceName("a", 0) != deviceName("a", 0) {
		t.Error("device names do not identify devices")
	}
}

func TestLabelsSaySimulated(t *testing.T) {
	labels := Labels("Simulated-GPU", 2, 16384)
	for key, want := range map[string]string{
		"nvidia.com/gpu.count": "2", "nvidia.com/gpu.memory": "16384",
		"nvidia.com/gpu.product": "Simulated-GPU", "kindling.dev/gpu-mode": "simulated",
	} {
		if labels[key] != want {
			t.Errorf("%s is %q, not %q", key, labels[key], want)
		}
	}
}
