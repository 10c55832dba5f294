package v3

import (
	"testing"

	"github.com/pb33f/libopenapi/datamodel/high/base"
	"github.com/pb33f/libopenapi/orderedmap"
	"go.yaml.in/yaml/v4"
)

// What libopenapi writes, in its order; Prometheus' own files of what it expects are longer than this
// program, and a test of the running server compares their digests.
const want = `openapi: 3.2.0
info:
    title: An API
    version: "1"
servers:
    - url: /api
paths:
    /b:
        get:
            operationId: b
            parameters:
                - name: limit
                  in: query
                  required: false
                  schema:
                    type: integer
                    minimum: 0
                    default: 3
            responses:
                "200":
                    description: Fine.
                    content:
                        application/json:
                            schema:
                                $ref: '#/components/schemas/B'
                            examples:
                                one:
                                    value: {"a": [1, 2]}
                default:
                    description: ""
    /a:
        post:
            summary: A
components:
    schemas:
        B:
            type:
                - object
                - "null"
            properties:
                z:
                    type: array
                    items:
                        type: string
                        enum:
                            - x
                a:
                    type: object
                    additionalProperties: false
tags:
    - name: t
      summary: T
`

func read(t *testing.T, text string) *yaml.Node {
	t.Helper()
	node := &yaml.Node{}
	if err := yaml.Unmarshal([]byte(text), node); err != nil {
		t.Fatal(err)
	}
	return node
}

func TestDocumentIsWrittenInTheOrderOfItsTypesAndMaps(t *testing.T) {
	no, zero := false, 0.0
	examples := orderedmap.New[string, *base.Example]()
	examples.Set("one", &base.Example{Value: read(t, `{"a": [1, 2]}`)})
	content := orderedmap.New[string, *MediaType]()
	content.Set("application/json", &MediaType{
		Schema: base.CreateSchemaProxyRef("#/components/schemas/B"), Examples: examples,
	})
	codes := orderedmap.New[string, *Response]()
	codes.Set("200", &Response{Description: "Fine.", Content: content})
	paths := orderedmap.New[string, *PathItem]()
	paths.Set("/b", nil)
	paths.Set("/a", &PathItem{Post: &Operation{Summary: "A"}})
	paths.Set("/b", &PathItem{Get: &Operation{
		OperationId: "b",
		Parameters: []*Parameter{{Name: "limit", In: "query", Required: &no, Schema: base.CreateSchemaProxy(
			&base.Schema{Type: []string{"integer"}, Minimum: &zero, Default: read(t, "3")})}},
		Responses: &Responses{Codes: codes, Default: &Response{}},
	}})
	properties := orderedmap.New[string, *base.SchemaProxy]()
	properties.Set("z", base.CreateSchemaProxy(&base.Schema{
		Type: []string{"array"},
		Items: &base.DynamicValue[*base.SchemaProxy, bool]{A: base.CreateSchemaProxy(
			&base.Schema{Type: []string{"string"}, Enum: []*yaml.Node{read(t, "x")}})},
	}))
	properties.Set("a", base.CreateSchemaProxy(&base.Schema{
		Type: []string{"object"}, AdditionalProperties: &base.DynamicValue[*base.SchemaProxy, bool]{N: 1},
	}))
	schemas := orderedmap.New[string, *base.SchemaProxy]()
	schemas.Set("B", base.CreateSchemaProxy(
		&base.Schema{Type: []string{"object", "null"}, Properties: properties}))
	document := &Document{
		Version: "3.2.0", Info: &base.Info{Title: "An API", Version: "1"},
		Servers: []*Server{{URL: "/api"}}, Paths: &Paths{PathItems: paths},
		Components: &Components{Schemas: schemas}, Tags: []*base.Tag{{Name: "t", Summary: "T"}},
	}
	got, err := document.Render()
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("got\n%s", got)
	}
}

func TestEmptyMapHasNoFirstEntry(t *testing.T) {
	var none *orderedmap.Map[string, int]
	if none.First() != nil || orderedmap.New[string, int]().First() != nil {
		t.Error("there is an entry")
	}
}
