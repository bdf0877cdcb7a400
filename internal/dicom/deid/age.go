package deid

import (
	"fmt"
	"strconv"
	"time"

	"consilium/internal/dicom"
)

// oldest is the age from which patients are so few that it would name them: all of them are put together.
const oldest = 90

// capped returns an age, such as 063Y, at most the oldest.
func capped(age string) string {
	if years, err := strconv.Atoi(age[:3]); err == nil && age[3] == 'Y' && years > oldest {
		return fmt.Sprintf("%03dY", oldest)
	}
	return age
}

// keepAge gives a cleaned data set that has no age the one that follows from the dates that go.
func keepAge(clean, original *dicom.Dataset) {
	if clean.String(dicom.PatientAge) != "" {
		return
	}
	if age := ageBetween(original); age != "" {
		clean.Set(dicom.NewText(dicom.PatientAge, dicom.AS, capped(age)))
	}
}

// ageBetween returns the time from birth to the study as an age, "" if it is not known.
func ageBetween(d *dicom.Dataset) string {
	const layout = "20060102"
	birth, err := time.Parse(layout, d.String(dicom.PatientBirthDate))
	if err != nil {
		return ""
	}
	for _, tag := range []dicom.Tag{dicom.StudyDate, 0x00080021, 0x00080022, 0x00080023} { // of the study, the series, the acquisition, the content
		day, err := time.Parse(layout, d.String(tag))
		if err != nil || day.Before(birth) {
			continue
		}
		months := (day.Year()-birth.Year())*12 + int(day.Month()) - int(birth.Month())
		if day.Day() < birth.Day() {
			months--
		}
		switch {
		case months >= 24 && months/12 < 1000:
			return fmt.Sprintf("%03dY", months/12)
		case months < 24:
			return fmt.Sprintf("%03dM", months)
		}
	}
	return ""
}
