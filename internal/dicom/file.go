// Package dicom reads and writes DICOM files within published limits.
package dicom

// The limits of a file. Each is checked before anything is allocated for what the file claims.
const (
	// MaxBytes bounds the file.
	MaxBytes = 256 << 20
	// MaxInflatedBytes bounds what a deflated data set inflates to. Beyond InflatedFloor it is bounded by MaxInflation
	// bytes for each byte of the file, too: pictures of tissue stay below 10, and masks, which reach 1,000, are small.
	MaxInflatedBytes = 64 << 20
	InflatedFloor    = 4 << 20
	MaxInflation     = 64
	// MaxElements bounds the elements of a file, those of nested items included.
	MaxElements = 1 << 18
	// MaxDepth bounds how deep sequences lie within each other; enhanced images need 4 or 5.
	MaxDepth = 32
	// MaxItems bounds the items of one sequence and the fragments of encapsulated pixel data.
	MaxItems = 1 << 16
	// MaxTextBytes bounds the value of an element of text.
	MaxTextBytes = 4 << 20
)

// File is a DICOM file in memory (PS3.10 section 7).
type File struct {
	// Meta holds the elements of group 0002, empty for a file without them.
	Meta *Dataset
	// Dataset holds everything else. Specific Character Set, where there is one, says what the text is in memory:
	// UTF-8, or ASCII, which is the same.
	Dataset *Dataset
	// TransferSyntax is how the file was encoded; it says how encapsulated pixel data is compressed.
	TransferSyntax TransferSyntax
	// Notes says in words what was done to make sense of the file: a missing header, a character set that is not
	// known.
	Notes []string

	// spent estimates what Parse allocated, in bytes.
	spent int64
}
