package gateway

import (
	"mime"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"consilium/internal/analysis"
	"consilium/internal/dicom"
	"consilium/internal/dicom/deid"
)

// dicomWeb serves the routes of DICOMweb (PS3.18). They are described in openapi.yaml as all routes are, and checked
// against it; but their bodies are multipart/related, or a data set written as it was stored, which generated code
// has no types for.
func (s *server) dicomWeb(r chi.Router) {
	const (
		root     = dicomRoot
		study    = root + "/studies/{study_uid}"
		series   = study + "/series/{series_uid}"
		instance = series + "/instances/{instance_uid}"
		frames   = instance + "/frames/{frames}"
	)
	r.Post(root+"/studies", s.dicom(s.storeInstances))
	r.Post(study, s.dicom(s.storeInstances))
	r.Get(root+"/studies", s.dicom(s.search(analysis.StudyLevel)))
	r.Get(root+"/series", s.dicom(s.search(analysis.SeriesLevel)))
	r.Get(study+"/series", s.dicom(s.search(analysis.SeriesLevel)))
	r.Get(root+"/instances", s.dicom(s.search(analysis.InstanceLevel)))
	r.Get(study+"/instances", s.dicom(s.search(analysis.InstanceLevel)))
	r.Get(series+"/instances", s.dicom(s.search(analysis.InstanceLevel)))
	for _, scope := range []string{study, series, instance} {
		r.Get(scope, s.dicom(s.retrieve))
		r.Get(scope+"/metadata", s.dicom(s.retrieveMetadata))
	}
	r.Get(frames, s.dicom(s.retrieveFrames))
	r.Get(instance+"/rendered", s.dicom(s.render))
	r.Get(frames+"/rendered", s.dicom(s.render))
}

// dicom makes a handler of a function that answers or returns why it did not.
func (s *server) dicom(serve func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return s.check(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := serve(w, r); err != nil {
			s.fail(w, r, err)
		}
	})).ServeHTTP
}

const dicomRoot = "/dicom-web"

// hideUIDs keeps the path of a request that was served out of the log: a client may name a study by the UID that it has
// outside.
func hideUIDs(r *http.Request) {
	switch {
	case !strings.HasPrefix(r.URL.Path, dicomRoot+"/"):
	case strings.HasPrefix(r.Pattern, dicomRoot+"/"):
		r.URL.Path = r.Pattern
	default:
		r.URL.Path = dicomRoot + "/…"
	}
}

// cleaner returns what takes identities out of files for the request's tenant, nil if they are stored as they come.
func (s *server) cleaner(r *http.Request) *deid.Cleaner {
	return s.cleanerOf(analysis.Tenant(r.Context()))
}

func (s *server) cleanerOf(tenant string) *deid.Cleaner {
	if s.DICOMSecret == nil {
		return nil
	}
	return deid.New(s.DICOMSecret, tenant)
}

// The media types of DICOMweb.
const (
	dicomFile     = analysis.DICOMMediaType
	dicomJSON     = "application/dicom+json"
	plainJSON     = "application/json"
	octetStream   = "application/octet-stream"
	jpegImage     = "image/jpeg"
	pngImage      = "image/png"
	rleImage      = "image/dicom-rle"
	multipartMany = "multipart/related"
)

// accepted is one media type of an Accept header. Of multipart/related it is the type of the parts.
type accepted struct {
	mediaType string // such as image/jpeg, image/* or */*
	multipart bool
	syntax    string // the transfer syntax that is wanted: a UID, * for any, "" if none is named
}

// acceptedBy reads the Accept headers; without one, anything is. Quality values are not looked at: the first that can be
// had is taken.
func acceptedBy(r *http.Request) []accepted {
	var list []accepted
	for _, header := range r.Header.Values("Accept") {
		for _, field := range splitQuoted(header) {
			mediaType, parameters, err := mime.ParseMediaType(field)
			if err != nil {
				continue
			}
			a := accepted{mediaType: mediaType, syntax: parameters["transfer-syntax"]}
			if mediaType == multipartMany {
				a.multipart, a.mediaType = true, strings.ToLower(parameters["type"])
				if a.mediaType == "" {
					a.mediaType = "*/*"
				}
			}
			list = append(list, a)
		}
	}
	if len(r.Header.Values("Accept")) == 0 {
		list = []accepted{{mediaType: "*/*"}}
	}
	return list
}

// splitQuoted divides a header at the commas outside of quotes.
func splitQuoted(header string) []string {
	var fields []string
	quoted, from := false, 0
	for i := range len(header) {
		switch header[i] {
		case '"':
			quoted = !quoted
		case ',':
			if !quoted {
				fields = append(fields, header[from:i])
				from = i + 1
			}
		}
	}
	return append(fields, header[from:])
}

// takes says that the media type is one of those that are accepted.
func (a accepted) takes(mediaType string) bool {
	kind, _, _ := strings.Cut(mediaType, "/")
	return a.mediaType == mediaType || a.mediaType == "*/*" || a.mediaType == kind+"/*"
}

// first returns the first of the media types that the request accepts, in the order of the request.
func first(r *http.Request, mediaTypes ...string) (string, error) {
	for _, a := range acceptedBy(r) {
		for _, mediaType := range mediaTypes {
			if !a.multipart && a.takes(mediaType) {
				return mediaType, nil
			}
		}
	}
	return "", notAcceptable(mediaTypes...)
}

// notAcceptable is the error for a request that accepts nothing of what there is.
func notAcceptable(mediaTypes ...string) error {
	e := analysis.Invalid("Accept", "the answer cannot be had in a form that the request accepts")
	e.Limit = strings.Join(mediaTypes, ", ")
	return &statusError{cause: e, status: http.StatusNotAcceptable, name: "not_acceptable"}
}

// noInstance is the error for a path that leads to nothing; it does not repeat the UIDs.
func noInstance() error {
	return &analysis.Error{Code: analysis.NotFound, Field: "path", Message: "no such study, series or instance"}
}

// writeDICOMJSON answers with a data set.
func writeDICOMJSON(w http.ResponseWriter, status int, d *dicom.Dataset) error {
	w.Header().Set("Content-Type", dicomJSON)
	w.WriteHeader(status)
	_, _ = w.Write(dicom.JSON(d, nil)) // nobody is there to be told
	return nil
}
