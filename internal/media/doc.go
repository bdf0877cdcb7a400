// Package media turns uploaded bytes into arrays within published limits.
package media
