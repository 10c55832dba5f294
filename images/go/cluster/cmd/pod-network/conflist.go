package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
)

// conflist tells the container runtime how to connect pods of this node: a veth pair each, an
// address of the node's own pod network, and host ports.
func conflist(pods *net.IPNet, mtu int) ([]byte, error) {
	ipam := map[string]any{
		"type":    "host-local",
		"dataDir": "/run/cni-ipam-state",
		"routes":  []any{map[string]string{"dst": "0.0.0.0/0"}},
		"ranges":  []any{[]any{map[string]string{"subnet": pods.String()}}},
	}
	return json.MarshalIndent(map[string]any{
		"cniVersion": "0.4.0",
		"name":       "kindling-ptp",
		"plugins": []any{
			map[string]any{"type": "ptp", "ipMasq": false, "ipam": ipam, "mtu": mtu},
			map[string]any{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}},
		},
	}, "", "  ")
}

// writeConflist puts the file in place at once: a runtime that reads half of it refuses all pods.
func writeConflist(dir string, content []byte) error {
	target := filepath.Join(dir, "10-kindnet.conflist")
	if old, err := os.ReadFile(target); err == nil && string(old) == string(content) {
		return nil
	}
	temporary := target + ".new"
	if err := os.WriteFile(temporary, content, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, target)
}
