package main

import (
	"net"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

const table = "kindling-pod-network"

// syncMasquerade gives what pods send outside the pod network the address of their node.
//
// The table is replaced as a whole in one transaction, so that a restart leaves one rule.
func syncMasquerade(pods *net.IPNet) error {
	connection, err := nftables.New()
	if err != nil {
		return err
	}
	own := connection.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: table})
	connection.DelTable(own)
	own = connection.AddTable(own)
	chain := connection.AddChain(&nftables.Chain{
		Name: "postrouting", Table: own, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	const sourceOffset, destinationOffset = 12, 16
	exprs := append(matches(pods, sourceOffset, expr.CmpOpEq), matches(pods, destinationOffset, expr.CmpOpNeq)...)
	connection.AddRule(&nftables.Rule{Table: own, Chain: chain, Exprs: append(exprs, &expr.Masq{})})
	return connection.Flush()
}

// matches compares the address at offset of the IPv4 header with a network.
func matches(network *net.IPNet, offset uint32, op expr.CmpOp) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: net.IPv4len},
		&expr.Bitwise{
			SourceRegister: 1, DestRegister: 1, Len: net.IPv4len,
			Mask: network.Mask, Xor: make([]byte, net.IPv4len),
		},
		&expr.Cmp{Op: op, Register: 1, Data: network.IP.To4()},
	}
}
