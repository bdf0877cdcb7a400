package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"consilium/internal/analysis"
	"consilium/internal/mask"
)

// What masks of a frontal radiograph look like. On the films of the training a lung covers 4.5 % to 33 % of the picture,
// the larger at most 1.5 times as much as the smaller, and their centres lie within 0.15 of the height; the bounds leave
// room for films that show more besides the chest, and for lungs that are partly hidden.
const (
	minLungShare   = 0.015 // of the picture
	maxLungShare   = 0.45
	maxLungRatio   = 3.0  // of the larger lung to the smaller
	maxLungOffset  = 0.25 // of the picture's height, between the centres of the lungs
	minConfidence  = 0.8  // of the lungs' masks
	minHeartShare  = 0.01 // of the picture
	minHeartWidth  = 0.2  // of the chest's width
	maxHeartWidth  = 0.9
	minHeartBelief = 0.7
)

// segmented is what comes of the segmentation that runs beside the encoders.
type segmented struct {
	result *analysis.Segmentation
	err    error
}

// segment begins to segment the image of a report and returns what waits for it; nil if there is nothing to do.
func (p *Pipeline) segment(ctx context.Context, request *analysis.Request) <-chan segmented {
	if p.Segmenter == nil || request.Task != analysis.Report || request.FindingsOnly || len(request.Image) == 0 {
		return nil
	}
	done := make(chan segmented, 1)
	go func() {
		var s segmented
		s.err = guarded(func() (err error) {
			defer Stage(ctx, "segmentation")()
			s.result, err = p.segmentOne(ctx, request.Image)
			return err
		})()
		done <- s
	}()
	return done
}

func (p *Pipeline) segmentOne(ctx context.Context, image []byte) (*analysis.Segmentation, error) {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if p.EncoderTime > 0 {
		limited, cancel = context.WithTimeout(ctx, p.EncoderTime)
	}
	defer cancel()
	p.courtesy.wait(ctx)
	made, err := p.Segmenter.Segment(limited, [][]byte{image})
	switch {
	case analysis.CodeOf(err) == analysis.Canceled && limited.Err() != nil && ctx.Err() == nil:
		return nil, &analysis.Error{Code: analysis.Unavailable, Message: fmt.Sprintf("the segmentation did not answer within %s", p.EncoderTime), Err: err}
	case err != nil:
		return nil, fmt.Errorf("segment: %w", err)
	case len(made) != 1 || made[0] == nil:
		return nil, analysis.Errorf(analysis.BadUpstream, "the segmentation returned %d results for 1 picture", len(made))
	}
	if err := made[0].Check(); err != nil {
		return nil, err
	}
	s := *made[0] // a cache may share it
	return &s, Measure(&s)
}

// join adds a segmentation to the result. One that the platform is too busy or too down for is a loss that the result
// names, unless the request wants the whole.
func (s segmented) join(result *analysis.Result, whole bool) error {
	switch code := analysis.CodeOf(s.err); {
	case s.err == nil:
		result.Segmentation = s.result
		result.Models["segmentation"] = s.result.Model
		return nil
	case whole || code != analysis.Unavailable && code != analysis.Overloaded:
		return s.err
	}
	reason := "the segmentation is down"
	if e := (*analysis.Error)(nil); errors.As(s.err, &e) {
		reason = e.Message
	}
	result.Segmentation = &analysis.Segmentation{Problem: reason}
	if !slices.ContainsFunc(result.Degraded, func(d analysis.Degradation) bool { return d.Modality == analysis.Image }) {
		result.Degraded = append(result.Degraded, analysis.Degradation{Modality: analysis.Image, Reason: "nothing was measured: " + reason})
	}
	return nil
}

// Measure fills in what the masks say, or why they say nothing. The error is that of masks that cannot be read.
func Measure(s *analysis.Segmentation) error {
	cells := map[string]mask.Mask{}
	for _, m := range s.Masks {
		on, err := mask.FromRuns(m.Runs, s.Cols, s.Rows)
		if err != nil {
			return analysis.Errorf(analysis.BadUpstream, "the mask of the %s: %v", m.Structure, err)
		}
		cells[m.Structure] = on
	}
	s.Measurements, s.Unmeasured = nil, nil
	if s.Problem = implausible(s, cells); s.Problem != "" {
		return nil
	}
	right, left := cells[analysis.RightLung], cells[analysis.LeftLung]
	add := func(name, unit string, value float64, structures ...string) {
		s.Measurements = append(s.Measurements, analysis.Measurement{Name: name, Value: value, Unit: unit, Structures: structures, Modality: analysis.Image})
	}
	picture := float64(s.Rows * s.Cols)
	add(analysis.RightLungArea, "of the picture", float64(right.Area())/picture, analysis.RightLung)
	add(analysis.LeftLungArea, "of the picture", float64(left.Area())/picture, analysis.LeftLung)
	if ratio, why := heartRatio(s, cells[analysis.Heart], right.Or(left)); why == "" {
		add(analysis.CardiothoracicRatio, "of the chest's width", ratio, analysis.Heart, analysis.RightLung, analysis.LeftLung)
	} else {
		s.Unmeasured = append(s.Unmeasured, "The cardiothoracic ratio is not available: "+why+".")
	}
	lesion := cells[analysis.Lesion]
	add(analysis.LesionShareRightLung, "of the right lung", share(lesion, right), analysis.Lesion, analysis.RightLung)
	add(analysis.LesionShareLeftLung, "of the left lung", share(lesion, left), analysis.Lesion, analysis.LeftLung)
	both := right.Or(left)
	add(analysis.GroundGlassShare, "of both lungs", share(cells[analysis.GroundGlass], both), analysis.GroundGlass, analysis.RightLung, analysis.LeftLung)
	add(analysis.ConsolidationShare, "of both lungs", share(cells[analysis.Consolidation], both), analysis.Consolidation, analysis.RightLung, analysis.LeftLung)
	return nil
}

// implausible says why the masks cannot be those of a frontal chest radiograph, "" if they can.
func implausible(s *analysis.Segmentation, cells map[string]mask.Mask) string {
	const refused = "; the picture is no frontal chest radiograph, or one that cannot be measured"
	right, left := cells[analysis.RightLung], cells[analysis.LeftLung]
	a, b := float64(right.Area())/float64(s.Rows*s.Cols), float64(left.Area())/float64(s.Rows*s.Cols)
	rightX, rightY := right.Centre()
	leftX, leftY := left.Centre()
	switch {
	case a < minLungShare && b < minLungShare:
		return "no lungs were found" + refused
	case a < minLungShare || b < minLungShare:
		return "no two lungs were found" + refused
	case max(a, b) > maxLungShare:
		return "what was found is too large for a lung" + refused
	case max(a, b) > maxLungRatio*min(a, b):
		return fmt.Sprintf("one lung was found %.1f times as large as the other", max(a, b)/min(a, b)) + refused
	case rightX >= leftX || math.Abs(rightY-leftY) > maxLungOffset*float64(s.Rows):
		return "the lungs do not lie side by side" + refused
	case s.Mask(analysis.RightLung).Confidence < minConfidence || s.Mask(analysis.LeftLung).Confidence < minConfidence:
		return "the lungs were not told from the rest with enough confidence" + refused
	}
	return ""
}

// heartRatio is the width of the heart over that of the chest between the outer edges of the lungs, each at its widest
// (Danzer 1919), or why there is none.
func heartRatio(s *analysis.Segmentation, heart, lungs mask.Mask) (ratio float64, why string) {
	first, last, ok := heart.Columns()
	if !ok || float64(heart.Area()) < minHeartShare*float64(s.Rows*s.Cols) || s.Mask(analysis.Heart).Confidence < minHeartBelief {
		return 0, "the heart's edge was not found with enough confidence"
	}
	outerFirst, outerLast, _ := lungs.Columns()
	ratio = float64(last-first+1) / float64(outerLast-outerFirst+1)
	if first < outerFirst || last > outerLast || ratio < minHeartWidth || ratio > maxHeartWidth {
		return 0, "what was found of the heart does not lie between the lungs"
	}
	return ratio, ""
}

// share is how much of a lung a mask covers.
func share(m, lung mask.Mask) float64 {
	return float64(m.And(lung).Area()) / float64(max(1, lung.Area()))
}
