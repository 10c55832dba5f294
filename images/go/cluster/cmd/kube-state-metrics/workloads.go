package main

import (
	"github.com/prometheus/client_golang/prometheus"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/informers"
)

// exported are the kinds that can be exported, by the names that --resources takes.
var exported = map[string]func(informers.SharedInformerFactory) prometheus.Collector{
	"daemonsets":               daemonSets,
	"deployments":              deployments,
	"horizontalpodautoscalers": horizontalPodAutoscalers,
	"nodes":                    nodes,
	"persistentvolumeclaims":   persistentVolumeClaims,
	"pods":                     pods,
	"statefulsets":             statefulSets,
}

func deployments(factory informers.SharedInformerFactory) prometheus.Collector {
	type object = *apps.Deployment
	return newObjects([]string{"namespace", "deployment"}, namespaced,
		factory.Apps().V1().Deployments().Lister().List,
		number("kube_deployment_spec_replicas", "Number of desired pods for a deployment.",
			func(d object) int32 { return orOne(d.Spec.Replicas) }),
		number("kube_deployment_status_replicas", "The number of replicas per deployment.",
			func(d object) int32 { return d.Status.Replicas }),
		number("kube_deployment_status_replicas_available", "The number of available replicas per deployment.",
			func(d object) int32 { return d.Status.AvailableReplicas }),
		number("kube_deployment_status_replicas_updated", "The number of updated replicas per deployment.",
			func(d object) int32 { return d.Status.UpdatedReplicas }),
	)
}

func statefulSets(factory informers.SharedInformerFactory) prometheus.Collector {
	type object = *apps.StatefulSet
	return newObjects([]string{"namespace", "statefulset"}, namespaced,
		factory.Apps().V1().StatefulSets().Lister().List,
		number("kube_statefulset_replicas", "Number of desired pods for a StatefulSet.",
			func(s object) int32 { return orOne(s.Spec.Replicas) }),
		number("kube_statefulset_status_replicas_ready", "The number of ready replicas per StatefulSet.",
			func(s object) int32 { return s.Status.ReadyReplicas }),
	)
}

func daemonSets(factory informers.SharedInformerFactory) prometheus.Collector {
	type object = *apps.DaemonSet
	return newObjects([]string{"namespace", "daemonset"}, namespaced,
		factory.Apps().V1().DaemonSets().Lister().List,
		number("kube_daemonset_status_desired_number_scheduled",
			"The number of nodes that should be running the daemon pod.",
			func(d object) int32 { return d.Status.DesiredNumberScheduled }),
		number("kube_daemonset_status_number_ready",
			"The number of nodes that should be running the daemon pod and have one or more of the daemon pod running and ready.",
			func(d object) int32 { return d.Status.NumberReady }),
	)
}

func horizontalPodAutoscalers(factory informers.SharedInformerFactory) prometheus.Collector {
	type object = *autoscaling.HorizontalPodAutoscaler
	return newObjects([]string{"namespace", "horizontalpodautoscaler"}, namespaced,
		factory.Autoscaling().V2().HorizontalPodAutoscalers().Lister().List,
		number("kube_horizontalpodautoscaler_spec_max_replicas",
			"Upper limit for the number of pods that can be set by the autoscaler; cannot be smaller than MinReplicas.",
			func(h object) int32 { return h.Spec.MaxReplicas }),
		number("kube_horizontalpodautoscaler_spec_min_replicas",
			"Lower limit for the number of pods that can be set by the autoscaler, default 1.",
			func(h object) int32 { return orOne(h.Spec.MinReplicas) }),
		number("kube_horizontalpodautoscaler_status_current_replicas",
			"Current number of replicas of pods managed by this autoscaler.",
			func(h object) int32 { return h.Status.CurrentReplicas }),
		number("kube_horizontalpodautoscaler_status_desired_replicas",
			"Desired number of replicas of pods managed by this autoscaler.",
			func(h object) int32 { return h.Status.DesiredReplicas }),
		gauge("kube_horizontalpodautoscaler_spec_target_metric",
			"The metric specifications used by this autoscaler when calculating the desired replica count.",
			targetLabels, func(h object) (all []sample) {
				for _, metric := range h.Spec.Metrics {
					name, of := target(metric)
					all = append(all, measured(name, of.Value, of.AverageUtilization, of.AverageValue)...)
				}
				return all
			}),
		gauge("kube_horizontalpodautoscaler_status_target_metric",
			"The current metric status used by this autoscaler when calculating the desired replica count.",
			targetLabels, func(h object) (all []sample) {
				wanted := map[string]int{}
				for _, metric := range h.Spec.Metrics {
					name, _ := target(metric)
					wanted[name]++
				}
				known := map[string][]sample{}
				for _, metric := range h.Status.CurrentMetrics {
					name, of := current(metric)
					// A metric that could not be had is an entry without any of these.
					if found := measured(name, of.Value, of.AverageUtilization, of.AverageValue); found != nil {
						known[name] = append(known[name], found...)
						wanted[name]--
					}
				}
				for name, found := range known {
					// Of two metrics of one name the series are the same: they are there when both are.
					if wanted[name] <= 0 {
						all = append(all, found...)
					}
				}
				return all
			}),
	)
}

var targetLabels = []string{"metric_name", "metric_target_type"}

// target is the name of a metric and what the autoscaler aims at.
func target(metric autoscaling.MetricSpec) (string, autoscaling.MetricTarget) {
	switch {
	case metric.Resource != nil:
		return string(metric.Resource.Name), metric.Resource.Target
	case metric.ContainerResource != nil:
		return string(metric.ContainerResource.Name), metric.ContainerResource.Target
	case metric.Pods != nil:
		return metric.Pods.Metric.Name, metric.Pods.Target
	case metric.Object != nil:
		return metric.Object.Metric.Name, metric.Object.Target
	case metric.External != nil:
		return metric.External.Metric.Name, metric.External.Target
	}
	return "", autoscaling.MetricTarget{}
}

// current is the name of a metric and what the autoscaler knows of it.
func current(metric autoscaling.MetricStatus) (string, autoscaling.MetricValueStatus) {
	switch {
	case metric.Resource != nil:
		return string(metric.Resource.Name), metric.Resource.Current
	case metric.ContainerResource != nil:
		return string(metric.ContainerResource.Name), metric.ContainerResource.Current
	case metric.Pods != nil:
		return metric.Pods.Metric.Name, metric.Pods.Current
	case metric.Object != nil:
		return metric.Object.Metric.Name, metric.Object.Current
	case metric.External != nil:
		return metric.External.Metric.Name, metric.External.Current
	}
	return "", autoscaling.MetricValueStatus{}
}

// measured is what is known of one metric: its value, its utilization in percent, its mean.
func measured(name string, value *resource.Quantity, utilization *int32, average *resource.Quantity) (known []sample) {
	if value != nil {
		known = append(known, sample{[]string{name, "value"}, value.AsApproximateFloat64()})
	}
	if utilization != nil {
		known = append(known, sample{[]string{name, "utilization"}, float64(*utilization)})
	}
	if average != nil {
		known = append(known, sample{[]string{name, "average"}, average.AsApproximateFloat64()})
	}
	return known
}

// orOne is what the API server makes of a number of replicas that is not given.
func orOne(replicas *int32) int32 {
	if replicas == nil {
		return 1
	}
	return *replicas
}
