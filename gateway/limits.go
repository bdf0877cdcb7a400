package gateway

import (
	"time"

	"consilium/internal/analysis"
	"consilium/internal/media"
)

// Limits is every bound that a caller can run into. GET /v1/limits publishes it.
type Limits struct {
	UploadBytes     int64 // a whole multipart body
	ImageBytes      int64
	AudioBytes      int64
	MetadataBytes   int64
	JSONBytes       int64 // a JSON body, except that of /v1/embeddings
	EmbeddingsBytes int64
	JSONDepth       int
	UploadParts     int
	// DICOMUploadBytes bounds a whole body of /dicom-web, of which one instance, an image, is in memory at a time.
	DICOMUploadBytes int64
	DICOMUploadParts int
	DICOMResults     int   // of one search
	InFlightBytes    int64 // all bodies that are being read or analysed at once
	RequestTime      time.Duration
}

// DefaultLimits fits a gateway with 2 GiB of memory.
var DefaultLimits = Limits{
	UploadBytes:      64 << 20,
	ImageBytes:       media.MaxImageBytes,
	AudioBytes:       32 << 20,
	MetadataBytes:    16 << 10,
	JSONBytes:        64 << 10,
	EmbeddingsBytes:  16 << 20,
	JSONDepth:        16,
	UploadParts:      16,
	DICOMUploadBytes: 1 << 30,
	DICOMUploadParts: 1000,
	DICOMResults:     200,
	InFlightBytes:    512 << 20,
	RequestTime:      time.Minute,
}

// What openapi.yaml bounds is bounded there; these are repeated for GET /v1/limits and tested to be equal.
const (
	maxCandidates      = analysis.MaxCandidates
	maxPageItems       = 100
	maxEmbeddingInputs = 128
	defaultPageItems   = 20
	maxLabelName       = analysis.MaxLabelName
	maxQuestionBytes   = analysis.MaxQuestionBytes
	maxTextBytes       = analysis.MaxTextBytes
)
