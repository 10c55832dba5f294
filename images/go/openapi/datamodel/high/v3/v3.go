// Package v3 and the packages base and orderedmap stand in for those of libopenapi in Prometheus.
//
// Prometheus describes its API with libopenapi's types and writes that as YAML. These are those of
// them that it uses, in the same order, so what it writes is the same; libopenapi also reads, checks
// and resolves such documents, and takes a fifth of the time in which Prometheus compiles.
package v3

import (
	"github.com/pb33f/libopenapi/datamodel/high/base"
	"github.com/pb33f/libopenapi/orderedmap"
	"go.yaml.in/yaml/v4"
)

// Document is an OpenAPI document.
type Document struct {
	Version    string      `yaml:"openapi,omitempty"`
	Info       *base.Info  `yaml:"info,omitempty"`
	Servers    []*Server   `yaml:"servers,omitempty"`
	Paths      *Paths      `yaml:"paths,omitempty"`
	Components *Components `yaml:"components,omitempty"`
	Tags       []*base.Tag `yaml:"tags,omitempty"`
}

// Server is an OpenAPI Server Object.
type Server struct {
	URL string `yaml:"url,omitempty"`
}

// Paths is an OpenAPI Paths Object.
type Paths struct {
	PathItems *orderedmap.Map[string, *PathItem]
}

// PathItem is an OpenAPI Path Item Object.
type PathItem struct {
	Get  *Operation `yaml:"get,omitempty"`
	Put  *Operation `yaml:"put,omitempty"`
	Post *Operation `yaml:"post,omitempty"`
}

// Operation is an OpenAPI Operation Object.
type Operation struct {
	Tags        []string     `yaml:"tags,omitempty"`
	Summary     string       `yaml:"summary,omitempty"`
	Description string       `yaml:"description,omitempty"`
	OperationId string       `yaml:"operationId,omitempty"`
	Parameters  []*Parameter `yaml:"parameters,omitempty"`
	RequestBody *RequestBody `yaml:"requestBody,omitempty"`
	Responses   *Responses   `yaml:"responses,omitempty"`
}

// Parameter is an OpenAPI Parameter Object.
type Parameter struct {
	Name        string                                 `yaml:"name,omitempty"`
	In          string                                 `yaml:"in,omitempty"`
	Description string                                 `yaml:"description,omitempty"`
	Required    *bool                                  `yaml:"required,omitempty"`
	Explode     *bool                                  `yaml:"explode,omitempty"`
	Schema      *base.SchemaProxy                      `yaml:"schema,omitempty"`
	Examples    *orderedmap.Map[string, *base.Example] `yaml:"examples,omitempty"`
}

// RequestBody is an OpenAPI Request Body Object.
type RequestBody struct {
	Description string                              `yaml:"description,omitempty"`
	Content     *orderedmap.Map[string, *MediaType] `yaml:"content,omitempty"`
	Required    *bool                               `yaml:"required,omitempty"`
}

// Responses is an OpenAPI Responses Object.
type Responses struct {
	Codes   *orderedmap.Map[string, *Response]
	Default *Response
}

// Response is an OpenAPI Response Object.
type Response struct {
	Description string                              `yaml:"description"`
	Content     *orderedmap.Map[string, *MediaType] `yaml:"content,omitempty"`
}

// MediaType is an OpenAPI Media Type Object.
type MediaType struct {
	Schema     *base.SchemaProxy                      `yaml:"schema,omitempty"`
	ItemSchema *base.SchemaProxy                      `yaml:"itemSchema,omitempty"`
	Examples   *orderedmap.Map[string, *base.Example] `yaml:"examples,omitempty"`
}

// Components is an OpenAPI Components Object.
type Components struct {
	Schemas *orderedmap.Map[string, *base.SchemaProxy] `yaml:"schemas,omitempty"`
}

// Render returns the document as YAML.
func (d *Document) Render() ([]byte, error) { return yaml.Marshal(d) }

// MarshalYAML returns the paths themselves.
func (p *Paths) MarshalYAML() (any, error) { return p.PathItems, nil }

// MarshalYAML returns the responses by code; the default one comes last.
func (r *Responses) MarshalYAML() (any, error) {
	all := orderedmap.New[string, *Response]()
	for pair := r.Codes.First(); pair != nil; pair = pair.Next() {
		all.Set(pair.Key(), pair.Value())
	}
	if r.Default != nil {
		all.Set("default", r.Default)
	}
	return all, nil
}
