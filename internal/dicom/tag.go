package dicom

import "fmt"

// Tag names an element: its group in the upper 16 bits, its number in the group in the lower.
type Tag uint32

// NewTag returns the tag (group,element).
func NewTag(group, element uint16) Tag { return Tag(group)<<16 | Tag(element) }

// Group returns the upper half of the tag.
func (t Tag) Group() uint16 { return uint16(t >> 16) }

// Element returns the lower half of the tag.
func (t Tag) Element() uint16 { return uint16(t) }

// Private says that a manufacturer defines the tag: its group is odd (PS3.5 section 7.8).
func (t Tag) Private() bool { return t.Group()&1 == 1 }

// String returns the tag as the standard prints it, such as (0010,0010).
func (t Tag) String() string { return fmt.Sprintf("(%04X,%04X)", t.Group(), t.Element()) }

// The tags that this package and its users name. Dictionary lookups are by any tag.
const (
	FileMetaInformationVersion     Tag = 0x00020001
	MediaStorageSOPClassUID        Tag = 0x00020002
	MediaStorageSOPInstanceUID     Tag = 0x00020003
	TransferSyntaxUID              Tag = 0x00020010
	ImplementationClassUID         Tag = 0x00020012
	ImplementationVersionName      Tag = 0x00020013
	SpecificCharacterSet           Tag = 0x00080005
	ImageType                      Tag = 0x00080008
	SOPClassUID                    Tag = 0x00080016
	SOPInstanceUID                 Tag = 0x00080018
	StudyDate                      Tag = 0x00080020
	StudyTime                      Tag = 0x00080030
	AccessionNumber                Tag = 0x00080050
	Modality                       Tag = 0x00080060
	InstitutionName                Tag = 0x00080080
	ReferringPhysicianName         Tag = 0x00080090
	StudyDescription               Tag = 0x00081030
	SeriesDescription              Tag = 0x0008103E
	PatientName                    Tag = 0x00100010
	PatientID                      Tag = 0x00100020
	PatientBirthDate               Tag = 0x00100030
	PatientSex                     Tag = 0x00100040
	PatientAge                     Tag = 0x00101010
	PatientIdentityRemoved         Tag = 0x00120062
	DeidentificationMethod         Tag = 0x00120063
	DeidentificationMethodCodeSeq  Tag = 0x00120064
	BodyPartExamined               Tag = 0x00180015
	ViewPosition                   Tag = 0x00185101
	StudyInstanceUID               Tag = 0x0020000D
	SeriesInstanceUID              Tag = 0x0020000E
	StudyID                        Tag = 0x00200010
	SeriesNumber                   Tag = 0x00200011
	InstanceNumber                 Tag = 0x00200013
	SamplesPerPixel                Tag = 0x00280002
	PhotometricInterpretation      Tag = 0x00280004
	PlanarConfiguration            Tag = 0x00280006
	NumberOfFrames                 Tag = 0x00280008
	Rows                           Tag = 0x00280010
	Columns                        Tag = 0x00280011
	PixelSpacing                   Tag = 0x00280030
	PixelAspectRatio               Tag = 0x00280034
	BitsAllocated                  Tag = 0x00280100
	BitsStored                     Tag = 0x00280101
	HighBit                        Tag = 0x00280102
	PixelRepresentation            Tag = 0x00280103
	PixelPaddingValue              Tag = 0x00280120
	PixelPaddingRangeLimit         Tag = 0x00280121
	BurnedInAnnotation             Tag = 0x00280301
	WindowCenter                   Tag = 0x00281050
	WindowWidth                    Tag = 0x00281051
	RescaleIntercept               Tag = 0x00281052
	RescaleSlope                   Tag = 0x00281053
	VOILUTFunction                 Tag = 0x00281056
	RedPaletteDescriptor           Tag = 0x00281101
	GreenPaletteDescriptor         Tag = 0x00281102
	BluePaletteDescriptor          Tag = 0x00281103
	RedPaletteData                 Tag = 0x00281201
	GreenPaletteData               Tag = 0x00281202
	BluePaletteData                Tag = 0x00281203
	ModalityLUTSequence            Tag = 0x00283000
	LUTDescriptor                  Tag = 0x00283002
	LUTData                        Tag = 0x00283006
	VOILUTSequence                 Tag = 0x00283010
	PixelValueTransformationSeq    Tag = 0x00289145
	FrameVOILUTSeq                 Tag = 0x00289132
	PresentationLUTShape           Tag = 0x20500020
	SharedFunctionalGroupsSequence Tag = 0x52009229
	PerFrameFunctionalGroups       Tag = 0x52009230
	FloatPixelData                 Tag = 0x7FE00008
	DoubleFloatPixelData           Tag = 0x7FE00009
	PixelData                      Tag = 0x7FE00010

	representativeFrameNumber Tag = 0x00286010
	segmentedRedPaletteData   Tag = 0x00281221
	extendedOffsetTable       Tag = 0x7FE00001

	item              Tag = 0xFFFEE000
	itemDelimiter     Tag = 0xFFFEE00D
	sequenceDelimiter Tag = 0xFFFEE0DD
)
