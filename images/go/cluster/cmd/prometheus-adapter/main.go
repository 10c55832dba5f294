// Command prometheus-adapter is upstream's, of which it has the custom metrics API alone.
//
// The work is done by upstream's packages, and flags and configuration are upstream's. Only this file
// is ours: upstream's own does not compile with the libraries of the cluster's Kubernetes, and with
// others every library would be compiled a second time (docs/adr/0001).
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/pflag"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/logs"
	"k8s.io/klog/v2"
	basecmd "sigs.k8s.io/custom-metrics-apiserver/pkg/cmd"
	prom "sigs.k8s.io/prometheus-adapter/pkg/client"
	"sigs.k8s.io/prometheus-adapter/pkg/config"
	provider "sigs.k8s.io/prometheus-adapter/pkg/custom-provider"
	"sigs.k8s.io/prometheus-adapter/pkg/naming"
)

// An autoscaler asks for its metrics one after another: one that hangs must not hold up the rest.
const answerWithin = 5 * time.Second

type adapter struct {
	basecmd.AdapterBase
	prometheus     *url.URL
	rules          []config.DiscoveryRule
	relist, maxAge time.Duration
}

func main() {
	logs.InitLogs()
	defer logs.FlushLogs()
	chosen, err := parse(os.Args[1:])
	if errors.Is(err, pflag.ErrHelp) {
		return
	}
	if err != nil {
		klog.ErrorS(err, "the arguments are refused")
		klog.FlushAndExit(klog.ExitFlushTimeout, 2)
	}
	if err := chosen.run(genericapiserver.SetupSignalContext()); err != nil {
		klog.ErrorS(err, "prometheus-adapter stopped")
		klog.FlushAndExit(klog.ExitFlushTimeout, 1)
	}
}

// parse reads the arguments, and the file of rules that they name.
func parse(arguments []string) (*adapter, error) {
	a := &adapter{}
	a.Name = "prometheus-adapter"
	a.FlagSet = pflag.NewFlagSet(a.Name, pflag.ContinueOnError)
	address := a.Flags().String("prometheus-url", "https://localhost", "where Prometheus answers")
	file := a.Flags().String("config", "", "file of rules: which series are served, and by which queries")
	a.Flags().DurationVar(&a.relist, "metrics-relist-interval", 10*time.Minute,
		"time between two looks at which series there are")
	a.Flags().DurationVar(&a.maxAge, "metrics-max-age", 0,
		"how old series may be that are found so; the relist interval if it is 0")
	logs.AddFlags(a.Flags())
	if err := a.Flags().Parse(arguments); err != nil {
		return nil, err
	}
	if a.maxAge == 0 {
		a.maxAge = a.relist
	}
	if a.maxAge < a.relist {
		return nil, fmt.Errorf("--metrics-max-age %v is less than --metrics-relist-interval %v", a.maxAge, a.relist)
	}
	var err error
	if a.prometheus, err = url.Parse(*address); err != nil {
		return nil, err
	}
	read, err := config.FromFile(*file)
	if err != nil {
		return nil, err
	}
	if read.ResourceRules != nil || len(read.ExternalRules) > 0 {
		return nil, fmt.Errorf("%s has resourceRules or externalRules, which this build does not serve", *file)
	}
	a.rules = read.Rules
	return a, nil
}

// run serves the metrics until the context ends.
func (a *adapter) run(ctx context.Context) error {
	mapper, err := a.RESTMapper()
	if err != nil {
		return err
	}
	objects, err := a.DynamicClient()
	if err != nil {
		return err
	}
	namers, err := naming.NamersFromConfig(a.rules, mapper)
	if err != nil {
		return err
	}
	metrics, lister := provider.NewPrometheusProvider(
		mapper, objects, newClient(a.prometheus), namers, a.relist, a.maxAge)
	lister.RunUntil(ctx.Done())
	a.WithCustomMetrics(metrics)
	return a.Run(ctx)
}

// bounded asks Prometheus without the timeout that upstream works out of a deadline: it is the time since
// then, which is negative, and which only upstream's older libraries wrote as nothing.
type bounded struct{ prom.GenericAPIClient }

func (b bounded) Do(ctx context.Context, verb, endpoint string, query url.Values) (prom.APIResponse, error) {
	query.Del("timeout")
	return b.GenericAPIClient.Do(ctx, verb, endpoint, query)
}

func newClient(prometheus *url.URL) prom.Client {
	client := prom.NewGenericAPIClient(&http.Client{Timeout: answerWithin}, prometheus, nil)
	return prom.NewClientForAPI(bounded{client}, http.MethodGet)
}
