package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"

	"consilium/internal/analysis"
	"consilium/internal/importer"
	"consilium/internal/jobs"
)

// check refuses what openapi.yaml does not allow, before the operation sees it: parameters, the kind and size
// of the body, and a JSON body's fields. The parts of a multipart body are the operation's to check, since they
// are read as they come.
func (s *server) check(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		item, method := s.spec.Paths.Value(r.Pattern), r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		if item == nil || item.GetOperation(method) == nil {
			s.fail(w, r, fmt.Errorf("openapi.yaml knows no %s %s", method, r.Pattern))
			return
		}
		operation := item.GetOperation(method)
		parameters := append(slices.Clone(item.Parameters), operation.Parameters...)
		if err := checkParameters(r, parameters); err != nil {
			s.fail(w, r, err)
			return
		}
		if parameters.GetByInAndName(openapi3.ParameterInQuery, cursorParameter) != nil {
			listed, err := s.withListing(w, r)
			if err != nil {
				s.fail(w, r, err)
				return
			}
			r = listed
		}
		if operation.RequestBody != nil {
			release, err := s.checkBody(w, r, operation)
			if err != nil {
				s.fail(w, r, err)
				return
			}
			defer release()
		}
		if isConditional(operation) {
			c := &conditional{ResponseWriter: w, r: r}
			next.ServeHTTP(c, r)
			c.finish()
			return
		}
		next.ServeHTTP(w, r)
	})
}

// checkParameters refuses parameters that are unknown, repeated or against their schema.
func checkParameters(r *http.Request, known openapi3.Parameters) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return unreadable400("query", "the query is malformed")
	}
	// A parameter that is an object with every field a parameter of its own lets any name in.
	open := slices.ContainsFunc(known, func(p *openapi3.ParameterRef) bool { return p.Value.Schema.Value.Type.Is(openapi3.TypeObject) })
	for name, values := range query {
		p := known.GetByInAndName(openapi3.ParameterInQuery, name)
		if p == nil && !open {
			return unreadable400(clip(name), "the query parameter is unknown")
		}
		if len(values) > 1 && (p == nil || !p.Schema.Value.Type.Is(openapi3.TypeArray)) {
			return unreadable400(clip(name), "the query parameter is given %d times", len(values))
		}
	}
	for _, ref := range known {
		p := ref.Value
		raw, given := pathParameter(r, p.Name), true
		switch p.In {
		case openapi3.ParameterInQuery:
			raw, given = query.Get(p.Name), query.Has(p.Name)
		case openapi3.ParameterInHeader:
			raw, given = strings.Join(r.Header.Values(p.Name), ", "), len(r.Header.Values(p.Name)) > 0
		}
		if !given || p.Schema.Value.Type.Is(openapi3.TypeArray) || p.Schema.Value.Type.Is(openapi3.TypeObject) {
			continue
		}
		var value any = raw
		if p.Schema.Value.Type.Is(openapi3.TypeInteger) {
			n, err := strconv.ParseInt(raw, 10, 64)
			if err != nil {
				e := unreadable400(p.Name, "want an integer")
				e.cause.Value = clip(raw)
				return e
			}
			value = float64(n)
		}
		if err := p.Schema.Value.VisitJSON(value); err != nil {
			e := schemaError(p.Name, err)
			return &statusError{cause: e, status: http.StatusBadRequest, name: string(e.Code)}
		}
	}
	return nil
}

// pathParameter returns a part of the path without escapes: clients write %3A for the colon in the name of a term.
func pathParameter(r *http.Request, name string) string {
	raw := chi.URLParam(r, name)
	if plain, err := url.PathUnescape(raw); err == nil {
		return plain
	}
	return raw
}

const multipartForm = "multipart/form-data"

// checkBody bounds the body, reserves room for it and, if it is JSON, checks its fields. The caller releases
// the room when the request is done.
func (s *server) checkBody(w http.ResponseWriter, r *http.Request, operation *openapi3.Operation) (release func(), err error) {
	body := operation.RequestBody.Value
	if r.ContentLength == 0 && !body.Required {
		return func() {}, nil
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, &analysis.Error{Code: analysis.UnsupportedMedia, Field: "Content-Encoding", Message: "a compressed body is not read", Limit: "identity", Value: clip(encoding)}
	}
	mediaType, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	content := body.Content[mediaType]
	if err != nil || content == nil {
		accepted := make([]string, 0, len(body.Content))
		for name := range body.Content {
			accepted = append(accepted, name)
		}
		return nil, &analysis.Error{Code: analysis.UnsupportedMedia, Field: "Content-Type", Message: "the body is of a kind that this route does not read",
			Limit: strings.Join(accepted, ", "), Value: clip(r.Header.Get("Content-Type"))}
	}
	if charset := parameters["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return nil, &analysis.Error{Code: analysis.UnsupportedMedia, Field: "Content-Type", Message: "the body is not in UTF-8", Limit: "charset=utf-8", Value: clip(charset)}
	}
	limit := s.bodyLimit(mediaType, operation.OperationID)
	room := r.ContentLength
	switch {
	case r.ContentLength > limit:
		return nil, &analysis.Error{Code: analysis.TooLarge, Field: "body", Message: "the body is too large",
			Limit: fmt.Sprintf("%d bytes", limit), Value: fmt.Sprintf("%d bytes", r.ContentLength)}
	case operation.OperationID == restoreExport:
		room = restoreRoom
	case operation.OperationID == createModel: // goes to disk as it comes
		room = min(limit, modelRoom)
	case operation.OperationID == importStudies && room < 0:
		room = importRoom
	case r.ContentLength < 0:
		room = limit
	}
	if operation.OperationID == importStudies {
		room = min(room, importRoom)
	}
	if mediaType == multipartMany {
		room = min(room, dicomRoom*s.Limits.ImageBytes) // read part by part
	}
	if !s.inFlight.TryAcquire(room) {
		return nil, &analysis.Error{Code: analysis.Overloaded, Message: "too many uploads are in progress",
			Limit: fmt.Sprintf("%d bytes in flight", s.Limits.InFlightBytes), Value: fmt.Sprintf("%d bytes more", room)}
	}
	release = func() { s.inFlight.Release(room) }
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	if mediaType == multipartForm || mediaType == multipartMany || mediaType == octetStream {
		return release, nil
	}
	if err := s.checkJSONBody(r, operation, content.Schema.Value); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// createModel is the operation whose body is not held in memory; modelRoom is what reading it takes.
const (
	createModel = "createModel"
	modelRoom   = 1 << 20
)

func (s *server) bodyLimit(mediaType, operation string) int64 {
	switch {
	case operation == createModel:
		return modelFormBytes
	case operation == restoreExport:
		return importer.MaxExportBytes
	case operation == importStudies:
		return importer.MaxBytes
	case mediaType == multipartForm:
		return s.Limits.UploadBytes
	case mediaType == multipartMany:
		return s.Limits.DICOMUploadBytes
	case operation == "createEmbeddings" || operation == "search":
		return s.Limits.EmbeddingsBytes
	case operation == "createJob":
		return jobs.MaxBodyBytes
	}
	return s.Limits.JSONBytes
}

func (s *server) checkJSONBody(r *http.Request, operation *openapi3.Operation, schema *openapi3.Schema) error {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return bodyError(err)
	}
	if len(raw) == 0 && !operation.RequestBody.Value.Required {
		r.Body = http.NoBody
		return nil
	}
	if err := s.checkJSON("", raw, schema); err != nil {
		if operation.OperationID == "createEmbeddings" {
			err = explainEmbeddings(raw, err)
		}
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(raw))
	return nil
}

// checkJSON refuses raw unless it is JSON in UTF-8 that fits schema. Fields are named below prefix.
func (s *server) checkJSON(prefix string, raw []byte, schema *openapi3.Schema) error {
	if err := scanJSON(prefix, raw, s.Limits.JSONDepth); err != nil {
		return err
	}
	var value any
	if err := json.Unmarshal(raw, &value); err != nil { // scanJSON has read it: what is left is a number that no float64 holds
		return unreadable400(named(prefix), "the JSON holds a value that cannot be read")
	}
	if err := schema.VisitJSON(value); err != nil {
		return schemaError(prefix, err)
	}
	return nil
}

// schemaError says which field is against its schema, with the limit and the value found.
func schemaError(prefix string, err error) *analysis.Error {
	var schema *openapi3.SchemaError
	if !errors.As(err, &schema) {
		return analysis.Invalid(named(prefix), "the value is not what openapi.yaml describes")
	}
	pointer := schema.JSONPointer()
	if name, ok := unknownField(schema); ok {
		pointer = append(pointer, name)
	}
	field := strings.Join(pointer, ".")
	if prefix != "" {
		field = strings.TrimSuffix(prefix+"."+field, ".")
	}
	e := analysis.Invalid(clip(named(field)), "%s", schema.Reason)
	s := schema.Schema
	switch schema.SchemaField {
	case "required":
		e.Message = "the field is missing"
		return e
	case "properties", "additionalProperties":
		e.Message = "the field is unknown"
		return e
	case "minLength", "maxLength":
		e.Limit = fmt.Sprintf("%d to %s characters", s.MinLength, most(s.MaxLength))
	case "minimum", "maximum":
		e.Limit = bounds(s.Min, s.Max)
	case "minItems", "maxItems":
		e.Limit = fmt.Sprintf("%d to %s items", s.MinItems, most(s.MaxItems))
	case "maxProperties":
		e.Limit = most(s.MaxProps) + " fields"
	case "type":
		e.Limit = strings.Join(s.Type.Slice(), " or ")
	case "enum":
		e.Limit = strings.Trim(fmt.Sprint(s.Enum), "[]")
	case "pattern":
		e.Message = "the value does not have the form that is wanted"
		if e.Limit = s.Format; e.Limit == "" {
			e.Limit = s.Pattern
		}
	}
	e.Value = found(schema.Value)
	return e
}

// unknownField returns the first field of an object that its schema does not have, if that is the error.
func unknownField(err *openapi3.SchemaError) (name string, ok bool) {
	object, isObject := err.Value.(map[string]any)
	if !isObject || err.SchemaField != "properties" && err.SchemaField != "additionalProperties" {
		return "", false
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if err.Schema.Properties[name] == nil {
			return name, true
		}
	}
	return "", false
}

func named(field string) string {
	if field == "" {
		return "body"
	}
	return field
}

func most(n *uint64) string {
	if n == nil {
		return "any number of"
	}
	return strconv.FormatUint(*n, 10)
}

func bounds(least, most *float64) string {
	switch {
	case least == nil:
		return fmt.Sprintf("at most %v", *most)
	case most == nil:
		return fmt.Sprintf("at least %v", *least)
	}
	return fmt.Sprintf("%v to %v", *least, *most)
}

// found describes a JSON value in a few characters.
func found(value any) string {
	switch v := value.(type) {
	case string:
		if len(v) > 64 {
			return fmt.Sprintf("%d characters", len([]rune(v)))
		}
		return strconv.Quote(v)
	case []any:
		return fmt.Sprintf("%d items", len(v))
	case map[string]any:
		return fmt.Sprintf("an object of %d fields", len(v))
	case nil:
		return "null"
	}
	return clip(fmt.Sprint(value))
}
