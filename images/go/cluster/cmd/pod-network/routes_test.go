package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func node(name, pods, address string) corev1.Node {
	return corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.NodeSpec{PodCIDR: pods},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeHostName, Address: name},
			{Type: corev1.NodeInternalIP, Address: address},
		}},
	}
}

func TestSplitFindsOwnNodeAndLeavesOutNodesWithoutPods(t *testing.T) {
	own, peers, err := split([]corev1.Node{
		node("a", "10.244.0.0/24", "172.18.0.2"),
		node("b", "10.244.1.0/24", "172.18.0.3"),
		node("new", "", "172.18.0.4"),
	}, "b", "172.18.0.3")
	if err != nil {
		t.Fatal(err)
	}
	if own.String() != "10.244.1.0/24" {
		t.Errorf("own pods are %s", own)
	}
	if len(peers) != 1 || peers[0].Pods.String() != "10.244.0.0/24" || peers[0].Gateway.String() != "172.18.0.2" {
		t.Errorf("peers are %v", peers)
	}
}

func TestSplitIsNotMisledByAnAddressThatAnotherNodeHadBefore(t *testing.T) {
	own, peers, err := split([]corev1.Node{
		node("a", "10.244.0.0/24", "172.18.0.3"),
		node("b", "10.244.1.0/24", "172.18.0.3"),
	}, "a", "172.18.0.3")
	if err != nil || own.String() != "10.244.0.0/24" || len(peers) != 0 {
		t.Errorf("own pods are %s, peers %v, error %v", own, peers, err)
	}
}

func TestSplitRefusesIPv6(t *testing.T) {
	_, _, err := split([]corev1.Node{node("a", "fd00::/64", "fc00::2")}, "a", "fc00::2")
	if err == nil || !strings.Contains(err.Error(), "IPv4") {
		t.Errorf("error is %v", err)
	}
}

func TestStaleAreOwnRoutesWithoutPeerAndNoOthers(t *testing.T) {
	network := func(text string) *net.IPNet {
		_, parsed, _ := net.ParseCIDR(text)
		return parsed
	}
	live := []netlink.Route{
		{Dst: network("10.244.1.0/24"), Protocol: routeProtocol},
		{Dst: network("10.244.9.0/24"), Protocol: routeProtocol},
		{Dst: network("10.244.8.0/24"), Protocol: 2},
		{Dst: nil, Protocol: routeProtocol},
	}
	gone := stale(live, []Peer{{Pods: network("10.244.1.0/24")}})
	if len(gone) != 1 || gone[0].Dst.String() != "10.244.9.0/24" {
		t.Errorf("stale routes are %v", gone)
	}
}

func TestConflistIsWrittenOnlyWhenItDiffers(t *testing.T) {
	_, pods, _ := net.ParseCIDR("10.244.2.0/24")
	content, err := conflist(pods, 1400)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"subnet": "10.244.2.0/24"`, `"mtu": 1400`, `"type": "portmap"`} {
		if !strings.Contains(string(content), part) {
			t.Errorf("%s is not in %s", part, content)
		}
	}
	dir := t.TempDir()
	if err := writeConflist(dir, content); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "10-kindnet.conflist")
	before, _ := os.Stat(file)
	if err := writeConflist(dir, content); err != nil {
		t.Fatal(err)
	}
	after, _ := os.Stat(file)
	if !os.SameFile(before, after) {
		t.Error("an unchanged file was replaced")
	}
	if err := writeConflist(dir, []byte("other")); err != nil {
		t.Fatal(err)
	}
	if found, _ := os.ReadFile(file); string(found) != "other" {
		t.Errorf("a file that differs stays %s", found)
	}
}
