package analysis

import (
	"context"
	"fmt"
)

// TextEncoder turns texts into features.
type TextEncoder interface {
	// EncodeText returns one Features for each text, in order. A text of more than 256 tokens is cut, with a
	// Note of kind "truncated"; with strict it is refused with TooLarge instead. An empty text is encoded as
	// it is. Vector is L2-normalised, (384); Tokens are the WordPieces with [CLS] and [SEP], (T, 384).
	EncodeText(ctx context.Context, texts []string, strict bool) ([]*Features, error)
}

// VisionEncoder turns encoded pictures into features.
type VisionEncoder interface {
	// EncodeImage returns one Features for each picture, in order; the slices are only read. A picture that
	// cannot be read is UnsupportedMedia or InvalidArgument, one over a limit TooLarge, and then the whole call
	// fails. Vector is (1280), Tokens the 7 x 7 grid, (49, 1280).
	EncodeImage(ctx context.Context, images [][]byte) ([]*Features, error)
}

// AudioEncoder turns encoded sounds into features.
type AudioEncoder interface {
	// EncodeAudio returns one Features for each sound, in order; the slices are only read. Errors are as for
	// EncodeImage; with strict a sound that would be cut is refused with TooLarge. Tokens follow time, (T, D).
	EncodeAudio(ctx context.Context, sounds [][]byte, strict bool) ([]*Features, error)
}

// FuseRequest is what the fusion sees: features only. Nil means that the modality is absent.
type FuseRequest struct {
	Task     Task
	Question *Features // text features of the question; required for Task Question, nil for Report
	Text     *Features // text features of the study's note
	Image    *Features
	Audio    *Features
	// Candidates is how many answers to return, 0 for DefaultCandidates. A Fuser that has fewer returns all.
	Candidates int
}

// MaxAnswers is the most answers that a fusion may know: whoever asks for as many gets the whole distribution.
const MaxAnswers = 4096

// MaxFuseRequests is the most requests that one call to a Fuser may hold.
const MaxFuseRequests = 32

// Fuser fuses the features of whatever modalities are present.
type Fuser interface {
	// Fuse returns one Result for each request, in order, with Models holding the fusion's digest only and no Notes. An error
	// fails them all. Requests of one call want as many candidates, and share features by sharing their pointers. At least
	// one modality has to be present; features of the wrong size are InvalidArgument.
	Fuse(ctx context.Context, requests []*FuseRequest) ([]*Result, error)
}

// CheckFuseRequests returns an InvalidArgument or TooLarge error if requests cannot be one call.
func CheckFuseRequests(requests []*FuseRequest) error {
	if len(requests) == 0 {
		return Invalid("task", "there is nothing to fuse")
	}
	if len(requests) > MaxFuseRequests {
		return &Error{Code: TooLarge, Field: "task", Message: "too many requests in one call",
			Limit: fmt.Sprintf("%d requests", MaxFuseRequests), Value: fmt.Sprintf("%d requests", len(requests))}
	}
	for _, r := range requests {
		if r.Candidates != requests[0].Candidates {
			return Invalid("candidates", "requests of one call want as many, found %d and %d", requests[0].Candidates, r.Candidates)
		}
	}
	return nil
}

// FuseOne has fuser fuse one request.
func FuseOne(ctx context.Context, fuser Fuser, request *FuseRequest) (*Result, error) {
	results, err := fuser.Fuse(ctx, []*FuseRequest{request})
	if err != nil {
		return nil, err
	}
	if len(results) != 1 {
		return nil, Errorf(BadUpstream, "the fusion returned %d results for 1 request", len(results))
	}
	return results[0], nil
}

// Analyzer does the whole path from raw content to a result.
type Analyzer interface {
	// Analyze validates the request, encodes what is present in parallel and fuses it. An error has a Code. If an
	// encoder is down the result is of what is left and says so in Degraded, unless the request wants the whole, it
	// is the question that cannot be encoded, or nothing is left; then the error is the encoder's.
	Analyze(ctx context.Context, request *Request) (*Result, error)
}
