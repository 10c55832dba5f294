package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"
)

// lister is the kubelet's side of the pod-resources API.
type lister struct {
	podresources.UnimplementedPodResourcesListerServer

	pods []*podresources.PodResources
}

func (l *lister) List(
	context.Context, *podresources.ListPodResourcesRequest,
) (*podresources.ListPodResourcesResponse, error) {
	return &podresources.ListPodResourcesResponse{PodResources: l.pods}, nil
}

func serveLister(t *testing.T, socket string, l *lister) *grpc.Server {
	t.Helper()
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	podresources.RegisterPodResourcesListerServer(server, l)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return server
}

func trainer(devices ...string) *podresources.PodResources {
	return &podresources.PodResources{Namespace: "team", Name: "trainer", Containers: []*podresources.ContainerResources{
		{Name: "sidecar"},
		{Name: "train", Devices: []*podresources.ContainerDevices{
			{ResourceName: "example.com/other", DeviceIds: []string{"o1"}},
			{ResourceName: "nvidia.com/gpu", DeviceIds: devices},
		}},
	}}
}

func gpus(holders func(context.Context) (map[string]Holder, error)) (*GPUs, *bytes.Buffer) {
	log := &bytes.Buffer{}
	return &GPUs{
		Node: "n1", Product: "Simulated-GPU", MemoryMiB: 1000, Devices: []string{"GPU-a", "GPU-b"},
		Holders: holders, Logger: slog.New(slog.NewTextHandler(log, nil)),
	}, log
}

func scrape(t *testing.T, g *GPUs) []string {
	t.Helper()
	answer := httptest.NewRecorder()
	Metrics(g).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("status %d: %s", answer.Code, answer.Body)
	}
	return strings.Split(answer.Body.String(), "\n")
}

func series(name, gpu, uuid string, holder Holder, value string) string {
	return fmt.Sprintf(
		`%s{Hostname="n1",UUID=%q,container=%q,gpu=%q,modelName="Simulated-GPU",namespace=%q,pod=%q,simulated="true"} %s`,
		name, uuid, holder.Container, gpu, holder.Namespace, holder.Pod, value)
}

func TestAGPUThatAPodHoldsShowsItAndSomeUse(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "kubelet.sock")
	serveLister(t, socket, &lister{pods: []*podresources.PodResources{trainer("GPU-b")}})
	holders, err := PodResources(socket, "nvidia.com/gpu")
	if err != nil {
		t.Fatal(err)
	}
	g, _ := gpus(holders)
	found := scrape(t, g)
	holder := Holder{"team", "trainer", "train"}
	for _, line := range []string{
		series("DCGM_FI_DEV_GPU_UTIL", "0", "GPU-a", Holder{}, "0"),
		series("DCGM_FI_DEV_FB_USED", "0", "GPU-a", Holder{}, "0"),
		series("DCGM_FI_DEV_FB_FREE", "0", "GPU-a", Holder{}, "1000"),
		series("DCGM_FI_DEV_GPU_UTIL", "1", "GPU-b", holder, "50"),
		series("DCGM_FI_DEV_FB_USED", "1", "GPU-b", holder, "500"),
		series("DCGM_FI_DEV_FB_FREE", "1", "GPU-b", holder, "500"),
		series("DCGM_FI_DEV_GPU_TEMP", "1", "GPU-b", holder, "60"),
		series("DCGM_FI_DEV_POWER_USAGE", "1", "GPU-b", holder, "150"),
		"kindling_gpu_holders_known 1",
	} {
		if !slices.Contains(found, line) {
			t.Errorf("missing: %s", line)
		}
	}
	if t.Failed() {
		t.Log(strings.Join(found, "\n"))
	}
}

func TestEveryMetricOfAGPUSaysThatItIsSimulated(t *testing.T) {
	g, _ := gpus(func(context.Context) (map[string]Holder, error) { return nil, nil })
	helped := 0
	for _, line := range scrape(t, g) {
		if strings.HasPrefix(line, "DCGM_") && !strings.Contains(line, `simulated="true"`) {
			t.Errorf("unmarked: %s", line)
		}
		if strings.HasPrefix(line, "# HELP DCGM_") {
			helped++
			if !strings.Contains(line, " Simulated, not measured: ") {
				t.Errorf("unmarked: %s", line)
			}
		}
	}
	if helped != 5 {
		t.Errorf("%d metrics have a HELP line", helped)
	}
}

func TestWithoutTheKubeletNobodyHoldsAGPUAndThatIsSaidOnce(t *testing.T) {
	failure := errors.New("no such socket")
	g, log := gpus(func(context.Context) (map[string]Holder, error) { return nil, failure })
	for range 2 {
		found := scrape(t, g)
		if !slices.Contains(found, "kindling_gpu_holders_known 0") ||
			!slices.Contains(found, series("DCGM_FI_DEV_GPU_UTIL", "0", "GPU-a", Holder{}, "0")) {
			t.Error(strings.Join(found, "\n"))
		}
	}
	if strings.Count(log.String(), "no such socket") != 1 {
		t.Errorf("logged:\n%s", log)
	}
	g.Holders = func(context.Context) (map[string]Holder, error) { return nil, nil }
	if !slices.Contains(scrape(t, g), "kindling_gpu_holders_known 1") || !strings.Contains(log.String(), "again") {
		t.Errorf("the kubelet's return is not noticed; logged:\n%s", log)
	}
}

func TestAKubeletThatRestartsIsAskedAgain(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "kubelet.sock")
	holders, err := PodResources(socket, "nvidia.com/gpu")
	if err != nil {
		t.Fatal(err)
	}
	ask := func() (map[string]Holder, error) {
		ctx, cancel := context.WithTimeout(context.Background(), askWithin)
		defer cancel()
		return holders(ctx)
	}
	if _, err := ask(); err == nil {
		t.Error("a socket that is not there was asked")
	}
	for _, device := range []string{"GPU-a", "GPU-b"} {
		server := serveLister(t, socket, &lister{pods: []*podresources.PodResources{trainer(device)}})
		deadline := time.Now().Add(10 * time.Second)
		for {
			if found, err := ask(); err == nil && len(found) == 1 && found[device].Pod == "trainer" {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s has no holder", device)
			}
			time.Sleep(50 * time.Millisecond)
		}
		server.Stop()
	}
}
