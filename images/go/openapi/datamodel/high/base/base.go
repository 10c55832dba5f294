// Package base stands in for that of libopenapi; see package v3.
package base

import (
	"github.com/pb33f/libopenapi/orderedmap"
	"go.yaml.in/yaml/v4"
)

// Words is a list that is written as a plain word where it has one only.
type Words []string

// Info is an OpenAPI Info Object.
type Info struct {
	Title       string   `yaml:"title,omitempty"`
	Description string   `yaml:"description,omitempty"`
	Contact     *Contact `yaml:"contact,omitempty"`
	Version     string   `yaml:"version,omitempty"`
}

// Contact is an OpenAPI Contact Object.
type Contact struct {
	Name string `yaml:"name,omitempty"`
	URL  string `yaml:"url,omitempty"`
}

// Tag is an OpenAPI Tag Object.
type Tag struct {
	Name        string `yaml:"name,omitempty"`
	Summary     string `yaml:"summary,omitempty"`
	Description string `yaml:"description,omitempty"`
}

// Example is an OpenAPI Example Object.
type Example struct {
	Summary     string     `yaml:"summary,omitempty"`
	Description string     `yaml:"description,omitempty"`
	Value       *yaml.Node `yaml:"value,omitempty"`
}

// Schema is an OpenAPI Schema Object.
type Schema struct {
	Type                 Words                                 `yaml:"type,omitempty"`
	OneOf                []*SchemaProxy                        `yaml:"oneOf,omitempty"`
	AnyOf                []*SchemaProxy                        `yaml:"anyOf,omitempty"`
	Items                *DynamicValue[*SchemaProxy, bool]     `yaml:"items,omitempty"`
	ContentSchema        *SchemaProxy                          `yaml:"contentSchema,omitempty"`
	Properties           *orderedmap.Map[string, *SchemaProxy] `yaml:"properties,omitempty"`
	Title                string                                `yaml:"title,omitempty"`
	Minimum              *float64                              `yaml:"minimum,omitempty"`
	Format               string                                `yaml:"format,omitempty"`
	MaxItems             *int64                                `yaml:"maxItems,omitempty"`
	MinItems             *int64                                `yaml:"minItems,omitempty"`
	Required             []string                              `yaml:"required,omitempty"`
	Enum                 []*yaml.Node                          `yaml:"enum,omitempty"`
	AdditionalProperties *DynamicValue[*SchemaProxy, bool]     `yaml:"additionalProperties,omitempty"`
	Description          string                                `yaml:"description,omitempty"`
	ContentMediaType     string                                `yaml:"contentMediaType,omitempty"`
	Default              *yaml.Node                            `yaml:"default,omitempty"`
	Example              *yaml.Node                            `yaml:"example,omitempty"`
}

// SchemaProxy is a Schema or a reference to one.
type SchemaProxy struct {
	schema    *Schema
	reference string
}

// DynamicValue is A, or where N is 1 B.
type DynamicValue[A, B any] struct {
	N int
	A A
	B B
}

// CreateSchemaProxy returns a proxy that is schema itself.
func CreateSchemaProxy(schema *Schema) *SchemaProxy {
	return &SchemaProxy{schema: schema}
}

// CreateSchemaProxyRef returns a proxy that refers to the schema at reference.
func CreateSchemaProxyRef(reference string) *SchemaProxy {
	return &SchemaProxy{reference: reference}
}

// MarshalYAML returns the example with its value itself, whatever that was read from.
func (e *Example) MarshalYAML() (any, error) {
	type plain Example
	inner := plain(*e)
	inner.Value = content(e.Value)
	return inner, nil
}

// MarshalYAML returns the schema with its values themselves, whatever those were read from.
func (s *Schema) MarshalYAML() (any, error) {
	type plain Schema
	inner := plain(*s)
	inner.Default, inner.Example = content(s.Default), content(s.Example)
	inner.Enum = nil
	for _, one := range s.Enum {
		inner.Enum = append(inner.Enum, content(one))
	}
	return inner, nil
}

// MarshalYAML returns the list, or its one word.
func (w Words) MarshalYAML() (any, error) {
	if len(w) == 1 {
		return w[0], nil
	}
	return []string(w), nil
}

// MarshalYAML returns the schema, or the reference.
func (p *SchemaProxy) MarshalYAML() (any, error) {
	if p.schema != nil {
		return p.schema, nil
	}
	return map[string]string{"$ref": p.reference}, nil
}

// MarshalYAML returns the one value that is meant.
func (v *DynamicValue[A, B]) MarshalYAML() (any, error) {
	if v.N == 1 {
		return v.B, nil
	}
	return v.A, nil
}

// content returns what is in a document, which cannot be part of another one.
func content(node *yaml.Node) *yaml.Node {
	if node != nil && node.Kind == yaml.DocumentNode {
		return node.Content[0]
	}
	return node
}
