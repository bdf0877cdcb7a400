package gateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"consilium/internal/analysis"
	"consilium/internal/dicom"
	"consilium/internal/dicom/deid"
)

// key is an attribute that searches match.
type key struct {
	level analysis.Level
	tag   dicom.Tag
}

// searchKeys are those of the levels, by keyword; openapi.yaml lists them too.
var searchKeys = func() map[string]key {
	m := map[string]key{}
	for level, keywords := range map[analysis.Level]string{
		analysis.StudyLevel:    "AccessionNumber ModalitiesInStudy PatientBirthDate PatientID PatientName PatientSex ReferringPhysicianName StudyDate StudyDescription StudyID StudyInstanceUID StudyTime",
		analysis.SeriesLevel:   "BodyPartExamined Modality PerformedProcedureStepStartDate PerformedProcedureStepStartTime SeriesDescription SeriesInstanceUID SeriesNumber",
		analysis.InstanceLevel: "InstanceNumber SOPClassUID SOPInstanceUID",
	} {
		for _, tag := range tags(keywords) {
			m[tag.Keyword()] = key{level, tag}
		}
	}
	return m
}()

// The attributes that a result has if they are there, beside those that are counted (PS3.18 tables 10.6.3-3 to -5).
var instanceTags = tags("SOPClassUID SOPInstanceUID InstanceNumber Rows Columns BitsAllocated NumberOfFrames ImageType PatientIdentityRemoved")

// search returns the handler of a search for things of one level, QIDO-RS.
func (s *server) search(level analysis.Level) func(w http.ResponseWriter, r *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		mediaType, err := first(r, dicomJSON, plainJSON)
		if err != nil {
			return err
		}
		query := analysis.InstanceQuery{Level: level, StudyUID: chi.URLParam(r, "study_uid"), SeriesUID: chi.URLParam(r, "series_uid"), Limit: s.Limits.DICOMResults + 1}
		parameters := r.URL.Query()
		fields, all, err := includeFields(parameters["includefield"])
		if err != nil {
			return err
		}
		asked := s.Limits.DICOMResults
		for name, values := range parameters {
			value := values[0]
			switch name {
			case "includefield", "fuzzymatching":
			case "limit": // openapi.yaml has it as a number
				n, _ := strconv.Atoi(value)
				if asked = min(n, asked); n <= s.Limits.DICOMResults {
					query.Limit = n
				}
			case "offset":
				query.Offset, _ = strconv.Atoi(value)
			default:
				matches, err := matchOf(level, name, value)
				if err != nil {
					return err
				}
				query.Matches = append(query.Matches, matches...)
			}
		}
		if level == analysis.InstanceLevel && !all {
			for _, tag := range slices.Concat(instanceTags, fields) {
				query.Fields = append(query.Fields, jsonTag(tag))
			}
		}
		found, err := s.Instances.SearchInstances(r.Context(), query)
		if err != nil {
			return err
		}
		if len(found) > asked {
			found = found[:asked]
			w.Header().Add("Warning", `299 consilium "There are more results than one answer holds; ask for the rest with offset."`)
		}
		if parameters.Get("fuzzymatching") == "true" {
			w.Header().Add("Warning", `299 consilium "The fuzzymatching parameter is not supported. Only literal matching has been performed."`)
		}
		results := make([]map[string]json.RawMessage, len(found))
		for i := range found {
			if results[i], err = result(level, &found[i], fields, all); err != nil {
				return err
			}
		}
		return writeJSON(w, mediaType, results)
	}
}

func writeJSON(w http.ResponseWriter, mediaType string, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	w.Header().Set("Content-Type", mediaType)
	_, _ = w.Write(body) // nobody is there to be told
	return nil
}

// jsonTag writes a tag as the DICOM JSON model does.
func jsonTag(tag dicom.Tag) string { return fmt.Sprintf("%08X", uint32(tag)) }

var tagForm = regexp.MustCompile(`^[0-9A-Fa-f]{8}$`)

// tagOf reads an attribute's name: a keyword or a tag.
func tagOf(name string) (dicom.Tag, bool) {
	if tagForm.MatchString(name) {
		n, err := strconv.ParseUint(name, 16, 32)
		return dicom.Tag(n), err == nil
	}
	return dicom.TagByKeyword(name)
}

// includeFields reads the parameters that ask for more attributes.
func includeFields(values []string) (fields []dicom.Tag, all bool, err error) {
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			if name == "all" {
				all = true
				continue
			}
			tag, ok := tagOf(name)
			if !ok {
				return nil, false, unreadable400("includefield", "the attribute is not known")
			}
			fields = append(fields, tag)
		}
	}
	return fields, all, nil
}

// matchOf reads one condition; it is none if everything matches.
func matchOf(level analysis.Level, name, value string) ([]analysis.Match, error) {
	tag, _ := tagOf(name)
	k, ok := searchKeys[tag.Keyword()]
	if !ok || tag != k.tag || k.level > level {
		var known []string
		for keyword, k := range searchKeys {
			if k.level <= level {
				known = append(known, keyword)
			}
		}
		slices.Sort(known)
		e := unreadable400(clip(name), "a search for this cannot match the attribute")
		e.cause.Limit = strings.Join(known, ", ")
		return nil, e
	}
	if strings.ContainsRune(value, 0) {
		return nil, unreadable400(name, "the value holds a NUL character")
	}
	if value == "" || value == "*" || value == `""` {
		return nil, nil
	}
	m := analysis.Match{Level: k.level, Tag: jsonTag(tag), Values: []string{value}}
	switch vr := tag.VR(); vr {
	case dicom.UI:
		m.Values = strings.FieldsFunc(value, func(c rune) bool { return c == ',' || c == '\\' })
		for _, uid := range m.Values {
			if !deid.ValidUID(uid) {
				return nil, unreadable400(name, "a value is no UID")
			}
		}
	case dicom.DA, dicom.TM:
		m.Kind = analysis.MatchRange
		from, to, isRange := strings.Cut(value, "-")
		if !isRange {
			m.Kind, to = analysis.MatchAny, from
		}
		if isRange {
			m.Values = []string{from, to}
		}
		form := timeForm
		if vr == dicom.DA {
			form = dateForm
		}
		if !form.MatchString(from) || !form.MatchString(to) || from+to == "" {
			e := unreadable400(name, "the value is no date, time or range of them")
			e.cause.Limit = "YYYYMMDD or HHMMSS, or two of them with - between"
			return nil, e
		}
	case dicom.PN:
		m.Kind = analysis.MatchName
	case dicom.IS:
		n, err := strconv.Atoi(value)
		if err != nil {
			return nil, unreadable400(name, "want an integer")
		}
		m.Values[0] = strconv.Itoa(n)
	default:
		m.Kind = analysis.MatchWildcard
	}
	return []analysis.Match{m}, nil
}

var (
	dateForm = regexp.MustCompile(`^([0-9]{8})?$`)
	timeForm = regexp.MustCompile(`^([0-9]{2}([0-9]{2}([0-9]{2}(\.[0-9]{1,6})?)?)?)?$`)
)

// result is one object of a search's answer: the attributes of its level and of those above it that the path does not name.
func result(level analysis.Level, m *analysis.InstanceMatch, fields []dicom.Tag, all bool) (map[string]json.RawMessage, error) {
	object := map[string]json.RawMessage{}
	add := func(attributes json.RawMessage, wanted []dicom.Tag) error {
		if attributes == nil {
			return nil
		}
		var there map[string]json.RawMessage
		if err := json.Unmarshal(attributes, &there); err != nil {
			return fmt.Errorf("read stored attributes: %w", err)
		}
		if all {
			maps.Copy(object, there)
			return nil
		}
		for _, tag := range slices.Concat(wanted, fields) {
			if value, ok := there[jsonTag(tag)]; ok {
				object[jsonTag(tag)] = value
			}
		}
		return nil
	}
	for _, part := range []struct {
		attributes json.RawMessage
		wanted     []dicom.Tag
	}{{m.Instance, instanceTags}, {m.Series, seriesTags}, {m.Study, studyTags}} {
		if err := add(part.attributes, part.wanted); err != nil {
			return nil, err
		}
	}
	counted := dicom.NewDataset(
		dicom.NewText(instanceAvailability, dicom.CS, "ONLINE"),
		dicom.NewText(retrieveURL, dicom.UR, instancePath(m.StudyUID, m.SeriesUID, m.UID)),
		dicom.NewText(modalitiesInStudy, dicom.CS, m.Modalities...),
		dicom.NewInts(studySeries, dicom.IS, int64(m.StudySeries)),
		dicom.NewInts(studyInstances, dicom.IS, int64(m.StudyInstances)),
	)
	if level >= analysis.SeriesLevel {
		counted.Set(dicom.NewInts(seriesInstances, dicom.IS, int64(m.SeriesInstances)))
	}
	return object, json.Unmarshal(dicom.JSON(counted, nil), &object)
}

// The elements that a search adds to what is stored.
const (
	instanceAvailability dicom.Tag = 0x00080056
	modalitiesInStudy    dicom.Tag = 0x00080061
	studySeries          dicom.Tag = 0x00201206
	studyInstances       dicom.Tag = 0x00201208
	seriesInstances      dicom.Tag = 0x00201209
)
