package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
)

func get(t *testing.T, handler http.Handler, path string) (int, string) {
	t.Helper()
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	return answer.Code, answer.Body.String()
}

// synced is a State that has read the objects of client.
func synced(t *testing.T, client kubernetes.Interface, names ...string) *State {
	t.Helper()
	if len(names) == 0 {
		names = resourceNames()
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	state := NewState(client, names)
	syncing, end := context.WithTimeout(ctx, 10*time.Second)
	defer end()
	if err := state.Sync(ctx, syncing); err != nil {
		t.Fatal(err)
	}
	return state
}

// lines are what is exported for objects: series, HELP and TYPE.
func lines(t *testing.T, objects ...runtime.Object) []string {
	t.Helper()
	status, body := get(t, synced(t, fake.NewClientset(objects...)).Metrics(), "/metrics")
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	return strings.Split(strings.TrimSpace(body), "\n")
}

func expect(t *testing.T, found []string, wanted ...string) {
	t.Helper()
	for _, line := range wanted {
		if !slices.Contains(found, line) {
			t.Errorf("missing: %s", line)
		}
	}
	if t.Failed() {
		t.Logf("there are:\n%s", strings.Join(found, "\n"))
	}
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "kindling", Name: name, UID: "u1"}
}

func of[T any](value T) *T { return &value }

func TestWorkloadsHaveTheReplicasThatTheyShouldAndDo(t *testing.T) {
	expect(t, lines(t,
		&apps.Deployment{
			ObjectMeta: meta("serving"),
			Spec:       apps.DeploymentSpec{Replicas: of(int32(3))},
			Status:     apps.DeploymentStatus{Replicas: 4, AvailableReplicas: 2, UpdatedReplicas: 1},
		},
		&apps.StatefulSet{
			ObjectMeta: meta("postgresql"),
			Spec:       apps.StatefulSetSpec{Replicas: of(int32(2))},
			Status:     apps.StatefulSetStatus{ReadyReplicas: 1},
		},
		&apps.DaemonSet{
			ObjectMeta: meta("node-exporter"),
			Status:     apps.DaemonSetStatus{DesiredNumberScheduled: 3, NumberReady: 2},
		},
		&autoscaling.HorizontalPodAutoscaler{
			ObjectMeta: meta("serving"),
			Spec: autoscaling.HorizontalPodAutoscalerSpec{
				MinReplicas: of(int32(2)), MaxReplicas: 10,
				Metrics: []autoscaling.MetricSpec{
					{Resource: &autoscaling.ResourceMetricSource{
						Name: "cpu", Target: autoscaling.MetricTarget{AverageUtilization: of(int32(70))},
					}},
					{Pods: &autoscaling.PodsMetricSource{
						Metric: autoscaling.MetricIdentifier{Name: "queue"},
						Target: autoscaling.MetricTarget{AverageValue: of(resource.MustParse("8"))},
					}},
				},
			},
			Status: autoscaling.HorizontalPodAutoscalerStatus{
				CurrentReplicas: 3, DesiredReplicas: 4,
				CurrentMetrics: []autoscaling.MetricStatus{
					{Type: ""},
					{Resource: &autoscaling.ResourceMetricStatus{
						Name: "cpu", Current: autoscaling.MetricValueStatus{
							AverageUtilization: of(int32(12)), AverageValue: of(resource.MustParse("120m")),
						},
					}},
					{Pods: &autoscaling.PodsMetricStatus{
						Metric:  autoscaling.MetricIdentifier{Name: "queue"},
						Current: autoscaling.MetricValueStatus{AverageValue: of(resource.MustParse("2500m"))},
					}},
				},
			},
		},
	),
		"# HELP kube_deployment_status_replicas The number of replicas per deployment.",
		"# TYPE kube_deployment_status_replicas gauge",
		`kube_deployment_spec_replicas{deployment="serving",namespace="kindling"} 3`,
		`kube_deployment_status_replicas{deployment="serving",namespace="kindling"} 4`,
		`kube_deployment_status_replicas_available{deployment="serving",namespace="kindling"} 2`,
		`kube_deployment_status_replicas_updated{deployment="serving",namespace="kindling"} 1`,
		`kube_statefulset_replicas{namespace="kindling",statefulset="postgresql"} 2`,
		`kube_statefulset_status_replicas_ready{namespace="kindling",statefulset="postgresql"} 1`,
		`kube_daemonset_status_desired_number_scheduled{daemonset="node-exporter",namespace="kindling"} 3`,
		`kube_daemonset_status_number_ready{daemonset="node-exporter",namespace="kindling"} 2`,
		`kube_horizontalpodautoscaler_spec_min_replicas{horizontalpodautoscaler="serving",namespace="kindling"} 2`,
		`kube_horizontalpodautoscaler_spec_max_replicas{horizontalpodautoscaler="serving",namespace="kindling"} 10`,
		`kube_horizontalpodautoscaler_status_current_replicas{horizontalpodautoscaler="serving",namespace="kindling"} 3`,
		`kube_horizontalpodautoscaler_status_desired_replicas{horizontalpodautoscaler="serving",namespace="kindling"} 4`,
		`kube_horizontalpodautoscaler_spec_target_metric{horizontalpodautoscaler="serving",metric_name="cpu",metric_target_type="utilization",namespace="kindling"} 70`,
		`kube_horizontalpodautoscaler_spec_target_metric{horizontalpodautoscaler="serving",metric_name="queue",metric_target_type="average",namespace="kindling"} 8`,
		`kube_horizontalpodautoscaler_status_target_metric{horizontalpodautoscaler="serving",metric_name="cpu",metric_target_type="average",namespace="kindling"} 0.12`,
		`kube_horizontalpodautoscaler_status_target_metric{horizontalpodautoscaler="serving",metric_name="cpu",metric_target_type="utilization",namespace="kindling"} 12`,
		`kube_horizontalpodautoscaler_status_target_metric{horizontalpodautoscaler="serving",metric_name="queue",metric_target_type="average",namespace="kindling"} 2.5`,
	)
}

func servingPod() *core.Pod {
	pod := &core.Pod{ObjectMeta: meta("serving-1")}
	pod.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "serving", Controller: of(true)}}
	pod.Spec = core.PodSpec{NodeName: "cpu", Containers: []core.Container{{
		Name: "serving",
		Resources: core.ResourceRequirements{Requests: core.ResourceList{
			core.ResourceCPU:    resource.MustParse("150m"),
			core.ResourceMemory: resource.MustParse("1Ki"),
			"nvidia.com/gpu":    resource.MustParse("1"),
			"requests.odd":      resource.MustParse("1"),
		}},
	}}}
	pod.Status = core.PodStatus{
		Phase: core.PodRunning, HostIP: "10.0.0.1", PodIP: "10.1.0.1",
		Conditions: []core.PodCondition{
			{Type: core.PodScheduled, Status: core.ConditionTrue},
			{Type: core.PodReady, Status: core.ConditionFalse},
		},
		ContainerStatuses: []core.ContainerStatus{{
			Name: "serving", RestartCount: 2,
			State: core.ContainerState{Waiting: &core.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
			LastTerminationState: core.ContainerState{
				Terminated: &core.ContainerStateTerminated{Reason: "OOMKilled"},
			},
		}},
	}
	return pod
}

func named(name string) autoscaling.MetricIdentifier { return autoscaling.MetricIdentifier{Name: name} }

// hpa is an autoscaler with these metrics, and what it knows of them.
func hpa(spec []autoscaling.MetricSpec, status ...autoscaling.MetricStatus) *autoscaling.HorizontalPodAutoscaler {
	return &autoscaling.HorizontalPodAutoscaler{
		ObjectMeta: meta("serving"),
		Spec:       autoscaling.HorizontalPodAutoscalerSpec{MaxReplicas: 10, Metrics: spec},
		Status:     autoscaling.HorizontalPodAutoscalerStatus{CurrentMetrics: status},
	}
}

func TestAMetricOfAnyKindHasItsTargetAndWhatIsKnownOfIt(t *testing.T) {
	aim := autoscaling.MetricTarget{Value: of(resource.MustParse("30"))}
	known := autoscaling.MetricValueStatus{Value: of(resource.MustParse("1500m"))}
	found := lines(t, hpa(
		[]autoscaling.MetricSpec{
			{ContainerResource: &autoscaling.ContainerResourceMetricSource{
				Name: "memory", Container: "service",
				Target: autoscaling.MetricTarget{AverageUtilization: of(int32(80))},
			}},
			{Object: &autoscaling.ObjectMetricSource{Metric: named("requests"), Target: aim}},
			{External: &autoscaling.ExternalMetricSource{Metric: named("messages"), Target: aim}},
		},
		autoscaling.MetricStatus{ContainerResource: &autoscaling.ContainerResourceMetricStatus{
			Name: "memory", Current: autoscaling.MetricValueStatus{AverageUtilization: of(int32(40))},
		}},
		autoscaling.MetricStatus{Object: &autoscaling.ObjectMetricStatus{Metric: named("requests"), Current: known}},
		autoscaling.MetricStatus{External: &autoscaling.ExternalMetricStatus{Metric: named("messages"), Current: known}},
	))
	for metric, values := range map[string][2]string{
		`metric_name="memory",metric_target_type="utilization"`: {"80", "40"},
		`metric_name="requests",metric_target_type="value"`:     {"30", "1.5"},
		`metric_name="messages",metric_target_type="value"`:     {"30", "1.5"},
	} {
		series := `_target_metric{horizontalpodautoscaler="serving",` + metric + `,namespace="kindling"} `
		expect(t, found,
			"kube_horizontalpodautoscaler_spec"+series+values[0], "kube_horizontalpodautoscaler_status"+series+values[1])
	}
}

func TestTwoMetricsOfOneNameAreThereOnceAndOnlyWhenBothAreKnown(t *testing.T) {
	aim := autoscaling.MetricTarget{AverageUtilization: of(int32(70))}
	spec := []autoscaling.MetricSpec{
		{Resource: &autoscaling.ResourceMetricSource{Name: "cpu", Target: aim}},
		{ContainerResource: &autoscaling.ContainerResourceMetricSource{Name: "cpu", Container: "service", Target: aim}},
	}
	now := autoscaling.MetricValueStatus{AverageUtilization: of(int32(50))}
	pods := autoscaling.MetricStatus{Resource: &autoscaling.ResourceMetricStatus{Name: "cpu", Current: now}}
	container := autoscaling.MetricStatus{ContainerResource: &autoscaling.ContainerResourceMetricStatus{
		Name: "cpu", Container: "service", Current: now,
	}}
	series := `_target_metric{horizontalpodautoscaler="serving",metric_name="cpu",metric_target_type="utilization",namespace="kindling"} `
	wanted, known := "kube_horizontalpodautoscaler_spec"+series+"70", "kube_horizontalpodautoscaler_status"+series+"50"
	expect(t, lines(t, hpa(spec, pods, container)), wanted, known)
	one := lines(t, hpa(spec, pods, autoscaling.MetricStatus{}))
	expect(t, one, wanted)
	if slices.Contains(one, known) {
		t.Errorf("it is there although one of the two is not known: %s", known)
	}
}

func TestAPodTellsWhereItIsWhoseItIsAndHowItFares(t *testing.T) {
	expect(t, lines(t, servingPod()),
		`kube_pod_info{created_by_kind="ReplicaSet",created_by_name="serving",host_ip="10.0.0.1",host_network="false",namespace="kindling",node="cpu",pod="serving-1",pod_ip="10.1.0.1",priority_class="",uid="u1"} 1`,
		`kube_pod_status_phase{namespace="kindling",phase="Running",pod="serving-1",uid="u1"} 1`,
		`kube_pod_status_phase{namespace="kindling",phase="Pending",pod="serving-1",uid="u1"} 0`,
		`kube_pod_status_ready{condition="true",namespace="kindling",pod="serving-1",uid="u1"} 0`,
		`kube_pod_status_ready{condition="false",namespace="kindling",pod="serving-1",uid="u1"} 1`,
		`kube_pod_status_ready{condition="unknown",namespace="kindling",pod="serving-1",uid="u1"} 0`,
		"# TYPE kube_pod_container_status_restarts_total counter",
		`kube_pod_container_status_restarts_total{container="serving",namespace="kindling",pod="serving-1",uid="u1"} 2`,
		`kube_pod_container_status_waiting_reason{container="serving",namespace="kindling",pod="serving-1",reason="CrashLoopBackOff",uid="u1"} 1`,
		`kube_pod_container_status_last_terminated_reason{container="serving",namespace="kindling",pod="serving-1",reason="OOMKilled",uid="u1"} 1`,
		`kube_pod_container_resource_requests{container="serving",namespace="kindling",node="cpu",pod="serving-1",resource="cpu",uid="u1",unit="core"} 0.15`,
		`kube_pod_container_resource_requests{container="serving",namespace="kindling",node="cpu",pod="serving-1",resource="memory",uid="u1",unit="byte"} 1024`,
		`kube_pod_container_resource_requests{container="serving",namespace="kindling",node="cpu",pod="serving-1",resource="nvidia_com_gpu",uid="u1",unit="integer"} 1`,
	)
}

func TestWhatAPodDoesNotHaveIsLeftOut(t *testing.T) {
	pod := servingPod()
	pod.OwnerReferences = nil
	pod.Status = core.PodStatus{}
	found := lines(t, pod)
	for _, line := range found {
		for _, absent := range []string{"kube_pod_status_phase", "kube_pod_status_ready", "kube_pod_container_status", "odd"} {
			if strings.Contains(line, absent) {
				t.Errorf("unexpected: %s", line)
			}
		}
	}
	expect(t, found, `kube_pod_info{created_by_kind="<none>",created_by_name="<none>",host_ip="",host_network="false",namespace="kindling",node="cpu",pod="serving-1",pod_ip="",priority_class="",uid="u1"} 1`)
}

func TestARunningContainerWaitsForNothing(t *testing.T) {
	pod := servingPod()
	pod.Status.ContainerStatuses[0].State = core.ContainerState{Running: &core.ContainerStateRunning{}}
	for _, line := range lines(t, pod) {
		if strings.HasPrefix(line, "kube_pod_container_status_waiting_reason{") {
			t.Errorf("unexpected: %s", line)
		}
	}
}

func TestANodeTellsItsConditionsAndWhatItCanGive(t *testing.T) {
	node := &core.Node{ObjectMeta: metav1.ObjectMeta{Name: "gpu"}}
	node.Spec = core.NodeSpec{PodCIDR: "10.1.0.0/24", ProviderID: "kind://gpu"}
	node.Status = core.NodeStatus{
		Addresses:  []core.NodeAddress{{Type: core.NodeInternalIP, Address: "10.0.0.2"}},
		Conditions: []core.NodeCondition{{Type: core.NodeReady, Status: core.ConditionUnknown}},
		NodeInfo:   core.NodeSystemInfo{KubeletVersion: "v1"},
		Allocatable: core.ResourceList{
			core.ResourcePods: resource.MustParse("110"),
			"nvidia.com/gpu":  resource.MustParse("2"),
			"hugepages-2Mi":   resource.MustParse("2Mi"),
		},
	}
	expect(t, lines(t, node),
		`kube_node_info{container_runtime_version="",internal_ip="10.0.0.2",kernel_version="",kubelet_version="v1",kubeproxy_version="deprecated",node="gpu",os_image="",pod_cidr="10.1.0.0/24",provider_id="kind://gpu",system_uuid=""} 1`,
		`kube_node_status_condition{condition="Ready",node="gpu",status="true"} 0`,
		`kube_node_status_condition{condition="Ready",node="gpu",status="false"} 0`,
		`kube_node_status_condition{condition="Ready",node="gpu",status="unknown"} 1`,
		`kube_node_status_allocatable{node="gpu",resource="pods",unit="integer"} 110`,
		`kube_node_status_allocatable{node="gpu",resource="nvidia_com_gpu",unit="integer"} 2`,
		`kube_node_status_allocatable{node="gpu",resource="hugepages_2Mi",unit="byte"} 2.097152e+06`,
	)
}

func TestAClaimTellsItsClassAndVolume(t *testing.T) {
	expect(t, lines(t,
		&core.PersistentVolumeClaim{
			ObjectMeta: meta("data"),
			Spec: core.PersistentVolumeClaimSpec{
				StorageClassName: of("standard"), VolumeName: "pv-1", VolumeMode: of(core.PersistentVolumeFilesystem),
			},
		},
		&core.PersistentVolumeClaim{ObjectMeta: meta("none")},
	),
		`kube_persistentvolumeclaim_info{namespace="kindling",persistentvolumeclaim="data",storageclass="standard",volumemode="Filesystem",volumename="pv-1"} 1`,
		`kube_persistentvolumeclaim_info{namespace="kindling",persistentvolumeclaim="none",storageclass="<none>",volumemode="",volumename=""} 1`,
	)
}

func TestItSaysThatItIsAStandIn(t *testing.T) {
	for _, line := range lines(t) {
		if strings.HasPrefix(line, "kube_state_metrics_build_info{") {
			if !strings.Contains(line, `version="kindling stand-in`) {
				t.Errorf("it poses as upstream: %s", line)
			}
			return
		}
	}
	t.Error("it does not say what it is")
}

func TestChangesShow(t *testing.T) {
	client := fake.NewClientset(servingPod())
	state := synced(t, client, "pods")
	ctx := context.Background()
	if err := client.CoreV1().Pods("kindling").Delete(ctx, "serving-1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if _, body := get(t, state.Metrics(), "/metrics"); !strings.Contains(body, "serving-1") {
			return
		}
	}
	t.Error("a pod that is gone is exported still")
}

func TestOnlyTheResourcesThatWereAskedForAreRead(t *testing.T) {
	client := fake.NewClientset(servingPod(), &apps.Deployment{ObjectMeta: meta("serving")})
	_, body := get(t, synced(t, client, "deployments").Metrics(), "/metrics")
	if !strings.Contains(body, "kube_deployment_spec_replicas{") || strings.Contains(body, "kube_pod") {
		t.Errorf("exported:\n%s", body)
	}
	for _, action := range client.Actions() {
		if action.GetResource().Resource != "deployments" {
			t.Errorf("it asked for %s", action.GetResource().Resource)
		}
	}
}

func TestNothingIsExportedBeforeEverythingIsRead(t *testing.T) {
	state := NewState(fake.NewClientset(servingPod()), []string{"pods"})
	if status, _ := get(t, state.Metrics(), "/metrics"); status != http.StatusServiceUnavailable {
		t.Errorf("/metrics answers %d", status)
	}
	if status, _ := get(t, state.Telemetry(), "/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz answers %d", status)
	}
	if status, _ := get(t, state.Metrics(), "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz answers %d", status)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := state.Sync(ctx, ctx); err != nil {
		t.Fatal(err)
	}
	for path, handler := range map[string]http.Handler{"/metrics": state.Metrics(), "/readyz": state.Telemetry()} {
		if status, _ := get(t, handler, path); status != http.StatusOK {
			t.Errorf("%s answers %d", path, status)
		}
	}
}

func TestAnAPIThatDoesNotAnswerIsNoSuccess(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	state := NewState(fake.NewClientset(), []string{"pods"})
	if err := state.Sync(context.Background(), ended); err == nil {
		t.Error("it took nothing for everything")
	}
}

func TestFlagsAreUpstreamsAndOthersAreRefused(t *testing.T) {
	chosen, err := parse([]string{"--port=1", "--telemetry-port=2", "--resources=pods,nodes"}, io.Discard)
	if err != nil || chosen.port != 1 || chosen.telemetryPort != 2 || !slices.Equal(chosen.resources, []string{"pods", "nodes"}) {
		t.Errorf("parsed %v, %v", chosen, err)
	}
	if chosen, err = parse(nil, io.Discard); err != nil || chosen.port != 8080 || chosen.telemetryPort != 8081 {
		t.Errorf("defaults are %v, %v", chosen, err)
	}
	for _, arguments := range [][]string{
		{"--namespaces=a"}, {"--resources=secrets"}, {"--resources="}, {"--resources=pods,pods"}, {"pods"},
	} {
		if _, err := parse(arguments, io.Discard); err == nil {
			t.Errorf("%v is taken", arguments)
		}
	}
}
