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

// kubelet is the kubelet's side: it takes registrations and follows the devices of each.
type kubelet struct {
	pluginapi.UnimplementedRegistrationServer

	dir        string
	server     *grpc.Server
	registered chan registration
}

// registration is one that the kubelet took; closing connection drops the plugin.
type registration struct {
	request    *pluginapi.RegisterRequest
	connection *grpc.ClientConn
	devices    []*pluginapi.Device
}

func (k *kubelet) Register(_ context.Context, r *pluginapi.RegisterRequest) (*pluginapi.Empty, error) {
	connection, err := grpc.NewClient(
		"unix://"+filepath.Join(k.dir, r.Endpoint), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	// As a real kubelet's, this stream outlives the call.
	stream, err := pluginapi.NewDevicePluginClient(connection).ListAndWatch(context.Background(), &pluginapi.Empty{})
	if err != nil {
		return nil, err
	}
	listed, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	k.registered <- registration{r, connection, listed.Devices}
	return &pluginapi.Empty{}, nil
}

// startKubelet does as a kubelet that starts: it removes all sockets, then listens on its own.
func startKubelet(t *testing.T, dir string) *kubelet {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		_ = os.Remove(filepath.Join(dir, entry.Name()))
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "kubelet.sock"))
	if err != nil {
		t.Fatal(err)
	}
	k := &kubelet{dir: dir, server: grpc.NewServer(), registered: make(chan registration, 8)}
	pluginapi.RegisterRegistrationServer(k.server, k)
	go func() { _ = k.server.Serve(listener) }()
	t.Cleanup(k.server.Stop)
	return k
}

// kill ends the kubelet and its connections, as the end of a process does.
func (k *kubelet) kill(r registration) {
	k.server.Stop()
	_ = r.connection.Close()
}

func await(t *testing.T, k *kubelet) registration {
	t.Helper()
	select {
	case registered := <-k.registered:
		if len(registered.devices) != 2 {
			t.Errorf("the kubelet was told of %v", registered.devices)
		}
		return registered
	case <-time.After(10 * time.Second):
		t.Fatal("the plugin did not register")
		return registration{}
	}
}

// start runs a plugin with two devices; the function that it returns ends it.
func start(t *testing.T, dir string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	plugin := NewPlugin("nvidia.com/gpu", "node", 2, dir)
	go func() { ended <- Run(ctx, logger, plugin, dir) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestRegistersAgainWhenTheKubeletRestarts(t *testing.T) {
	dir := t.TempDir()
	first := startKubelet(t, dir)
	stop := start(t, dir)
	registered := await(t, first)
	request := registered.request
	if request.ResourceName != "nvidia.com/gpu" || request.Version != pluginapi.Version {
		t.Errorf("registered %v", request)
	}
	first.kill(registered)
	second := startKubelet(t, dir)
	if again := await(t, second).request; again.Endpoint != request.Endpoint {
		t.Errorf("registered again at %s, not %s", again.Endpoint, request.Endpoint)
	}
	stop()
	if _, err := os.Stat(filepath.Join(dir, request.Endpoint)); !os.IsNotExist(err) {
		t.Error("the plugin's socket is still there after its end")
	}
}

func TestRegistersAgainWhenTheKubeletDropsItsStream(t *testing.T) {
	dir := t.TempDir()
	k := startKubelet(t, dir)
	defer start(t, dir)()
	_ = await(t, k).connection.Close()
	await(t, k)
}

func TestRegistersOnceWhileTheKubeletFollows(t *testing.T) {
	dir := t.TempDir()
	k := startKubelet(t, dir)
	defer start(t, dir)()
	await(t, k)
	// A kubelet's socket that appears may be that of the kubelet which follows already. It would
	// take the end of the first registration's stream for the end of the second's.
	socket := filepath.Join(dir, "kubelet.sock")
	for _, rename := range [][2]string{{socket, socket + ".away"}, {socket + ".away", socket}} {
		if err := os.Rename(rename[0], rename[1]); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-k.registered:
		t.Error("the plugin registered again with a kubelet that follows it")
	case <-time.After(4 * retryEvery):
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
