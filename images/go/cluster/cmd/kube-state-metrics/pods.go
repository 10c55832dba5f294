package main

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
)

// none is upstream's word for an owner or a class that is not there.
const none = "<none>"

func pods(factory informers.SharedInformerFactory) prometheus.Collector {
	return newObjects([]string{"namespace", "pod", "uid"},
		func(p *core.Pod) []string { return []string{p.Namespace, p.Name, string(p.UID)} },
		factory.Core().V1().Pods().Lister().List,
		gauge("kube_pod_info", "Information about pod.",
			[]string{"host_ip", "pod_ip", "node", "created_by_kind", "created_by_name", "priority_class", "host_network"},
			podInfo),
		gauge("kube_pod_status_phase", "The pods current phase.", []string{"phase"}, podPhases),
		gauge("kube_pod_status_ready", "Describes whether the pod is ready to serve requests.",
			[]string{"condition"}, podReady),
		family[*core.Pod]{"kube_pod_container_status_restarts_total",
			"The number of container restarts per container.", prometheus.CounterValue, []string{"container"},
			perContainer(func(c core.ContainerStatus) (sample, bool) {
				return sample{value: float64(c.RestartCount)}, true
			})},
		gauge("kube_pod_container_status_waiting_reason",
			"Describes the reason the container is currently in waiting state.", []string{"container", "reason"},
			perContainer(func(c core.ContainerStatus) (sample, bool) {
				if c.State.Waiting == nil {
					return sample{}, false
				}
				return sample{[]string{c.State.Waiting.Reason}, 1}, true
			})),
		gauge("kube_pod_container_status_last_terminated_reason",
			"Describes the last reason the container was in terminated state.", []string{"container", "reason"},
			perContainer(func(c core.ContainerStatus) (sample, bool) {
				if c.LastTerminationState.Terminated == nil {
					return sample{}, false
				}
				return sample{[]string{c.LastTerminationState.Terminated.Reason}, 1}, true
			})),
		gauge("kube_pod_container_resource_requests", "The number of requested request resource by a container.",
			[]string{"container", "node", "resource", "unit"}, podRequests),
	)
}

func podInfo(pod *core.Pod) []sample {
	kind, name := none, none
	if owner := metav1.GetControllerOf(pod); owner != nil {
		kind, name = owner.Kind, owner.Name
	}
	return []sample{{[]string{pod.Status.HostIP, pod.Status.PodIP, pod.Spec.NodeName, kind, name,
		pod.Spec.PriorityClassName, strconv.FormatBool(pod.Spec.HostNetwork)}, 1}}
}

func podPhases(pod *core.Pod) []sample {
	if pod.Status.Phase == "" {
		return nil
	}
	var all []sample
	for _, phase := range []core.PodPhase{
		core.PodPending, core.PodSucceeded, core.PodFailed, core.PodUnknown, core.PodRunning,
	} {
		all = append(all, sample{[]string{string(phase)}, oneIf(pod.Status.Phase == phase)})
	}
	return all
}

func podReady(pod *core.Pod) []sample {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == core.PodReady {
			return statuses(condition.Status)
		}
	}
	return nil
}

// perContainer has a series for each container of a pod whose status gives one.
func perContainer(of func(core.ContainerStatus) (sample, bool)) func(*core.Pod) []sample {
	return func(pod *core.Pod) []sample {
		var all []sample
		for _, status := range pod.Status.ContainerStatuses {
			if s, has := of(status); has {
				all = append(all, sample{append([]string{status.Name}, s.labels...), s.value})
			}
		}
		return all
	}
}

func podRequests(pod *core.Pod) []sample {
	var all []sample
	for _, container := range pod.Spec.Containers {
		for _, s := range amounts(container.Resources.Requests) {
			all = append(all, sample{append([]string{container.Name, pod.Spec.NodeName}, s.labels...), s.value})
		}
	}
	return all
}

func persistentVolumeClaims(factory informers.SharedInformerFactory) prometheus.Collector {
	type object = *core.PersistentVolumeClaim
	return newObjects([]string{"namespace", "persistentvolumeclaim"}, namespaced,
		factory.Core().V1().PersistentVolumeClaims().Lister().List,
		gauge("kube_persistentvolumeclaim_info", "Information about persistent volume claim.",
			[]string{"storageclass", "volumename", "volumemode"},
			func(p object) []sample {
				class, mode := none, ""
				if p.Spec.StorageClassName != nil {
					class = *p.Spec.StorageClassName
				}
				if p.Spec.VolumeMode != nil {
					mode = string(*p.Spec.VolumeMode)
				}
				return []sample{{[]string{class, p.Spec.VolumeName, mode}, 1}}
			}),
	)
}
