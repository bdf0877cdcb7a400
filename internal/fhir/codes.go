package fhir

// The code systems that are used.
const (
	loinc          = "http://loinc.org"
	snomed         = "http://snomed.info/sct"
	ucum           = "http://unitsofmeasure.org"
	value          = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
	interpretation = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
	participant    = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
	operation      = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
	uri            = "urn:ietf:rfc:3986"
	dicomUID       = "urn:dicom:uid"
)

// aiAsserted is the security label of what a model said.
var aiAsserted = []coding{{value, "AIAST", "Artificial Intelligence asserted"}}
