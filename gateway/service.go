package gateway

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"consilium"
	"consilium/gateway/api"
	"consilium/internal/analysis"
	"consilium/internal/importer"
	"consilium/internal/jobs"
	"consilium/internal/knowledge"
)

// readyTimeout bounds the check of one part.
const readyTimeout = 5 * time.Second

// GetHealth implements GET /healthz.
func (s *server) GetHealth(context.Context, api.GetHealthRequestObject) (api.GetHealthResponseObject, error) {
	return api.GetHealth200JSONResponse{Status: api.Alive}, nil
}

// GetReadiness implements GET /readyz.
func (s *server) GetReadiness(ctx context.Context, _ api.GetReadinessRequestObject) (api.GetReadinessResponseObject, error) {
	ready := s.eachPart(ctx, func(ctx context.Context, p Part) bool {
		err := p.Ready(ctx)
		if err != nil {
			s.Log.WarnContext(ctx, "part is not ready", "part", p.Name, "error", err.Error())
		}
		return err == nil
	})
	readiness := api.Readiness{Status: api.Ready}
	for i, p := range s.Parts {
		switch {
		case !ready[i] && p.Required:
			readiness.Status = api.Unready
		case !ready[i] && readiness.Status == api.Ready:
			readiness.Status = api.Degraded
		}
		readiness.Checks = append(readiness.Checks, struct {
			Name     string `json:"name"`
			Ready    bool   `json:"ready"`
			Required bool   `json:"required"`
		}{p.Name, ready[i], p.Required})
	}
	if readiness.Status == api.Unready {
		return api.GetReadiness503JSONResponse(readiness), nil
	}
	return api.GetReadiness200JSONResponse(readiness), nil
}

// eachPart asks every part at once and returns what each said, in order.
func (s *server) eachPart(ctx context.Context, ask func(context.Context, Part) bool) []bool {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	said := make([]bool, len(s.Parts))
	var group sync.WaitGroup
	for i, p := range s.Parts {
		group.Go(func() { said[i] = ask(ctx, p) })
	}
	group.Wait()
	return said
}

// ListModels implements GET /v1/models: the platform's models whose digest is known now, and those that users brought.
func (s *server) ListModels(ctx context.Context, _ api.ListModelsRequestObject) (api.ListModelsResponseObject, error) {
	var mu sync.Mutex
	digests, calibrations := map[string]string{}, map[string]*analysis.Calibration{}
	s.eachPart(ctx, func(ctx context.Context, p Part) bool {
		if p.Digest == nil {
			return false
		}
		digest, err := p.Digest(ctx)
		var calibration *analysis.Calibration
		if err == nil && p.Calibration != nil {
			calibration, err = p.Calibration(ctx)
		}
		if err != nil {
			s.Log.WarnContext(ctx, "model is not listed", "part", p.Name, "error", err.Error())
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		digests[p.Name], calibrations[p.Name] = digest, calibration
		return true
	})
	list := api.ListModels200JSONResponse{Object: api.ModelListObjectList, Data: []api.Model{}}
	for _, p := range s.Parts {
		if digest, ok := digests[p.Name]; ok {
			list.Data = append(list.Data, api.Model{Id: anyModel + "-" + p.Role, Object: api.ModelObjectModel, Role: api.ModelRole(p.Role),
				Version: digest, Digest: digest, State: api.Loaded, Licence: p.Licence, OwnedBy: anyModel,
				Calibration: calibrationOf(calibrations[p.Name])})
		}
	}
	brought, err := s.broughtModels(ctx)
	if err != nil {
		return nil, err
	}
	list.Data = append(list.Data, brought...)
	return list, nil
}

func calibrationOf(c *analysis.Calibration) *api.Calibration {
	if c == nil {
		return nil
	}
	return &api.Calibration{Precision: api.CalibrationPrecision(c.Precision), Samples: c.Samples, MeanCosine: c.MeanCosine, LeastCosine: c.LeastCosine}
}

// GetLimits implements GET /v1/limits.
func (s *server) GetLimits(context.Context, api.GetLimitsRequestObject) (api.GetLimitsResponseObject, error) {
	l := s.Limits
	return api.GetLimits200JSONResponse{
		UploadBytes: l.UploadBytes, ImageBytes: l.ImageBytes, AudioBytes: l.AudioBytes, TextBytes: maxTextBytes,
		QuestionBytes: maxQuestionBytes, MetadataBytes: l.MetadataBytes, JsonBytes: l.JSONBytes, EmbeddingsBytes: l.EmbeddingsBytes,
		JsonDepth: l.JSONDepth, UploadParts: l.UploadParts, DicomUploadBytes: l.DICOMUploadBytes, DicomUploadParts: l.DICOMUploadParts, DicomResults: l.DICOMResults, EmbeddingInputs: maxEmbeddingInputs, Candidates: maxCandidates,
		PageItems: maxPageItems, InFlightBytes: l.InFlightBytes, RequestSeconds: l.RequestTime.Seconds(),
		ModelBytes: analysis.MaxModelBytes, ModelCardBytes: analysis.MaxCardBytes, ModelLabels: analysis.MaxCardLabels,
		ModelVersions: analysis.MaxModelVersions, ModelsLoaded: analysis.MaxModelsLoaded, ModelMemoryBytes: analysis.MaxModelMemory,
		ModelLoadSeconds: analysis.MaxModelLoadTime.Seconds(), ModelForwardSeconds: analysis.MaxModelForwardTime.Seconds(),
		KnowledgeDepth: knowledge.MaxDepth, KnowledgePathDepth: knowledge.MaxPathDepth, KnowledgeTerms: knowledge.MaxTerms,
		KnowledgeFacts: knowledge.MaxFacts, KnowledgeVersions: knowledge.MaxVersions,
		JobBytes: jobs.MaxBodyBytes, JobItems: jobs.MaxItems, JobQuestions: jobs.MaxQuestions,
		ReportVersions: analysis.MaxReportVersions, ReportSentences: maxSentences,
		ImportBytes: importer.MaxBytes, ImportFiles: importer.MaxFiles, ImportRows: importer.MaxRows, ImportTableBytes: importer.MaxTableBytes,
		ImportStudyBytes: importer.MaxStudyBytes, ImportStudyFiles: importer.MaxStudyFiles,
		RestoreBytes: importer.MaxExportBytes,
	}, nil
}

// metrics writes the answer of GET /metrics.
type metrics struct{ http.Handler }

func (m metrics) VisitGetMetricsResponse(w http.ResponseWriter) error {
	request, err := http.NewRequest(http.MethodGet, "/metrics", nil)
	if err != nil {
		return fmt.Errorf("ask for metrics: %w", err)
	}
	m.ServeHTTP(w, request)
	return nil
}

// GetMetrics implements GET /metrics.
func (s *server) GetMetrics(context.Context, api.GetMetricsRequestObject) (api.GetMetricsResponseObject, error) {
	return metrics{s.Observer.Metrics()}, nil
}

// GetOpenAPI implements GET /openapi.yaml.
func (s *server) GetOpenAPI(context.Context, api.GetOpenAPIRequestObject) (api.GetOpenAPIResponseObject, error) {
	return api.GetOpenAPI200ApplicationopenapiYamlResponse{Body: bytes.NewReader(consilium.OpenAPI), ContentLength: int64(len(consilium.OpenAPI))}, nil
}

// GetDocs implements GET /docs.
func (s *server) GetDocs(context.Context, api.GetDocsRequestObject) (api.GetDocsResponseObject, error) {
	return s.docs, nil
}
