package conform

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Breaking returns what a client that was made from one description cannot do, or does not understand, by another one: what is
// sent may be asked less of, and what is answered may say more, but not the other way round. New fields and new values of an
// enumeration may come in answers.
func Breaking(before, after *openapi3.T) []string {
	c := &comparison{seen: map[meeting]bool{}}
	for _, path := range slices.Sorted(maps.Keys(before.Paths.Map())) {
		was, is := before.Paths.Value(path), after.Paths.Value(path)
		for _, method := range slices.Sorted(maps.Keys(was.Operations())) {
			where := method + " " + path
			if is == nil || is.GetOperation(method) == nil {
				c.add(where, "is gone")
				continue
			}
			c.operation(where, was, is, was.GetOperation(method), is.GetOperation(method))
		}
	}
	return c.found
}

// comparison collects what breaks a client.
type comparison struct {
	found []string
	seen  map[meeting]bool
}

// meeting is of two schemas that were compared.
type meeting struct {
	was, is *openapi3.Schema
	way     direction
}

func (c *comparison) add(where, format string, args ...any) {
	c.found = append(c.found, where+": "+fmt.Sprintf(format, args...))
}

func (c *comparison) operation(where string, wasItem, isItem *openapi3.PathItem, was, is *openapi3.Operation) {
	if was.OperationID != is.OperationID {
		c.add(where, "is no longer called %s", was.OperationID) // clients have a method of that name
	}
	c.parameters(where, slices.Concat(wasItem.Parameters, was.Parameters), slices.Concat(isItem.Parameters, is.Parameters))
	c.body(where+" request", was.RequestBody, is.RequestBody)
	for _, status := range slices.Sorted(maps.Keys(was.Responses.Map())) {
		where, was, is := where+" "+status, was.Responses.Value(status).Value, is.Responses.Value(status)
		if is == nil {
			c.add(where, "is gone")
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(was.Headers)) {
			now := is.Value.Headers[name]
			if was.Headers[name].Value.Required && (now == nil || !now.Value.Required) {
				c.add(where, "the header %s is no longer certain", name)
			}
		}
		for _, mediaType := range slices.Sorted(maps.Keys(was.Content)) {
			now := is.Value.Content[mediaType]
			if now == nil {
				c.add(where, "is no longer given as %s", mediaType)
				continue
			}
			c.schema(where, was.Content[mediaType].Schema, now.Schema, answered)
		}
	}
}

func (c *comparison) parameters(where string, was, is openapi3.Parameters) {
	for _, p := range was {
		now := is.GetByInAndName(p.Value.In, p.Value.Name)
		where := where + " parameter " + p.Value.Name
		if now == nil {
			c.add(where, "is gone") // an unknown parameter is refused
			continue
		}
		if now.Required && !p.Value.Required {
			c.add(where, "is now required")
		}
		c.schema(where, p.Value.Schema, now.Schema, sent)
	}
	for _, p := range is {
		if p.Value.Required && was.GetByInAndName(p.Value.In, p.Value.Name) == nil {
			c.add(where+" parameter "+p.Value.Name, "is new and required")
		}
	}
}

func (c *comparison) body(where string, was, is *openapi3.RequestBodyRef) {
	switch {
	case was == nil && is == nil:
		return
	case is == nil:
		c.add(where, "is gone")
		return
	case is.Value.Required && (was == nil || !was.Value.Required):
		c.add(where, "is now required")
	}
	if was == nil {
		return
	}
	for _, mediaType := range slices.Sorted(maps.Keys(was.Value.Content)) {
		if now := is.Value.Content[mediaType]; now == nil {
			c.add(where, "is no longer read as %s", mediaType)
		} else {
			c.schema(where, was.Value.Content[mediaType].Schema, now.Schema, sent)
		}
	}
}

// direction says who makes a value: a client sends it, or the server answers with it.
type direction bool

const (
	sent     direction = true
	answered direction = false
)

func (c *comparison) schema(where string, wasRef, isRef *openapi3.SchemaRef, way direction) {
	if wasRef == nil || isRef == nil {
		if wasRef != isRef {
			c.add(where, "has a schema in one description only")
		}
		return
	}
	was, is := wasRef.Value, isRef.Value
	if met := (meeting{was, is, way}); c.seen[met] {
		return // said once, of the first route that has it
	} else {
		c.seen[met] = true
	}
	// narrow and wide are the descriptions of which the first must allow no value that the second does not.
	narrow, wide := was, is
	if way == answered {
		narrow, wide = is, was
	}
	if !slices.Equal(was.Type.Slice(), is.Type.Slice()) || was.Format != is.Format {
		c.add(where, "was %s, is %s", kind(was), kind(is))
		return
	}
	if narrow.Nullable && !wide.Nullable {
		c.add(where, "null was %v, is %v", was.Nullable, is.Nullable)
	}
	if len(wide.Enum) > 0 {
		if len(narrow.Enum) == 0 {
			c.add(where, "the values were %v, are %v", was.Enum, is.Enum)
		}
		for _, value := range was.Enum {
			if way == sent && !slices.Contains(is.Enum, value) {
				c.add(where, "the value %v is gone", value)
			}
		}
	}
	if way == sent {
		c.bounds(where, was, is)
	}
	c.properties(where, was, is, way)
	if was.Items != nil || is.Items != nil {
		c.schema(where+"[]", was.Items, is.Items, way)
	}
	for _, alternatives := range []struct {
		name    string
		was, is openapi3.SchemaRefs
	}{{"oneOf", was.OneOf, is.OneOf}, {"anyOf", was.AnyOf, is.AnyOf}, {"allOf", was.AllOf, is.AllOf}} {
		if len(alternatives.was) > len(alternatives.is) && way == sent || len(alternatives.was) < len(alternatives.is) && way == answered || alternatives.name == "allOf" && len(alternatives.was) != len(alternatives.is) {
			c.add(where, "%s had %d alternatives, has %d", alternatives.name, len(alternatives.was), len(alternatives.is))
		}
		for i := range min(len(alternatives.was), len(alternatives.is)) {
			c.schema(where, alternatives.was[i], alternatives.is[i], way)
		}
	}
}

// bounds compares what a value that is sent has to keep to. A server may keep to less in what it answers.
func (c *comparison) bounds(where string, was, is *openapi3.Schema) {
	if is.Pattern != "" && is.Pattern != was.Pattern {
		c.add(where, "the pattern was %q, is %q", was.Pattern, is.Pattern)
	}
	if is.UniqueItems && !was.UniqueItems {
		c.add(where, "items may no longer repeat")
	}
	least := func(name string, was, is *float64) {
		if is != nil && (was == nil || *is > *was) {
			c.add(where, "%s is now %v", name, *is)
		}
	}
	most := func(name string, was, is *float64) {
		if is != nil && (was == nil || *is < *was) {
			c.add(where, "%s is now %v", name, *is)
		}
	}
	least("minimum", was.Min, is.Min)
	most("maximum", was.Max, is.Max)
	least("minLength", number(&was.MinLength), number(&is.MinLength))
	least("minItems", number(&was.MinItems), number(&is.MinItems))
	least("minProperties", number(&was.MinProps), number(&is.MinProps))
	most("maxLength", number(was.MaxLength), number(is.MaxLength))
	most("maxItems", number(was.MaxItems), number(is.MaxItems))
	most("maxProperties", number(was.MaxProps), number(is.MaxProps))
}

func number(n *uint64) *float64 {
	if n == nil {
		return nil
	}
	f := float64(*n)
	return &f
}

func (c *comparison) properties(where string, was, is *openapi3.Schema, way direction) {
	for _, name := range slices.Sorted(maps.Keys(was.Properties)) {
		now := is.Properties[name]
		if now == nil {
			c.add(where+"."+name, "is gone")
			continue
		}
		c.schema(where+"."+name, was.Properties[name], now, way)
	}
	must, may := is.Required, was.Required // a client has to send more
	complaint := "is now required"
	if way == answered {
		must, may = was.Required, is.Required // a client is sure of less
		complaint = "is no longer certain"
	}
	for _, name := range must {
		if !slices.Contains(may, name) && (way == sent || is.Properties[name] != nil) {
			c.add(where+"."+name, "%s", complaint)
		}
	}
	if extra := was.AdditionalProperties.Schema; extra != nil && is.AdditionalProperties.Schema != nil {
		c.schema(where+".*", extra, is.AdditionalProperties.Schema, way)
	} else if extra != nil {
		c.add(where, "other fields are no longer described")
	}
}

func kind(s *openapi3.Schema) string {
	name := strings.Join(s.Type.Slice(), " or ")
	if s.Format != "" {
		name += " of format " + s.Format
	}
	if name == "" {
		return "anything"
	}
	return "a value of type " + name
}
