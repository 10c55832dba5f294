package main

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
)

// State holds the cluster's objects and answers for them.
type State struct {
	factory   informers.SharedInformerFactory
	objects   *prometheus.Registry
	telemetry *prometheus.Registry
	synced    atomic.Bool
}

// NewState watches the named resources once Sync is called.
func NewState(client kubernetes.Interface, names []string) *State {
	state := &State{
		factory:   informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(slim)),
		objects:   prometheus.NewRegistry(),
		telemetry: prometheus.NewRegistry(),
	}
	// Upstream has it on the telemetry port alone, which Prometheus does not read here.
	state.objects.MustRegister(buildInfo())
	for _, name := range names {
		state.objects.MustRegister(exported[name](state.factory))
	}
	state.telemetry.MustRegister(
		buildInfo(), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return state
}

// Sync reads all objects before syncing ends, and goes on following them until ctx ends.
func (s *State) Sync(ctx, syncing context.Context) error {
	s.factory.Start(ctx.Done())
	for kind, done := range s.factory.WaitForCacheSync(syncing.Done()) {
		if !done {
			return fmt.Errorf("the API server has not given all objects of type %v", kind)
		}
	}
	s.synced.Store(true)
	return nil
}

// Metrics answers /metrics for the objects; before all are read it refuses, since half of them
// would look as if the others had gone.
func (s *State) Metrics() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", s.onceSynced(promhttp.HandlerFor(s.objects, promhttp.HandlerOpts{})))
	mux.HandleFunc("/healthz", well)
	mux.HandleFunc("/livez", well)
	return mux
}

// Telemetry answers /metrics for this program itself, and whether it is ready.
func (s *State) Telemetry() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(s.telemetry, promhttp.HandlerOpts{}))
	mux.Handle("/readyz", s.onceSynced(http.HandlerFunc(well)))
	return mux
}

func (s *State) onceSynced(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.synced.Load() {
			http.Error(w, "not all objects are read yet", http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// slim drops what is half of an object and not read here: who set which field, and annotations.
func slim(object any) (any, error) {
	if read, is := object.(metav1.Object); is {
		read.SetManagedFields(nil)
		read.SetAnnotations(nil)
	}
	return object, nil
}

func well(w http.ResponseWriter, _ *http.Request) {
	_, _ = w.Write([]byte("OK"))
}

func buildInfo() prometheus.Collector {
	labels := prometheus.Labels{
		"version": version, "branch": "", "revision": "", "goversion": runtime.Version(),
		"goos": runtime.GOOS, "goarch": runtime.GOARCH,
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kube_state_metrics_build_info",
		Help: "A metric with a constant '1' value labeled by version, revision, branch, goversion from which" +
			" kube_state_metrics was built, and the goos and goarch for the build.",
		ConstLabels: labels,
	}, func() float64 { return 1 })
}

func resourceNames() []string {
	names := make([]string, 0, len(exported))
	for name := range exported {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
