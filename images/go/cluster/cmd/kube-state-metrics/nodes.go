package main

import (
	"regexp"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	core "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
)

var notInLabels = regexp.MustCompile(`[^a-zA-Z0-9_]`)

func nodes(factory informers.SharedInformerFactory) prometheus.Collector {
	type object = *core.Node
	return newObjects([]string{"node"}, func(n object) []string { return []string{n.Name} },
		factory.Core().V1().Nodes().Lister().List,
		gauge("kube_node_info", "Information about a cluster node.",
			[]string{"kernel_version", "os_image", "container_runtime_version", "kubelet_version",
				"kubeproxy_version", "provider_id", "pod_cidr", "system_uuid", "internal_ip"},
			func(n object) []sample {
				about := n.Status.NodeInfo
				return []sample{{[]string{about.KernelVersion, about.OSImage, about.ContainerRuntimeVersion,
					about.KubeletVersion, "deprecated", n.Spec.ProviderID, n.Spec.PodCIDR, about.SystemUUID,
					internalIP(n)}, 1}}
			}),
		gauge("kube_node_status_condition", "The condition of a cluster node.", []string{"condition", "status"},
			func(n object) []sample {
				var all []sample
				for _, condition := range n.Status.Conditions {
					for _, s := range statuses(condition.Status) {
						all = append(all, sample{append([]string{string(condition.Type)}, s.labels...), s.value})
					}
				}
				return all
			}),
		gauge("kube_node_status_allocatable",
			"The allocatable for different resources of a node that are available for scheduling.",
			[]string{"resource", "unit"},
			func(n object) []sample { return amounts(n.Status.Allocatable) }),
	)
}

func internalIP(node *core.Node) string {
	for _, address := range node.Status.Addresses {
		if address.Type == core.NodeInternalIP {
			return address.Address
		}
	}
	return ""
}

// statuses has one series for each status that a condition can have, 1 for the one that it has.
func statuses(has core.ConditionStatus) []sample {
	all := []core.ConditionStatus{core.ConditionTrue, core.ConditionFalse, core.ConditionUnknown}
	samples := make([]sample, len(all))
	for i, status := range all {
		samples[i] = sample{[]string{strings.ToLower(string(status))}, oneIf(has == status)}
	}
	return samples
}

func oneIf(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}

// amounts has resource, unit and amount of each resource; a resource of a form that upstream does
// not know is left out, as upstream does.
func amounts(list core.ResourceList) []sample {
	var all []sample
	for name, quantity := range list {
		if unit := unitOf(name); unit != "" {
			resource := notInLabels.ReplaceAllString(string(name), "_")
			all = append(all, sample{[]string{resource, unit}, float64(quantity.MilliValue()) / 1000})
		}
	}
	return all
}

func unitOf(name core.ResourceName) string {
	switch name {
	case core.ResourceCPU:
		return "core"
	case core.ResourceMemory, core.ResourceStorage, core.ResourceEphemeralStorage:
		return "byte"
	case core.ResourcePods:
		return "integer"
	}
	switch text := string(name); {
	case strings.HasPrefix(text, core.ResourceHugePagesPrefix),
		strings.HasPrefix(text, core.ResourceAttachableVolumesPrefix):
		return "byte"
	case strings.Contains(text, "/") && !strings.Contains(text, core.ResourceDefaultNamespacePrefix):
		return "integer"
	}
	return ""
}
