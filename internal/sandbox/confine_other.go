//go:build !(linux && amd64)

package sandbox

import "errors"

var errNoConfinement = errors.New("models of users run on Linux on x86-64 only: nothing confines them elsewhere")

func limitResources() error { return errNoConfinement }

func closeInherited(int) error { return errNoConfinement }

func confine() error { return errNoConfinement }
