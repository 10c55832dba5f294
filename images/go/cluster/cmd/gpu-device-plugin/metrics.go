package main

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// askWithin is less than what Prometheus waits for a scrape.
const askWithin = 2 * time.Second

var gpuLabels = []string{"gpu", "UUID", "modelName", "Hostname", "simulated", "namespace", "pod", "container"}

// reading is one of the DCGM exporter's metrics, as a GPU has it that nobody holds or a pod does.
// There is no GPU to read: the figures are made up, always the same, and HELP says so.
type reading struct {
	desc       *prometheus.Desc
	idle, held func(memoryMiB float64) float64
}

func newReading(name, help string, idle, held func(float64) float64) reading {
	return reading{prometheus.NewDesc(name, "Simulated, not measured: "+help, gpuLabels, nil), idle, held}
}

func always(value float64) func(float64) float64 { return func(float64) float64 { return value } }

func share(of float64) func(float64) float64 {
	return func(memoryMiB float64) float64 { return of * memoryMiB }
}

var readings = []reading{
	newReading("DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %).", always(0), always(50)),
	newReading("DCGM_FI_DEV_FB_USED", "Framebuffer memory used (in MiB).", share(0), share(0.5)),
	newReading("DCGM_FI_DEV_FB_FREE", "Framebuffer memory free (in MiB).", share(1), share(0.5)),
	newReading("DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C).", always(30), always(60)),
	newReading("DCGM_FI_DEV_POWER_USAGE", "Power draw (in W).", always(25), always(150)),
}

var holdersKnown = prometheus.NewDesc("kindling_gpu_holders_known",
	"1 if the kubelet tells which pods hold GPUs; with 0, all GPUs look as if nobody held them.", nil, nil)

// Holder is the container that a GPU was given to.
type Holder struct{ Namespace, Pod, Container string }

// GPUs collects simulated readings of one node's GPUs.
type GPUs struct {
	Node, Product string
	MemoryMiB     int
	Devices       []string
	// Holders tells who holds which device.
	Holders func(context.Context) (map[string]Holder, error)
	Logger  *slog.Logger

	failing atomic.Bool
}

// Describe implements prometheus.Collector.
func (g *GPUs) Describe(descs chan<- *prometheus.Desc) {
	descs <- holdersKnown
	for _, one := range readings {
		descs <- one.desc
	}
}

// Collect implements prometheus.Collector.
func (g *GPUs) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	holders, err := g.Holders(ctx)
	g.tell(err)
	known := 1.0
	if err != nil {
		known = 0
	}
	metrics <- prometheus.MustNewConstMetric(holdersKnown, prometheus.GaugeValue, known)
	for index, device := range g.Devices {
		holder, isHeld := holders[device]
		// Empty labels are none; and where a scrape honours labels, they keep those of the target away.
		labels := []string{strconv.Itoa(index), device, g.Product, g.Node, "true",
			holder.Namespace, holder.Pod, holder.Container}
		for _, one := range readings {
			of := one.idle
			if isHeld {
				of = one.held
			}
			metrics <- prometheus.MustNewConstMetric(one.desc, prometheus.GaugeValue, of(float64(g.MemoryMiB)), labels...)
		}
	}
}

// tell logs when the kubelet ceases to tell holders and when it does again, not at every scrape.
func (g *GPUs) tell(err error) {
	if changed := g.failing.Swap(err != nil) != (err != nil); !changed {
		return
	}
	if err != nil {
		g.Logger.Warn("the kubelet does not tell which pods hold GPUs", "error", err.Error())
	} else {
		g.Logger.Info("the kubelet tells again which pods hold GPUs")
	}
}

// Metrics answers /metrics with the GPUs' readings and this program's own metrics.
func Metrics(gpus *GPUs) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(gpus, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}
