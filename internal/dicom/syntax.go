package dicom

// TransferSyntax is the UID of an encoding (PS3.5 section 10, PS3.6 table A-1).
type TransferSyntax string

// The transfer syntaxes whose pixel data is read.
const (
	ImplicitLittle TransferSyntax = "1.2.840.10008.1.2"
	ExplicitLittle TransferSyntax = "1.2.840.10008.1.2.1"
	DeflatedLittle TransferSyntax = "1.2.840.10008.1.2.1.99"
	ExplicitBig    TransferSyntax = "1.2.840.10008.1.2.2"
	JPEGBaseline   TransferSyntax = "1.2.840.10008.1.2.4.50"
	RLELossless    TransferSyntax = "1.2.840.10008.1.2.5"
)

// syntaxNames are the transfer syntaxes that exist, so that one that is not read can be named.
var syntaxNames = map[TransferSyntax]string{
	ImplicitLittle:              "Implicit VR Little Endian",
	ExplicitLittle:              "Explicit VR Little Endian",
	DeflatedLittle:              "Deflated Explicit VR Little Endian",
	ExplicitBig:                 "Explicit VR Big Endian",
	JPEGBaseline:                "JPEG Baseline (Process 1)",
	RLELossless:                 "RLE Lossless",
	"1.2.840.10008.1.2.1.98":    "Encapsulated Uncompressed Explicit VR Little Endian",
	"1.2.840.10008.1.2.4.51":    "JPEG Extended (Process 2 & 4)",
	"1.2.840.10008.1.2.4.52":    "JPEG Extended (Process 3 & 5)",
	"1.2.840.10008.1.2.4.53":    "JPEG Spectral Selection, Non-Hierarchical (Process 6 & 8)",
	"1.2.840.10008.1.2.4.54":    "JPEG Spectral Selection, Non-Hierarchical (Process 7 & 9)",
	"1.2.840.10008.1.2.4.55":    "JPEG Full Progression, Non-Hierarchical (Process 10 & 12)",
	"1.2.840.10008.1.2.4.56":    "JPEG Full Progression, Non-Hierarchical (Process 11 & 13)",
	"1.2.840.10008.1.2.4.57":    "JPEG Lossless, Non-Hierarchical (Process 14)",
	"1.2.840.10008.1.2.4.70":    "JPEG Lossless, First-Order Prediction (Process 14, Selection Value 1)",
	"1.2.840.10008.1.2.4.80":    "JPEG-LS Lossless",
	"1.2.840.10008.1.2.4.81":    "JPEG-LS Near-Lossless",
	"1.2.840.10008.1.2.4.90":    "JPEG 2000 Lossless",
	"1.2.840.10008.1.2.4.91":    "JPEG 2000",
	"1.2.840.10008.1.2.4.92":    "JPEG 2000 Part 2 Multi-component Lossless",
	"1.2.840.10008.1.2.4.93":    "JPEG 2000 Part 2 Multi-component",
	"1.2.840.10008.1.2.4.94":    "JPIP Referenced",
	"1.2.840.10008.1.2.4.95":    "JPIP Referenced Deflate",
	"1.2.840.10008.1.2.4.100":   "MPEG2 Main Profile / Main Level",
	"1.2.840.10008.1.2.4.100.1": "Fragmentable MPEG2 Main Profile / Main Level",
	"1.2.840.10008.1.2.4.101":   "MPEG2 Main Profile / High Level",
	"1.2.840.10008.1.2.4.101.1": "Fragmentable MPEG2 Main Profile / High Level",
	"1.2.840.10008.1.2.4.102":   "MPEG-4 AVC/H.264 High Profile / Level 4.1",
	"1.2.840.10008.1.2.4.102.1": "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1",
	"1.2.840.10008.1.2.4.103":   "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1",
	"1.2.840.10008.1.2.4.103.1": "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1",
	"1.2.840.10008.1.2.4.104":   "MPEG-4 AVC/H.264 High Profile / Level 4.2 for 2D Video",
	"1.2.840.10008.1.2.4.104.1": "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 for 2D Video",
	"1.2.840.10008.1.2.4.105":   "MPEG-4 AVC/H.264 High Profile / Level 4.2 for 3D Video",
	"1.2.840.10008.1.2.4.105.1": "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 for 3D Video",
	"1.2.840.10008.1.2.4.106":   "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2",
	"1.2.840.10008.1.2.4.106.1": "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2",
	"1.2.840.10008.1.2.4.107":   "HEVC/H.265 Main Profile / Level 5.1",
	"1.2.840.10008.1.2.4.108":   "HEVC/H.265 Main 10 Profile / Level 5.1",
	"1.2.840.10008.1.2.4.110":   "JPEG XL Lossless",
	"1.2.840.10008.1.2.4.111":   "JPEG XL JPEG Recompression",
	"1.2.840.10008.1.2.4.112":   "JPEG XL",
	"1.2.840.10008.1.2.4.201":   "High-Throughput JPEG 2000 Lossless",
	"1.2.840.10008.1.2.4.202":   "High-Throughput JPEG 2000 with RPCL Options Lossless",
	"1.2.840.10008.1.2.4.203":   "High-Throughput JPEG 2000",
	"1.2.840.10008.1.2.4.204":   "JPIP HTJ2K Referenced",
	"1.2.840.10008.1.2.4.205":   "JPIP HTJ2K Referenced Deflate",
	"1.2.840.10008.1.2.8.1":     "Deflated Image Frame Compression",
}

// Name returns the name of the transfer syntax, "unknown transfer syntax" for a UID that is not known.
func (s TransferSyntax) Name() string {
	if name, ok := syntaxNames[s]; ok {
		return name
	}
	return "unknown transfer syntax"
}

// String returns the name with the UID.
func (s TransferSyntax) String() string { return s.Name() + " (" + string(s) + ")" }

// Native says that pixel data of this transfer syntax is not compressed.
func (s TransferSyntax) Native() bool {
	switch s {
	case ImplicitLittle, ExplicitLittle, DeflatedLittle, ExplicitBig:
		return true
	}
	return false
}

// Decodable says that Frames and Render read pixel data of this transfer syntax.
func (s TransferSyntax) Decodable() bool {
	return s.Native() || s == JPEGBaseline || s == RLELossless
}

// deflated says that the data set is compressed as a whole (PS3.5 section A.5).
func (s TransferSyntax) deflated() bool {
	return s == DeflatedLittle || s == "1.2.840.10008.1.2.4.95" || s == "1.2.840.10008.1.2.4.205"
}
