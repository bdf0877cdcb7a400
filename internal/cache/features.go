package cache

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"math"

	"consilium/internal/analysis"
)

// An entry holds, all numbers little-endian:
//
//	byte     format, 1
//	uint32   length of the header, then the header: JSON of featuresHeader
//	float32  the vector, then the tokens
//	uint32   CRC-32 (IEEE) of everything before it
const featuresFormat = 1

// featuresHeader is the part of an entry that is small.
type featuresHeader struct {
	Modality   analysis.Modality `json:"m"`
	Dim        int               `json:"d"`
	TokenCount int               `json:"t"`
	TokenDim   int               `json:"e"`
	Rows       int               `json:"r,omitempty"`
	Cols       int               `json:"c,omitempty"`
	Seconds    float64           `json:"s,omitempty"`
	Notes      []analysis.Note   `json:"n,omitempty"`
	Model      string            `json:"k"`
}

func encodeFeatures(f *analysis.Features) []byte {
	header, err := json.Marshal(featuresHeader{f.Modality, len(f.Vector), f.TokenCount, f.TokenDim, f.Rows, f.Cols, finite(f.Seconds), f.Notes, f.Model})
	if err != nil {
		panic("cache: the header holds nothing that JSON cannot: " + err.Error())
	}
	b := make([]byte, 0, 1+4+len(header)+4*(len(f.Vector)+len(f.Tokens))+4)
	b = append(b, featuresFormat)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(header)))
	b = append(b, header...)
	for _, values := range [][]float32{f.Vector, f.Tokens} {
		rest := b[len(b) : len(b)+4*len(values)]
		b = b[:len(b)+len(rest)]
		for _, v := range values {
			binary.LittleEndian.PutUint32(rest, math.Float32bits(v))
			rest = rest[4:]
		}
	}
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// finite replaces what JSON cannot hold.
func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}

var errNotFeatures = errors.New("the entry does not hold features")

// decodeFeatures reads an entry. Redis is shared and may hold anything, so nothing in it is trusted.
func decodeFeatures(b []byte) (*analysis.Features, error) {
	if len(b) < 1+4+4 || b[0] != featuresFormat {
		return nil, errNotFeatures
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	length := uint64(binary.LittleEndian.Uint32(body[1:]))
	if crc32.ChecksumIEEE(body) != sum || length > uint64(len(body)-5) {
		return nil, errNotFeatures
	}
	var h featuresHeader
	if err := json.Unmarshal(body[5:5+length], &h); err != nil {
		return nil, errNotFeatures
	}
	raw := body[5+length:]
	if h.Dim < 0 || h.Dim > len(raw)/4 || len(raw)%4 != 0 {
		return nil, errNotFeatures
	}
	values := make([]float32, len(raw)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	f := &analysis.Features{
		Modality: h.Modality, Vector: values[:h.Dim:h.Dim], Tokens: values[h.Dim:], TokenCount: h.TokenCount, TokenDim: h.TokenDim,
		Rows: h.Rows, Cols: h.Cols, Seconds: h.Seconds, Notes: h.Notes, Model: h.Model,
	}
	return f, f.Check()
}
