package dicom

// VR is the value representation of an element: how its value is to be read (PS3.5 section 6.2).
type VR string

// The value representations.
const (
	AE VR = "AE" // application entity
	AS VR = "AS" // age
	AT VR = "AT" // tag
	CS VR = "CS" // code
	DA VR = "DA" // date
	DS VR = "DS" // decimal number as text
	DT VR = "DT" // date and time
	FD VR = "FD" // float64
	FL VR = "FL" // float32
	IS VR = "IS" // integer as text
	LO VR = "LO" // line
	LT VR = "LT" // long text
	OB VR = "OB" // bytes
	OD VR = "OD" // many float64
	OF VR = "OF" // many float32
	OL VR = "OL" // many uint32
	OV VR = "OV" // many uint64
	OW VR = "OW" // many uint16
	PN VR = "PN" // name of a person
	SH VR = "SH" // short line
	SL VR = "SL" // int32
	SQ VR = "SQ" // sequence of items
	SS VR = "SS" // int16
	ST VR = "ST" // short text
	SV VR = "SV" // int64
	TM VR = "TM" // time
	UC VR = "UC" // unlimited characters
	UI VR = "UI" // unique identifier
	UL VR = "UL" // uint32
	UN VR = "UN" // unknown
	UR VR = "UR" // URI
	US VR = "US" // uint16
	UT VR = "UT" // unlimited text
	UV VR = "UV" // uint64
)

// vrTraits is what reading and writing have to know of a VR.
type vrTraits struct {
	vr      VR
	text    bool // characters: padded with spaces, or with zero bytes for UI
	charset bool // its characters are those of Specific Character Set
	many    bool // text that a backslash divides into values
	long    bool // explicit VR has 32 bits of length after two reserved bytes
	width   int  // bytes of one number in little or big endian, 1 for bytes
}

var vrTable = []vrTraits{
	{vr: AE, text: true, many: true, width: 1},
	{vr: AS, text: true, many: true, width: 1},
	{vr: AT, width: 2}, // two numbers of 16 bits
	{vr: CS, text: true, many: true, width: 1},
	{vr: DA, text: true, many: true, width: 1},
	{vr: DS, text: true, many: true, width: 1},
	{vr: DT, text: true, many: true, width: 1},
	{vr: FD, width: 8},
	{vr: FL, width: 4},
	{vr: IS, text: true, many: true, width: 1},
	{vr: LO, text: true, charset: true, many: true, width: 1},
	{vr: LT, text: true, charset: true, width: 1},
	{vr: OB, long: true, width: 1},
	{vr: OD, long: true, width: 8},
	{vr: OF, long: true, width: 4},
	{vr: OL, long: true, width: 4},
	{vr: OV, long: true, width: 8},
	{vr: OW, long: true, width: 2},
	{vr: PN, text: true, charset: true, many: true, width: 1},
	{vr: SH, text: true, charset: true, many: true, width: 1},
	{vr: SL, width: 4},
	{vr: SQ, long: true, width: 1},
	{vr: SS, width: 2},
	{vr: ST, text: true, charset: true, width: 1},
	{vr: SV, long: true, width: 8},
	{vr: TM, text: true, many: true, width: 1},
	{vr: UC, text: true, charset: true, many: true, long: true, width: 1},
	{vr: UI, text: true, many: true, width: 1},
	{vr: UL, width: 4},
	{vr: UN, long: true, width: 1},
	{vr: UR, text: true, long: true, width: 1},
	{vr: US, width: 2},
	{vr: UT, text: true, charset: true, long: true, width: 1},
	{vr: UV, long: true, width: 8},
}

// traitsByCode finds a VR by its two characters.
var traitsByCode = func() map[uint16]*vrTraits {
	m := make(map[uint16]*vrTraits, len(vrTable))
	for i := range vrTable {
		t := &vrTable[i]
		m[uint16(t.vr[0])<<8|uint16(t.vr[1])] = t
	}
	return m
}()

// traits returns what is known of the VR; one that does not exist is UN.
func (v VR) traits() *vrTraits {
	if len(v) == 2 {
		if t := traitsByCode[uint16(v[0])<<8|uint16(v[1])]; t != nil {
			return t
		}
	}
	return traitsByCode['U'<<8|'N']
}

// Text says that values of this VR are characters.
func (v VR) Text() bool { return v.traits().text }
