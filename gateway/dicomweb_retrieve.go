package gateway

import (
	"bytes"
	"context"
	"fmt"
	"image/jpeg"
	"image/png"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"consilium/internal/analysis"
	"consilium/internal/dicom"
)

// How many instances are read from the database at a time.
const (
	filePage     = 100
	metadataPage = 8 // each of at most maxMetadataBytes
)

// scopeOf returns what a path names, from its first instance on.
func scopeOf(r *http.Request, limit int) analysis.InstancePage {
	return analysis.InstancePage{StudyUID: chi.URLParam(r, "study_uid"), SeriesUID: chi.URLParam(r, "series_uid"), UID: chi.URLParam(r, "instance_uid"), After: -1, Limit: limit}
}

// eachInstance calls begin with the first instance that the path names, visit with each, and end after the last. Until
// begin returns an error can become a problem; afterwards the connection is broken, so that nobody takes a part for the
// whole.
func (s *server) eachInstance(ctx context.Context, page analysis.InstancePage, begin, visit func(*analysis.Instance) error, end func() error) error {
	began := false
	for {
		instances, err := s.Instances.Instances(ctx, page)
		switch {
		case err != nil && began:
			s.abort(ctx, err)
		case err != nil:
			return err
		case len(instances) == 0 && !began:
			return noInstance()
		}
		for i := range instances {
			if !began {
				if err := begin(&instances[i]); err != nil {
					return err
				}
				began = true
			}
			if err := visit(&instances[i]); err != nil {
				s.abort(ctx, err)
			}
		}
		if len(instances) < page.Limit {
			if err := end(); err != nil {
				s.abort(ctx, err)
			}
			return nil
		}
		page.After = instances[len(instances)-1].Position
	}
}

// abort ends an answer that has begun.
func (s *server) abort(ctx context.Context, err error) {
	s.Log.WarnContext(ctx, "answer was broken off", "error", err.Error())
	panic(http.ErrAbortHandler)
}

// retrieve answers with the stored files of a study, a series or an instance, WADO-RS.
func (s *server) retrieve(w http.ResponseWriter, r *http.Request) error {
	accepts := acceptedBy(r)
	as := func(instance *analysis.Instance) bool {
		for _, a := range accepts {
			if a.takes(dicomFile) && (a.syntax == "" || a.syntax == "*" || a.syntax == instance.TransferSyntax) {
				return true
			}
		}
		return false
	}
	var parts *parts
	return s.eachInstance(r.Context(), scopeOf(r, filePage), func(first *analysis.Instance) error {
		if !as(first) {
			return notAcceptable(fmt.Sprintf(`%s; type="%s"; transfer-syntax=%s`, multipartMany, dicomFile, first.TransferSyntax))
		}
		parts = newParts(w, dicomFile)
		return nil
	}, func(instance *analysis.Instance) error {
		if err := s.inFlight.Acquire(r.Context(), instance.Artefact.Bytes); err != nil {
			return err
		}
		defer s.inFlight.Release(instance.Artefact.Bytes)
		content, err := s.Store.Content(r.Context(), &instance.Artefact)
		if err != nil {
			return err
		}
		return parts.write(dicomFile, instance.TransferSyntax, instancePath(instance.StudyUID, instance.SeriesUID, instance.UID), content)
	}, func() error { return parts.Close() })
}

// parts writes an answer of multipart/related.
type parts struct{ *multipart.Writer }

func newParts(w http.ResponseWriter, mediaType string) *parts {
	p := &parts{multipart.NewWriter(w)}
	w.Header().Set("Content-Type", mime.FormatMediaType(multipartMany, map[string]string{"type": mediaType, "boundary": p.Boundary()}))
	return p
}

func (p *parts) write(mediaType, syntax, location string, content []byte) error {
	part, err := p.CreatePart(textproto.MIMEHeader{
		"Content-Type":     {mediaType + "; transfer-syntax=" + syntax},
		"Content-Location": {location},
	})
	if err == nil {
		_, err = part.Write(content)
	}
	return err
}

// retrieveMetadata answers with the attributes of a study's, a series' or one instance, WADO-RS.
func (s *server) retrieveMetadata(w http.ResponseWriter, r *http.Request) error {
	mediaType, err := first(r, dicomJSON, plainJSON)
	if err != nil {
		return err
	}
	page := scopeOf(r, metadataPage)
	page.Metadata = true
	before := "["
	return s.eachInstance(r.Context(), page, func(*analysis.Instance) error {
		w.Header().Set("Content-Type", mediaType)
		return nil
	}, func(instance *analysis.Instance) error {
		_, err := io.WriteString(w, before)
		if err == nil {
			_, err = w.Write(instance.Metadata)
		}
		before = ","
		return err
	}, func() error { _, err := io.WriteString(w, "]"); return err })
}

// picture reads the one instance that a path names and calls use with it, in room that is reserved for the file and for
// a decoded frame.
func (s *server) picture(r *http.Request, use func(*analysis.Instance, *dicom.Image) error) error {
	found, err := s.Instances.Instances(r.Context(), scopeOf(r, 1))
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return noInstance()
	}
	reserve := func(n int64) (release func(), err error) {
		n = min(n, s.Limits.InFlightBytes/2) // so that both fit
		if !s.inFlight.TryAcquire(n) {
			return nil, &analysis.Error{Code: analysis.Overloaded, Message: "too many pictures are in progress",
				Limit: fmt.Sprintf("%d bytes in flight", s.Limits.InFlightBytes), Value: fmt.Sprintf("%d bytes more", n)}
		}
		return func() { s.inFlight.Release(n) }, nil
	}
	release, err := reserve(found[0].Artefact.Bytes)
	if err != nil {
		return err
	}
	defer release()
	content, err := s.Store.Content(r.Context(), &found[0].Artefact)
	if err != nil {
		return err
	}
	file, err := dicom.Parse(content)
	if err != nil {
		return err
	}
	image, err := file.Image()
	if err != nil {
		return err
	}
	if release, err = reserve(image.DecodeBytes()); err != nil {
		return err
	}
	defer release()
	return use(&found[0], image)
}

// framesOf returns the frames that a path names, counted from 0: without any, the one that stands for all, which the
// vision encoder sees too.
func framesOf(r *http.Request, image *dicom.Image) ([]int, error) {
	list := chi.URLParam(r, "frames")
	if list == "" {
		return []int{image.Representative()}, nil
	}
	var frames []int
	for field := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 || n > image.Frames {
			e := &analysis.Error{Code: analysis.NotFound, Field: "frames", Message: "the instance has no such frame", Limit: fmt.Sprintf("1 to %d", image.Frames), Value: clip(field)}
			return nil, e
		}
		frames = append(frames, n-1)
	}
	return frames, nil
}

// retrieveFrames answers with frames, uncompressed or as they are stored, WADO-RS.
func (s *server) retrieveFrames(w http.ResponseWriter, r *http.Request) error {
	return s.picture(r, func(instance *analysis.Instance, image *dicom.Image) error {
		return s.writeFrames(w, r, instance, image)
	})
}

func (s *server) writeFrames(w http.ResponseWriter, r *http.Request, instance *analysis.Instance, image *dicom.Image) error {
	frames, err := framesOf(r, image)
	if err != nil {
		return err
	}
	mediaType, syntax, err := frameType(r, dicom.TransferSyntax(instance.TransferSyntax))
	if err != nil {
		return err
	}
	read := image.Encoded
	if mediaType == octetStream && !dicom.TransferSyntax(instance.TransferSyntax).Native() {
		read = func(i int) ([]byte, error) {
			frame, err := image.Frame(i)
			if err != nil {
				return nil, err
			}
			return frame.Data, nil
		}
	}
	var out *parts
	location := instancePath(instance.StudyUID, instance.SeriesUID, instance.UID)
	for _, i := range frames {
		content, err := read(i)
		if err != nil {
			if out != nil {
				s.abort(r.Context(), err)
			}
			return err
		}
		if out == nil {
			out = newParts(w, mediaType)
		}
		if err := out.write(mediaType, string(syntax), fmt.Sprintf("%s/frames/%d", location, i+1), content); err != nil {
			s.abort(r.Context(), err)
		}
	}
	if err := out.Close(); err != nil {
		s.abort(r.Context(), err)
	}
	return nil
}

// frameType returns in which form a request wants frames that are stored in a transfer syntax.
func frameType(r *http.Request, stored dicom.TransferSyntax) (mediaType string, syntax dicom.TransferSyntax, err error) {
	own := map[dicom.TransferSyntax]string{dicom.JPEGBaseline: jpegImage, dicom.RLELossless: rleImage}[stored]
	for _, a := range acceptedBy(r) {
		switch wanted := dicom.TransferSyntax(a.syntax); {
		case own != "" && a.takes(own) && (wanted == stored || wanted == "*" || wanted == "" && a.mediaType == own):
			return own, stored, nil
		case a.takes(octetStream) && (wanted == dicom.ExplicitLittle || wanted == "*" || wanted == ""):
			return octetStream, dicom.ExplicitLittle, nil
		}
	}
	forms := []string{fmt.Sprintf(`%s; type="%s"`, multipartMany, octetStream)}
	if own != "" {
		forms = append(forms, fmt.Sprintf(`%s; type="%s"`, multipartMany, own))
	}
	return "", "", notAcceptable(forms...)
}

// render answers with a picture to look at, WADO-RS.
func (s *server) render(w http.ResponseWriter, r *http.Request) error {
	mediaType, err := first(r, jpegImage, pngImage)
	if err != nil {
		return err
	}
	return s.picture(r, func(_ *analysis.Instance, image *dicom.Image) error {
		frames, err := framesOf(r, image)
		if err != nil {
			return err
		}
		if len(frames) > 1 {
			return unreadable400("frames", "one frame at a time is rendered")
		}
		picture, err := image.Render(frames[0])
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if mediaType == pngImage {
			err = png.Encode(&b, picture.Image)
		} else {
			quality := 90
			if n, err := strconv.Atoi(r.URL.Query().Get("quality")); err == nil {
				quality = n
			}
			err = jpeg.Encode(&b, picture.Image, &jpeg.Options{Quality: quality})
		}
		if err != nil {
			return fmt.Errorf("encode a frame as %s: %w", mediaType, err)
		}
		w.Header().Set("Content-Type", mediaType)
		_, _ = w.Write(b.Bytes()) // nobody is there to be told
		return nil
	})
}
