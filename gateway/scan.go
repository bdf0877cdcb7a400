package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"consilium/internal/analysis"
)

// frame is one open array or object of the JSON that is being read.
type frame struct {
	object bool
	key    string // the object's key that was read last
	isKey  bool   // the next string is a key
	index  int    // the array's next position
	seen   map[string]bool
}

// scanJSON refuses bytes that are not one JSON value in UTF-8, that nest deeper than depth, that name a field
// twice, or that hold a NUL, which Postgres cannot store, or half a character, which would be stored as another one. It looks at one token at a time, so depth costs
// nothing. Fields are named below prefix.
func scanJSON(prefix string, raw []byte, depth int) error {
	if len(raw) == 0 {
		return unreadable400(named(prefix), "the JSON is empty")
	}
	if !utf8.Valid(raw) {
		return unreadable400(named(prefix), "the JSON is not valid UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var stack []frame
	for values := 0; ; {
		start := decoder.InputOffset()
		token, err := decoder.Token()
		switch {
		case errors.Is(err, io.EOF) && len(stack) == 0 && values == 1:
			return nil
		case err != nil:
			e := unreadable400(named(path(prefix, stack)), "the JSON is malformed or ends early")
			e.cause.Value = fmt.Sprintf("at byte %d of %d", decoder.InputOffset(), len(raw))
			return e
		case len(stack) == 0 && values == 1:
			return unreadable400(named(prefix), "the JSON is followed by something else")
		}
		delim, isDelim := token.(json.Delim)
		if isDelim && (delim == '}' || delim == ']') {
			stack = stack[:len(stack)-1]
			values += ended(stack)
			continue
		}
		literal := raw[start:decoder.InputOffset()]
		if n := len(stack); n > 0 && stack[n-1].object && stack[n-1].isKey {
			top := &stack[n-1]
			top.key, top.isKey = token.(string), false
			if strings.ContainsRune(top.key, 0) {
				return analysis.Invalid(clip(path(prefix, stack)), "the field's name holds a NUL character")
			}
			if halved(literal) {
				return analysis.Invalid(clip(path(prefix, stack)), "the field's name holds half a character, an unpaired surrogate")
			}
			if top.seen[top.key] {
				return analysis.Invalid(clip(path(prefix, stack)), "the field is given twice")
			}
			top.seen[top.key] = true
			continue
		}
		if text, ok := token.(string); ok && strings.ContainsRune(text, 0) {
			return analysis.Invalid(clip(named(path(prefix, stack))), "the text holds a NUL character")
		}
		if _, ok := token.(string); ok && halved(literal) {
			return analysis.Invalid(clip(named(path(prefix, stack))), "the text holds half a character, an unpaired surrogate")
		}
		if !isDelim {
			values += ended(stack)
			continue
		}
		if len(stack) == depth {
			e := unreadable400(clip(named(path(prefix, stack))), "the JSON is nested too deep")
			e.cause.Limit, e.cause.Value = fmt.Sprintf("%d levels", depth), "more"
			return e
		}
		opened := frame{}
		if delim == '{' {
			opened = frame{object: true, isKey: true, seen: map[string]bool{}}
		}
		stack = append(stack, opened)
	}
}

// halved reports whether a string of valid JSON escapes one surrogate without the other (RFC 8259 section 8.2).
func halved(literal []byte) bool {
	const escape = 6 // the length of \uXXXX
	for i := bytes.IndexByte(literal, '\\'); i >= 0 && i < len(literal)-1; i++ {
		if literal[i] != '\\' {
			continue
		}
		if literal[i+1] != 'u' {
			i++
			continue
		}
		unit := escaped(literal[i:])
		if !utf16.IsSurrogate(unit) {
			i += escape - 1
			continue
		}
		if utf16.DecodeRune(unit, escaped(literal[i+escape:])) == utf8.RuneError {
			return true
		}
		i += 2*escape - 1
	}
	return false
}

// escaped returns the UTF-16 unit that text begins with as \uXXXX, -1 if it does not.
func escaped(text []byte) rune {
	if !bytes.HasPrefix(text, []byte(`\u`)) || len(text) < 6 {
		return -1
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(unit)
}

// ended moves the innermost frame on to its next value, and returns 1 if there is none: the whole has ended.
func ended(stack []frame) int {
	if len(stack) == 0 {
		return 1
	}
	top := &stack[len(stack)-1]
	top.index++
	top.isKey = top.object
	return 0
}

// path names the place where reading stands: labels.ward, input.3.data.
func path(prefix string, stack []frame) string {
	var parts []string
	if prefix != "" {
		parts = append(parts, prefix)
	}
	for _, f := range stack {
		switch {
		case !f.object:
			parts = append(parts, strconv.Itoa(f.index))
		case !f.isKey:
			parts = append(parts, f.key)
		}
	}
	return strings.Join(parts, ".")
}
