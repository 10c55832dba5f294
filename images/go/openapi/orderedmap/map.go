// Package orderedmap stands in for that of libopenapi; see package v3.
package orderedmap

import "go.yaml.in/yaml/v4"

// Map is a map that keeps the order in which its keys were first set.
type Map[K comparable, V any] struct {
	pairs []*Pair[K, V]
	index map[K]*Pair[K, V]
}

// Pair is one entry of a Map.
type Pair[K comparable, V any] struct {
	key   K
	value V
	next  *Pair[K, V]
}

// New returns an empty map.
func New[K comparable, V any]() *Map[K, V] {
	return &Map[K, V]{index: map[K]*Pair[K, V]{}}
}

// Set gives key a value.
func (m *Map[K, V]) Set(key K, value V) {
	if pair := m.index[key]; pair != nil {
		pair.value = value
		return
	}
	pair := &Pair[K, V]{key: key, value: value}
	if len(m.pairs) > 0 {
		m.pairs[len(m.pairs)-1].next = pair
	}
	m.pairs = append(m.pairs, pair)
	m.index[key] = pair
}

// First returns the first entry, or nil.
func (m *Map[K, V]) First() *Pair[K, V] {
	if m == nil || len(m.pairs) == 0 {
		return nil
	}
	return m.pairs[0]
}

// Next returns the entry after p, or nil.
func (p *Pair[K, V]) Next() *Pair[K, V] { return p.next }

// Key returns the entry's key.
func (p *Pair[K, V]) Key() K { return p.key }

// Value returns the entry's value.
func (p *Pair[K, V]) Value() V { return p.value }

// MarshalYAML returns a mapping in the map's order.
func (m *Map[K, V]) MarshalYAML() (any, error) {
	mapping := &yaml.Node{Kind: yaml.MappingNode}
	for _, pair := range m.pairs {
		key, value := &yaml.Node{}, &yaml.Node{}
		if err := key.Encode(pair.key); err != nil {
			return nil, err
		}
		if err := value.Encode(pair.value); err != nil {
			return nil, err
		}
		mapping.Content = append(mapping.Content, key, value)
	}
	return mapping, nil
}
