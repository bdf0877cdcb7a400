// Package client is the Go client of the public interface, generated from openapi.yaml.
package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
)

// Upload is the content of a new study: what CreateStudyWithBody sends.
type Upload struct {
	Metadata StudyMetadata
	Texts    []string // notes, UTF-8
	Images   [][]byte // JPEG or PNG files
	Sounds   [][]byte // WAV files
}

// Form returns the upload as a multipart form, with its content type.
func (u *Upload) Form() (contentType string, body io.Reader, err error) {
	form := &bytes.Buffer{}
	w := multipart.NewWriter(form)
	metadata, err := json.Marshal(u.Metadata)
	errs := []error{err, w.WriteField("metadata", string(metadata))}
	for _, text := range u.Texts {
		errs = append(errs, w.WriteField("text", text))
	}
	for _, files := range []struct {
		field    string
		contents [][]byte
	}{{"image", u.Images}, {"audio", u.Sounds}} {
		for _, content := range files.contents {
			part, err := w.CreateFormFile(files.field, files.field)
			if err == nil {
				_, err = part.Write(content)
			}
			errs = append(errs, err)
		}
	}
	return w.FormDataContentType(), form, errors.Join(append(errs, w.Close())...)
}

// Error makes a problem an error that says what the server said.
func (p *Problem) Error() string {
	s := p.Title + ": " + p.Detail
	for _, about := range []struct {
		name  string
		value *string
	}{{"field", p.Field}, {"limit", p.Limit}, {"found", p.Value}} {
		if about.value != nil {
			s += ", " + about.name + " " + *about.value
		}
	}
	return s
}
