package gateway

import (
	"bytes"
	"context"
	"image"
	"slices"

	"consilium/gateway/api"
	"consilium/internal/analysis"
	"consilium/internal/media"
	"consilium/internal/overlay"
)

// GetReportMasks implements GET /v1/reports/{report_id}/masks.png: the masks that the report keeps, whatever model made
// them, over the image that it rests on.
func (s *server) GetReportMasks(ctx context.Context, request api.GetReportMasksRequestObject) (api.GetReportMasksResponseObject, error) {
	report, err := s.Store.Report(ctx, request.ReportId)
	if err != nil {
		return nil, err
	}
	noMasks := &analysis.Error{Code: analysis.NotFound, Field: "report_id", Message: "the report has no masks", Value: request.ReportId}
	masks := report.Result.Segmentation
	if masks == nil || len(masks.Masks) == 0 {
		return nil, noMasks
	}
	drawing, err := s.draw(ctx, report, noMasks, func(picture image.Image) ([]byte, error) { return overlay.PNG(picture, masks) })
	if err != nil {
		return nil, err
	}
	return api.GetReportMasks200ImagepngResponse{Body: bytes.NewReader(drawing), ContentLength: int64(len(drawing))}, nil
}

// draw decodes the picture that a report rests on, once the memory that it takes is free, and returns what over makes of
// it; none is the error for a report without one.
func (s *server) draw(ctx context.Context, report *analysis.DiagnosticReport, none error, over func(image.Image) ([]byte, error)) ([]byte, error) {
	i := slices.IndexFunc(report.Artefacts, func(a analysis.Artefact) bool { return a.Modality == analysis.Image })
	if i < 0 {
		return nil, none
	}
	picture, err := s.Store.Content(ctx, &report.Artefacts[i])
	if err != nil {
		return nil, err
	}
	header, err := media.CheckImage(picture)
	if err != nil {
		return nil, err
	}
	need := header.DecodeBytes()
	if err := s.drawing.Acquire(ctx, need); err != nil {
		return nil, err
	}
	defer s.drawing.Release(need)
	decoded, err := media.DecodeImage(picture)
	if err != nil {
		return nil, err
	}
	return over(decoded.Image)
}

// segmentationOf is nil for a report without an image that was looked at.
func segmentationOf(s *analysis.Segmentation) *api.Segmentation {
	if s == nil {
		return nil
	}
	out := &api.Segmentation{
		Rows: s.Rows, Cols: s.Cols, Masks: []api.Mask{}, Measurements: measurementsOf(s.Measurements),
		Problem: optional(s.Problem), Unmeasured: append([]string{}, s.Unmeasured...),
	}
	for _, m := range s.Masks {
		out.Masks = append(out.Masks, api.Mask{Structure: api.MaskStructure(m.Structure), Runs: m.Runs, Confidence: fraction(m.Confidence)})
	}
	return out
}

func measurementsOf(measurements []analysis.Measurement) []api.Measurement {
	out := []api.Measurement{}
	for _, m := range measurements {
		out = append(out, api.Measurement{Name: api.MeasurementName(m.Name), Value: fraction(m.Value), Unit: m.Unit, Structures: m.Structures, Modality: api.Modality(m.Modality)})
	}
	return out
}
