package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"slices"
	"strings"

	"consilium/internal/analysis"
	"consilium/internal/media"
)

// field is what a form may hold under one name.
type field struct {
	name     string
	maxBytes int64
	many     bool // any number of parts; the parts' errors are named name[0], name[1], …
}

// part is one part of a form that was read.
type part struct {
	field   string // the name in the form
	label   string // the name in an error
	content []byte
}

// readForm reads a form part by part and refuses what fields does not allow as soon as it is seen.
func (s *server) readForm(reader *multipart.Reader, fields []field) ([]part, error) {
	var parts []part
	counts := map[string]int{}
	for {
		raw, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			if len(parts) == 0 {
				return nil, unreadable400("body", "the form holds no part: it is empty, or its boundary is another one")
			}
			return parts, nil
		}
		if err != nil {
			return nil, bodyError(err)
		}
		if len(parts) == s.Limits.UploadParts {
			return nil, &analysis.Error{Code: analysis.TooLarge, Field: "body", Message: "the form has too many parts", Limit: fmt.Sprintf("%d parts", s.Limits.UploadParts), Value: "more"}
		}
		name := raw.FormName()
		at := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		if at < 0 {
			names := make([]string, len(fields))
			for i, f := range fields {
				names[i] = f.name
			}
			e := analysis.Invalid(clip(named(name)), "the form's part is unknown")
			e.Limit, e.Value = strings.Join(names, ", "), clip(name)
			return nil, e
		}
		f := fields[at]
		p := part{field: name, label: name}
		if f.many {
			p.label = fmt.Sprintf("%s[%d]", name, counts[name])
		} else if counts[name] > 0 {
			e := analysis.Invalid(name, "the form has the part more than once")
			e.Limit, e.Value = "1", "2"
			return nil, e
		}
		counts[name]++
		if p.content, err = readPart(raw, p.label, f.maxBytes); err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
}

// readPart reads one part of at most limit bytes.
func readPart(r io.Reader, label string, limit int64) ([]byte, error) {
	var content bytes.Buffer
	n, err := content.ReadFrom(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, bodyError(err)
	}
	if n > limit {
		return nil, &analysis.Error{Code: analysis.TooLarge, Field: label, Message: "the part is too large", Limit: fmt.Sprintf("%d bytes", limit), Value: "more"}
	}
	return content.Bytes(), nil
}

// checkContent returns the media type found in the bytes of an artefact, or why they are refused. Nothing is
// decoded. Errors name the field label.
func checkContent(modality analysis.Modality, label string, content []byte) (mediaType string, err error) {
	switch modality {
	case analysis.Text:
		if strings.TrimSpace(string(content)) == "" {
			return "", analysis.Invalid(label, "the text is empty")
		}
		return analysis.TextMediaType, analysis.ValidateText(label, string(content), analysis.MaxTextBytes)
	case analysis.Image:
		header, err := media.CheckImage(content)
		return header.MediaType(), relabel(err, label)
	case analysis.Audio:
		_, err := media.CheckWAV(content)
		return "audio/wav", relabel(err, label)
	}
	return "", fmt.Errorf("check content of the unknown modality %q", modality)
}

// relabel makes an error about an artefact name the part that it came in.
func relabel(err error, label string) error {
	var e *analysis.Error
	if !errors.As(err, &e) {
		return err
	}
	named := *e
	named.Field = label
	return &named
}
