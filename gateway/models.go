package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"consilium/gateway/api"
	"consilium/internal/analysis"
	"consilium/internal/pipeline"
)

// modelStates returns how to tell the state of a version by its id.
func (s *server) modelStates(ctx context.Context) func(id string) api.ModelState {
	ids, err := s.Judge.Runner.LoadedModels(ctx)
	if err != nil {
		s.Log.WarnContext(ctx, "loaded models are not known", "error", err.Error())
		return func(string) api.ModelState { return api.Unknown }
	}
	return func(id string) api.ModelState {
		if slices.Contains(ids, id) {
			return api.Loaded
		}
		return api.Unloaded
	}
}

// broughtModels lists the models that the tenant brought.
func (s *server) broughtModels(ctx context.Context) ([]api.Model, error) {
	versions, err := s.Judge.Models.Models(ctx)
	if err != nil || len(versions) == 0 {
		return nil, err
	}
	state := s.modelStates(ctx)
	var list []api.Model
	for _, v := range versions {
		list = append(list, api.Model{
			Id: modelID(&v), Object: api.ModelObjectModel, Role: api.ModelRoleBrought, Version: strconv.Itoa(v.Version), Digest: v.Digest(),
			State: state(v.ID), Licence: v.Card.Licence, OwnedBy: "user",
		})
	}
	return list, nil
}

// modelID is what a report calls a version.
func modelID(v *analysis.ModelVersion) string { return fmt.Sprintf("%s@%d", v.Card.Name, v.Version) }

func broughtOf(v *analysis.ModelVersion, state api.ModelState) (api.BroughtModel, error) {
	out := api.BroughtModel{
		Id: modelID(v), Name: v.Card.Name, Version: v.Version, Digest: v.Digest(), State: state, Bytes: v.Bytes, CreatedAt: v.CreatedAt,
	}
	raw, err := json.Marshal(v.Card)
	if err == nil {
		err = json.Unmarshal(raw, &out.Card)
	}
	if err != nil {
		return out, fmt.Errorf("write the card of %s: %w", out.Id, err)
	}
	return out, nil
}

// GetModel implements GET /v1/models/{model}.
func (s *server) GetModel(ctx context.Context, request api.GetModelRequestObject) (api.GetModelResponseObject, error) {
	versions, err := s.Judge.Models.Models(ctx)
	if err != nil {
		return nil, err
	}
	versions = slices.DeleteFunc(versions, func(v analysis.ModelVersion) bool { return v.Card.Name != request.Model })
	if len(versions) == 0 {
		return nil, &analysis.Error{Code: analysis.NotFound, Field: "model", Message: "no such model", Value: request.Model}
	}
	state := s.modelStates(ctx)
	out := api.GetModel200JSONResponse{Name: request.Model}
	for i := range versions {
		one, err := broughtOf(&versions[i], state(versions[i].ID))
		if err != nil {
			return nil, err
		}
		out.Versions = append(out.Versions, one)
	}
	return out, nil
}

// GetModelVersion implements GET /v1/models/{model}/versions/{version}.
func (s *server) GetModelVersion(ctx context.Context, request api.GetModelVersionRequestObject) (api.GetModelVersionResponseObject, error) {
	version, err := s.Judge.Models.Model(ctx, request.Model, request.Version)
	if err != nil {
		return nil, err
	}
	out, err := broughtOf(version, s.modelStates(ctx)(version.ID))
	return api.GetModelVersion200JSONResponse(out), err
}

// DeleteModel implements DELETE /v1/models/{model}.
func (s *server) DeleteModel(ctx context.Context, request api.DeleteModelRequestObject) (api.DeleteModelResponseObject, error) {
	return api.DeleteModel204Response{}, s.forget(ctx, request.Model, 0)
}

// DeleteModelVersion implements DELETE /v1/models/{model}/versions/{version}.
func (s *server) DeleteModelVersion(ctx context.Context, request api.DeleteModelVersionRequestObject) (api.DeleteModelVersionResponseObject, error) {
	return api.DeleteModelVersion204Response{}, s.forget(ctx, request.Model, request.Version)
}

// forget deletes versions and lets go of those that are loaded. One that stays loaded because its holder does not
// answer makes room for others by and by, and nobody can ask for it.
func (s *server) forget(ctx context.Context, name string, version int) error {
	ids, err := s.Judge.Models.DeleteModel(ctx, name, version)
	for _, id := range ids {
		if err := s.Judge.Runner.UnloadModel(ctx, id); err != nil {
			s.Log.WarnContext(ctx, "a deleted model stays loaded", "model", name, "id", id, "error", err.Error())
		}
	}
	return err
}

// LoadModelVersion implements POST /v1/models/{model}/versions/{version}/load.
func (s *server) LoadModelVersion(ctx context.Context, request api.LoadModelVersionRequestObject) (api.LoadModelVersionResponseObject, error) {
	version, err := s.Judge.Models.Model(ctx, request.Model, request.Version)
	if err != nil {
		return nil, err
	}
	if err := s.Judge.Load(ctx, version); err != nil {
		return nil, err
	}
	out, err := broughtOf(version, api.Loaded)
	return api.LoadModelVersion200JSONResponse(out), err
}

// UnloadModelVersion implements POST /v1/models/{model}/versions/{version}/unload.
func (s *server) UnloadModelVersion(ctx context.Context, request api.UnloadModelVersionRequestObject) (api.UnloadModelVersionResponseObject, error) {
	version, err := s.Judge.Models.Model(ctx, request.Model, request.Version)
	if err != nil {
		return nil, err
	}
	if err := s.Judge.Runner.UnloadModel(ctx, version.ID); err != nil {
		return nil, err
	}
	out, err := broughtOf(version, api.Unloaded)
	return api.UnloadModelVersion200JSONResponse(out), err
}

// report judges a study and writes about it: by the platform's models, or by the one that the request names.
func (s *server) report(ctx context.Context, work *analysis.Request, model *string, present map[analysis.Modality]bool) (*analysis.Result, analysis.Narrative, error) {
	if model == nil {
		result, err := s.Analyzer.Analyze(ctx, work)
		if err != nil {
			return nil, analysis.Narrative{}, err
		}
		s.Bands.Mark(result.Findings)
		return result, pipeline.Write(result, present), nil
	}
	found, err := s.version(ctx, *model)
	if err != nil {
		return nil, analysis.Narrative{}, err
	}
	result, err := s.Judge.Judge(ctx, work, found)
	if err != nil {
		return nil, analysis.Narrative{}, err
	}
	s.Bands.Mark(result.Findings)
	return result, pipeline.WriteBrought(result, &found.Card, present), nil
}

// version finds the model that a user brought as name or name@version.
func (s *server) version(ctx context.Context, model string) (*analysis.ModelVersion, error) {
	name, number, _ := strings.Cut(model, "@")
	version := 0
	if number != "" {
		version, _ = strconv.Atoi(number) // the description allows digits only
	}
	return s.Judge.Models.Model(ctx, name, version)
}

func reportModelOf(b *analysis.BroughtModel) *api.ReportModel {
	if b == nil {
		return nil
	}
	return &api.ReportModel{Name: b.Name, Version: b.Version, Digest: b.Digest, Licence: b.Licence, BroughtBy: api.User}
}
