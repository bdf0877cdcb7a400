package conform

import (
	_ "embed"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"consilium"
)

// released is openapi.yaml of the last release.
//
//go:embed testdata/released.yaml
var released []byte

func load(t *testing.T, raw []byte) *openapi3.T {
	t.Helper()
	spec, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func major(version string) string {
	major, _, _ := strings.Cut(version, ".")
	return major
}

// TestNoClientBreaksUnlessTheVersionSaysSo compares the description with that of the last release.
func TestNoClientBreaksUnlessTheVersionSaysSo(t *testing.T) {
	before, after := load(t, released), load(t, consilium.OpenAPI)
	broken := Breaking(before, after)
	if len(broken) > 0 && major(before.Info.Version) == major(after.Info.Version) {
		t.Errorf("clients of version %s break, and version %s does not say so:\n%s", before.Info.Version, after.Info.Version, strings.Join(broken, "\n"))
	}
}

func TestBreaking(t *testing.T) {
	const base = `
openapi: 3.0.3
info: {title: t, version: 1.0.0}
paths:
  /things/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string, maxLength: 9}}
    post:
      operationId: change
      parameters:
        - {name: size, in: query, schema: {type: integer, minimum: 1, maximum: 9}}
      requestBody:
        required: false
        content:
          application/json: {schema: {$ref: "#/components/schemas/Order"}}
          text/plain: {schema: {type: string}}
      responses:
        "200":
          description: done
          headers:
            Location: {required: true, schema: {type: string}}
          content:
            application/json: {schema: {$ref: "#/components/schemas/Thing"}}
            text/html: {schema: {type: string}}
        "202": {description: later}
components:
  schemas:
    Order:
      type: object
      required: [name]
      properties:
        name: {type: string, pattern: "^a"}
        colour: {type: string, enum: [red, blue]}
        parts: {type: array, maxItems: 4, items: {type: integer}}
        either: {oneOf: [{type: string}, {type: integer}]}
    Thing:
      type: object
      required: [id, state]
      properties:
        id: {type: string, format: uuid}
        state: {type: string, enum: [new, old]}
        note: {type: string}
        either: {oneOf: [{type: string}, {type: integer}]}
        labels: {type: object, additionalProperties: {type: string}}
        within: {type: array, items: {$ref: "#/components/schemas/Thing"}}
`
	for name, test := range map[string]struct {
		replace, with string
		want          []string // the beginnings of what breaks
	}{
		"nothing":                        {"", "", nil},
		"a title":                        {"title: t", "title: u", nil},
		"a new answer":                   {`"202": {description: later}`, `"202": {description: later}` + "\n        \"404\": {description: none}", nil},
		"a new field of an answer":       {"note: {type: string}", "note: {type: string}\n        more: {type: string}", nil},
		"a new field of a request":       {`name: {type: string, pattern: "^a"}`, `name: {type: string, pattern: "^a"}` + "\n        more: {type: string}", nil},
		"wider bounds of a request":      {"minimum: 1, maximum: 9", "minimum: 0", nil},
		"more values in a request":       {"enum: [red, blue]", "enum: [red, blue, green]", nil},
		"fewer values in an answer":      {"enum: [new, old]", "enum: [new]", nil},
		"a field that is now certain":    {"required: [id, state]", "required: [id, state, note]", nil},
		"a field that may be left out":   {"required: [name]", "required: []", nil},
		"no path":                        {"/things/{id}:", "/stuff/{id}:", []string{"POST /things/{id}: is gone"}},
		"no method":                      {"    post:", "    put:", []string{"POST /things/{id}: is gone"}},
		"another name":                   {"operationId: change", "operationId: alter", []string{"POST /things/{id}: is no longer called change"}},
		"no parameter":                   {"{name: size, in: query", "{name: length, in: query", []string{"POST /things/{id} parameter size: is gone"}},
		"a new required parameter":       {"- {name: size", "- {name: more, in: query, required: true, schema: {type: string}}\n        - {name: size", []string{"POST /things/{id} parameter more: is new and required"}},
		"a parameter that is required":   {"{name: size, in: query,", "{name: size, in: query, required: true,", []string{"POST /things/{id} parameter size: is now required"}},
		"narrower bounds":                {"minimum: 1, maximum: 9", "minimum: 2, maximum: 8", []string{"POST /things/{id} parameter size: minimum is now 2", "POST /things/{id} parameter size: maximum is now 8"}},
		"a shorter id":                   {"maxLength: 9", "maxLength: 8", []string{"POST /things/{id} parameter id: maxLength is now 8"}},
		"a body that is required":        {"required: false", "required: true", []string{"POST /things/{id} request: is now required"}},
		"no media type of a request":     {"          text/plain: {schema: {type: string}}\n", "", []string{"POST /things/{id} request: is no longer read as text/plain"}},
		"a field that is required":       {"required: [name]", "required: [name, colour]", []string{"POST /things/{id} request.colour: is now required"}},
		"no field of a request":          {"        colour: {type: string, enum: [red, blue]}\n", "", []string{"POST /things/{id} request.colour: is gone"}},
		"another pattern":                {`pattern: "^a"`, `pattern: "^b"`, []string{"POST /things/{id} request.name: the pattern"}},
		"fewer values in a request":      {"enum: [red, blue]", "enum: [red]", []string{"POST /things/{id} request.colour: the value blue"}},
		"fewer items":                    {"maxItems: 4", "maxItems: 3", []string{"POST /things/{id} request.parts: maxItems is now 3"}},
		"another type of items":          {"items: {type: integer}", "items: {type: string}", []string{"POST /things/{id} request.parts[]: was a value of type integer, is a value of type string"}},
		"fewer alternatives":             {"labels: {type: object, additionalProperties: {type: string}}", "labels: {type: object}", []string{"POST /things/{id} 200.labels: other fields"}},
		"no status":                      {`        "202": {description: later}` + "\n", "", []string{"POST /things/{id} 202: is gone"}},
		"no header":                      {"Location: {required: true,", "Location: {required: false,", []string{"POST /things/{id} 200: the header Location is no longer certain"}},
		"no media type of an answer":     {"            text/html: {schema: {type: string}}\n", "", []string{"POST /things/{id} 200: is no longer given as text/html"}},
		"no field of an answer":          {"        note: {type: string}\n", "", []string{"POST /things/{id} 200.note: is gone"}},
		"a field that is less certain":   {"required: [id, state]", "required: [id]", []string{"POST /things/{id} 200.state: is no longer certain"}},
		"more values in an answer":       {"enum: [new, old]", "enum: [new, old, lost]", nil},
		"any value in an answer":         {"state: {type: string, enum: [new, old]}", "state: {type: string}", []string{"POST /things/{id} 200.state: the values"}},
		"another format":                 {"id: {type: string, format: uuid}", "id: {type: string}", []string{"POST /things/{id} 200.id: was a value of type string of format uuid"}},
		"null in an answer":              {"note: {type: string}", "note: {type: string, nullable: true}", []string{"POST /things/{id} 200.note: null was false"}},
		"no alternative in a request":    {"parts: {type: array, maxItems: 4, items: {type: integer}}\n        either: {oneOf: [{type: string}, {type: integer}]}", "parts: {type: array, maxItems: 4, items: {type: integer}}\n        either: {oneOf: [{type: string}]}", []string{"POST /things/{id} request.either: oneOf"}},
		"one alternative in an answer":   {"note: {type: string}\n        either: {oneOf: [{type: string}, {type: integer}]}", "note: {type: string}\n        either: {oneOf: [{type: string}, {type: integer}, {type: boolean}]}", []string{"POST /things/{id} 200.either: oneOf"}},
		"one alternative in a request":   {"parts: {type: array, maxItems: 4, items: {type: integer}}\n        either: {oneOf: [{type: string}, {type: integer}]}", "parts: {type: array, maxItems: 4, items: {type: integer}}\n        either: {oneOf: [{type: string}, {type: integer}, {type: boolean}]}", nil},
		"no alternative in an answer":    {"note: {type: string}\n        either: {oneOf: [{type: string}, {type: integer}]}", "note: {type: string}\n        either: {oneOf: [{type: string}]}", nil},
		"values of labels of one answer": {"additionalProperties: {type: string}", "additionalProperties: {type: integer}", []string{"POST /things/{id} 200.labels.*: was"}},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(base, test.replace) {
				t.Fatalf("the base lacks %s", test.replace)
			}
			got := Breaking(load(t, []byte(base)), load(t, []byte(strings.Replace(base, test.replace, test.with, 1))))
			if !slices.EqualFunc(got, test.want, strings.HasPrefix) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
