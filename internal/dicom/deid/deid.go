// Package deid takes what identifies a patient out of DICOM files.
//
// It follows the Basic Application Level Confidentiality Profile of PS3.15 annex E with the option to retain patient
// characteristics: sex, age, size, weight, smoking, pregnancy and neutering are kept, since findings are judged by
// them. Where the profile leaves a choice it takes the stricter one.
package deid

import (
	"crypto/hmac"
	"crypto/sha256"
	"math/big"
	"strings"

	"consilium/internal/dicom"
)

// SecretBytes is the length of the secret that UIDs are mapped with.
const SecretBytes = 32

// Cleaner removes identities from the files of one tenant. It is safe for concurrent use.
type Cleaner struct {
	key    []byte
	tenant string
}

// New returns a cleaner. The same secret and tenant map the same UIDs to the same ones; without the secret nobody can
// tell which UID became which.
func New(secret []byte, tenant string) *Cleaner { return &Cleaner{key: secret, tenant: tenant} }

// digest returns the keyed hash of some words for one purpose.
func (c *Cleaner) digest(purpose string, words ...string) []byte {
	h := hmac.New(sha256.New, c.key)
	for _, word := range append([]string{purpose, c.tenant}, words...) {
		h.Write([]byte(word))
		h.Write([]byte{0}) // no word holds it: ends of text are trimmed of it, and a UID has digits and dots
	}
	return h.Sum(nil)
}

// UID returns what takes the place of a UID: a UUID of version 8 (RFC 9562), made from a keyed hash, below the root
// 2.25 (PS3.5 section B.2). "" stays "".
func (c *Cleaner) UID(original string) string {
	if original == "" {
		return ""
	}
	id := c.digest("uid", original)[:16]
	id[6] = id[6]&0x0F | 0x80
	id[8] = id[8]&0x3F | 0x80
	return "2.25." + new(big.Int).SetBytes(id).String()
}

// Patient returns a keyed hash of who the patient of a study is, so that a second file can be told to be of another
// one without keeping who it was: of the patient's ID and its issuer, else of name and birth date. The hashes of one
// patient in two studies are not the same.
func (c *Cleaner) Patient(d *dicom.Dataset) []byte {
	words := []string{"id", d.String(dicom.PatientID), d.String(issuerOfPatientID)}
	if words[1] == "" {
		words = []string{"name", d.String(dicom.PatientName), d.String(dicom.PatientBirthDate)}
	}
	for i, word := range words {
		words[i] = strings.ReplaceAll(word, "\x00", "")
	}
	return c.digest("patient", append(words, d.String(dicom.StudyInstanceUID))...)
}

// method is what a cleaned file says about itself in Deidentification Method.
const method = "PS3.15 2026c basic profile, patient characteristics retained"

// methodCodes are the codes of the method in the context group CID 7050 of PS3.16.
var methodCodes = []struct{ value, meaning string }{
	{"113100", "Basic Application Confidentiality Profile"},
	{"113108", "Retain Patient Characteristics Option"},
}

// Clean returns a file without the identity of the patient; the given one is not changed, and values that stay are
// shared. Warnings say what may still be seen in the pixels. The error is InvalidArgument for pixel data that cannot be
// told apart into frames, and UnsupportedMedia for a compression that this package cannot look into.
func (c *Cleaner) Clean(f *dicom.File) (clean *dicom.File, warnings []string, err error) {
	r := rules{cleaner: c, functionalGroups: f.Dataset.Get(dicom.SharedFunctionalGroupsSequence) != nil}
	d := r.dataset(f.Dataset)
	keepAge(d, f.Dataset)
	if err := cleanPixels(d, f); err != nil {
		return nil, nil, err
	}
	codes := make([]*dicom.Dataset, len(methodCodes))
	for i, code := range methodCodes {
		codes[i] = dicom.NewDataset(dicom.NewText(codeValue, dicom.SH, code.value), dicom.NewText(codingScheme, dicom.SH, "DCM"), dicom.NewText(codeMeaning, dicom.LO, code.meaning))
	}
	d.Set(dicom.NewText(dicom.PatientIdentityRemoved, dicom.CS, "YES"))
	d.Set(dicom.NewText(dicom.DeidentificationMethod, dicom.LO, method))
	d.Set(dicom.NewSequence(dicom.DeidentificationMethodCodeSeq, codes...))
	d.Set(dicom.NewText(longitudinalTemporalInformation, dicom.CS, "REMOVED"))
	if d.String(dicom.BurnedInAnnotation) == "YES" {
		warnings = append(warnings, "the file says that text is burned into its pixels; they are stored as they came")
	}
	if d.String(recognizableVisualFeatures) == "YES" {
		warnings = append(warnings, "the file says that the patient can be recognised in its pixels; they are stored as they came")
	}
	return &dicom.File{Meta: &dicom.Dataset{}, Dataset: d, TransferSyntax: f.TransferSyntax}, warnings, nil
}

// The tags that only de-identification names.
const (
	codeValue                       dicom.Tag = 0x00080100
	codingScheme                    dicom.Tag = 0x00080102
	codeMeaning                     dicom.Tag = 0x00080104
	issuerOfPatientID               dicom.Tag = 0x00100021
	recognizableVisualFeatures      dicom.Tag = 0x00280302
	longitudinalTemporalInformation dicom.Tag = 0x00280303
	overlayBitsAllocated            dicom.Tag = 0x60000100
	overlayBitPosition              dicom.Tag = 0x60000102
)
