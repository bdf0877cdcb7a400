// Package consilium holds the description of the public interface.
package consilium

import _ "embed"

// OpenAPI is openapi.yaml, from which the server's types and the client are generated.
//
//go:embed openapi.yaml
var OpenAPI []byte
