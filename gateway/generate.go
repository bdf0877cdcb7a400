package gateway

//go:generate go tool -modfile=../tools/go.mod oapi-codegen -config api/config.yaml ../openapi.yaml
//go:generate go tool -modfile=../tools/go.mod oapi-codegen -config client/config.yaml ../openapi.yaml
