// Package serve runs an HTTP server the way every process of Consilium does.
//
// A main loads its Config with Load, makes an Observer, wraps its handler with it and calls Run.
package serve
