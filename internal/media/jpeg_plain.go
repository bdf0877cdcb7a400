//go:build !cgo

package media

import "image"

// decodeGreyJPEG decodes nothing: without cgo the standard library does.
func decodeGreyJPEG([]byte) (*image.Gray, bool) { return nil, false }
