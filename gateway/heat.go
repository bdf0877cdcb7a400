package gateway

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"slices"

	"consilium/gateway/api"
	"consilium/internal/analysis"
	"consilium/internal/overlay"
)

// GetReportAttention implements GET /v1/reports/{report_id}/attention.png.
func (s *server) GetReportAttention(ctx context.Context, request api.GetReportAttentionRequestObject) (api.GetReportAttentionResponseObject, error) {
	report, err := s.Store.Report(ctx, request.ReportId)
	if err != nil {
		return nil, err
	}
	unseen := notSeen("report_id", request.ReportId, "the image was not judged by the fusion, so that the report has no attention")
	if report.Result.Attention == nil {
		return nil, unseen
	}
	drawing, err := s.heat(ctx, report, unseen, "attention: what was read", report.Result.Attention)
	if err != nil {
		return nil, err
	}
	return api.GetReportAttention200ImagepngResponse{Body: bytes.NewReader(drawing), ContentLength: int64(len(drawing))}, nil
}

// GetFindingActivation implements GET /v1/reports/{report_id}/findings/{label}/activation.png.
func (s *server) GetFindingActivation(ctx context.Context, request api.GetFindingActivationRequestObject) (api.GetFindingActivationResponseObject, error) {
	report, err := s.Store.Report(ctx, request.ReportId)
	if err != nil {
		return nil, err
	}
	unseen := notSeen("report_id", request.ReportId, "the image was not judged by the fusion, so that no finding has an activation")
	if !slices.ContainsFunc(report.Result.Findings, func(f analysis.Finding) bool { return f.Activation != nil }) {
		return nil, unseen
	}
	i := slices.IndexFunc(report.Result.Findings, func(f analysis.Finding) bool { return f.Label == request.Label })
	if i < 0 {
		return nil, notSeen("label", request.Label, "the report has no such finding")
	}
	f := report.Result.Findings[i]
	if f.Activation == nil {
		return nil, notSeen("label", request.Label, fmt.Sprintf("the finding was judged from the %s, not from the image", f.Modality))
	}
	title := fmt.Sprintf("%s (probability %.2f): what speaks for it", f.Label, f.Probability)
	drawing, err := s.heat(ctx, report, unseen, title, f.Activation)
	if err != nil {
		return nil, err
	}
	return api.GetFindingActivation200ImagepngResponse{Body: bytes.NewReader(drawing), ContentLength: int64(len(drawing))}, nil
}

func notSeen(field, value, message string) error {
	return &analysis.Error{Code: analysis.NotFound, Field: field, Message: message, Value: value}
}

func (s *server) heat(ctx context.Context, report *analysis.DiagnosticReport, none error, title string, g *analysis.Grid) ([]byte, error) {
	return s.draw(ctx, report, none, func(picture image.Image) ([]byte, error) { return overlay.Heat(picture, title, g) })
}
