package analysis

import "strconv"

// bytesString writes a size the way limits are published: exact, with its unit.
func bytesString(n int) string { return strconv.Itoa(n) + " bytes" }
