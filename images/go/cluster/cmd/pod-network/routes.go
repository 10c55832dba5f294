package main

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
)

// routeProtocol marks the routes made here, so that no other is ever removed.
const routeProtocol = 75

// Peer is another node: the pods behind it and the address that leads there.
type Peer struct {
	Pods    *net.IPNet
	Gateway net.IP
}

// split finds this node by its name among all nodes, and the peers that have a pod network.
//
// Not by its address: after a restart nodes may have swapped theirs, and the API server learns of
// it from each node at another moment. A peer with this node's address is such a one.
func split(nodes []corev1.Node, name, hostIP string) (own *net.IPNet, peers []Peer, err error) {
	for _, node := range nodes {
		if node.Spec.PodCIDR == "" {
			continue
		}
		_, pods, err := net.ParseCIDR(node.Spec.PodCIDR)
		if err != nil {
			return nil, nil, fmt.Errorf("node %s: %w", node.Name, err)
		}
		if pods.IP.To4() == nil {
			return nil, nil, fmt.Errorf("node %s: %s is not IPv4, which is all that this pod network can do",
				node.Name, node.Spec.PodCIDR)
		}
		if node.Name == name {
			own = pods
			continue
		}
		address := internalIP(node)
		if address == "" || address == hostIP {
			continue
		}
		peers = append(peers, Peer{Pods: pods, Gateway: net.ParseIP(address)})
	}
	return own, peers, nil
}

func internalIP(node corev1.Node) string {
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			return address.Address
		}
	}
	return ""
}

// stale are the routes among live that lead to no peer's pods any more.
func stale(live []netlink.Route, peers []Peer) []netlink.Route {
	wanted := map[string]bool{}
	for _, peer := range peers {
		wanted[peer.Pods.String()] = true
	}
	var gone []netlink.Route
	for _, route := range live {
		if route.Protocol == routeProtocol && route.Dst != nil && !wanted[route.Dst.String()] {
			gone = append(gone, route)
		}
	}
	return gone
}

// syncRoutes leaves exactly one route of ours for each peer. Nodes may swap addresses when they
// are restarted, so each route is replaced, not only added.
func syncRoutes(peers []Peer) error {
	for _, peer := range peers {
		route := &netlink.Route{Dst: peer.Pods, Gw: peer.Gateway, Protocol: routeProtocol}
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("route %s via %s: %w", peer.Pods, peer.Gateway, err)
		}
	}
	live, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, route := range stale(live, peers) {
		if err := netlink.RouteDel(&route); err != nil {
			return fmt.Errorf("remove route %s: %w", route.Dst, err)
		}
	}
	return nil
}
