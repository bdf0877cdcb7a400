// Package gateway is the public HTTP face: what openapi.yaml describes, over the seams of package analysis.
package gateway
