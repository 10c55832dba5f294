package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// Labels are those that NVIDIA's GPU feature discovery gives to a node, for a GPU that is not real.
func Labels(product string, count, memoryMiB int) map[string]string {
	return map[string]string{
		"kindling.dev/gpu-mode":           "simulated",
		"nvidia.com/gpu.present":          "true",
		"nvidia.com/gpu.count":            strconv.Itoa(count),
		"nvidia.com/gpu.replicas":         "1",
		"nvidia.com/gpu.product":          product,
		"nvidia.com/gpu.memory":           strconv.Itoa(memoryMiB),
		"nvidia.com/gpu.family":           "simulated",
		"nvidia.com/gpu.machine":          "simulated",
		"nvidia.com/gpu.mode":             "compute",
		"nvidia.com/mig.capable":          "false",
		"nvidia.com/gpu.sharing-strategy": "none",
	}
}

// countOf reads how many GPUs a node has from its label.
func countOf(ctx context.Context, client kubernetes.Interface, node, label string) (int, error) {
	found, err := client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return 0, err
	}
	count, err := strconv.Atoi(found.Labels[label])
	if err != nil || count < 1 {
		return 0, fmt.Errorf("label %s of node %s is %q, not a number of GPUs", label, node, found.Labels[label])
	}
	return count, nil
}

// label sets labels on a node and leaves its others alone.
func label(ctx context.Context, client kubernetes.Interface, node string, labels map[string]string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels}})
	if err != nil {
		return err
	}
	_, err = client.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}
