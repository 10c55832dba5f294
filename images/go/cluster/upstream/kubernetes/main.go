// Command kubernetes is Kubernetes' control plane, kubelet, kube-proxy and kubeadm in one binary, which
// acts as the program by whose name it is called. What they share is linked and shipped once.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	_ "time/tzdata" // The time zones of CronJobs.

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubeadm "k8s.io/kubernetes/cmd/kubeadm/app"
	kubeadmerrors "k8s.io/kubernetes/cmd/kubeadm/app/util/errors"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

var servers = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-proxy":              proxy.NewProxyCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
}

func main() {
	name := filepath.Base(os.Args[0])
	if name == "kubeadm" {
		// It shows every global flag as its own, and those of the others are no use to it.
		flag.CommandLine = flag.NewFlagSet(name, flag.ExitOnError)
		pflag.CommandLine = pflag.NewFlagSet(name, pflag.ExitOnError)
		kubeadmerrors.HandleError(kubeadm.Run())
		return
	}
	command, known := servers[name]
	if !known {
		names := strings.Join(append(slices.Sorted(maps.Keys(servers)), "kubeadm"), ", ")
		fmt.Fprintf(os.Stderr, "%s is no program of Kubernetes; call this binary by one of the names %s\n", name, names)
		os.Exit(2)
	}
	os.Exit(cli.Run(command()))
}
