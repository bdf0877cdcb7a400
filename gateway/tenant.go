package gateway

import (
	"context"
	"time"

	"consilium/gateway/api"
	"consilium/internal/analysis"
)

// GetTenant implements GET /v1/tenant.
func (s *server) GetTenant(ctx context.Context, _ api.GetTenantRequestObject) (api.GetTenantResponseObject, error) {
	tenant := api.GetTenant200JSONResponse{Tenant: analysis.Tenant(ctx)}
	if key := keyOf(ctx); key != nil {
		tenant.Key = &api.Key{Name: key.Name, MaySign: key.Sign, MayManage: key.Manage}
	}
	return tenant, nil
}

// DeleteTenant implements DELETE /v1/tenant: everything that the tenant stored.
func (s *server) DeleteTenant(ctx context.Context, request api.DeleteTenantRequestObject) (api.DeleteTenantResponseObject, error) {
	if err := allowed(ctx, mayManage, "delete everything"); err != nil {
		return nil, err
	}
	if tenant := analysis.Tenant(ctx); request.Params.Confirm != tenant {
		e := analysis.Invalid("confirm", "say the name of the tenant of which everything is to be deleted")
		e.Limit, e.Value = tenant, clip(request.Params.Confirm)
		return nil, e
	}
	models, err := s.Judge.Models.Models(ctx)
	if err != nil {
		return nil, err
	}
	for i := range models {
		if err := s.forget(ctx, models[i].Card.Name, models[i].Version); err != nil && analysis.CodeOf(err) != analysis.NotFound {
			return nil, err
		}
	}
	left, err := s.Exporter.Clear(ctx, time.Now().Add(s.Limits.RequestTime/2))
	if s.Forget != nil { // what was deleted is forgotten, whatever came after it
		if err := s.Forget(ctx); err != nil {
			s.Log.WarnContext(ctx, "the cache still remembers what was deleted", "error", err.Error())
		}
	}
	if err != nil {
		return nil, err
	}
	if left > 0 {
		return api.DeleteTenant202JSONResponse{StudiesLeft: left}, nil
	}
	return api.DeleteTenant204Response{}, nil
}
