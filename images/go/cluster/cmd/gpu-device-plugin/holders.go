package main

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"
)

// PodResources asks the kubelet that listens at socket which containers hold devices of resource.
// The connection is made when it is first needed, and anew after a kubelet's restart.
func PodResources(socket, resource string) (func(context.Context) (map[string]Holder, error), error) {
	connection, err := grpc.NewClient(
		"unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	kubelet := podresources.NewPodResourcesListerClient(connection)
	return func(ctx context.Context) (map[string]Holder, error) {
		listed, err := kubelet.List(ctx, &podresources.ListPodResourcesRequest{})
		if err != nil {
			return nil, err
		}
		holders := map[string]Holder{}
		for _, pod := range listed.PodResources {
			for _, container := range pod.Containers {
				for _, devices := range container.Devices {
					if devices.ResourceName != resource {
						continue
					}
					for _, id := range devices.DeviceIds {
						holders[id] = Holder{pod.Namespace, pod.Name, container.Name}
					}
				}
			}
		}
		return holders, nil
	}, nil
}
