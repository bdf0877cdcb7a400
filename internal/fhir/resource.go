package fhir

// The parts of FHIR R4 (4.0.1) that a report needs, with the names of its JSON format.

type coding struct {
	System  string `json:"system"`
	Code    string `json:"code"`
	Display string `json:"display,omitempty"`
}

type concept struct {
	Coding []coding `json:"coding,omitempty"`
	Text   string   `json:"text,omitempty"`
}

type identifier struct {
	System string `json:"system"`
	Value  string `json:"value"`
}

type reference struct {
	Reference  string      `json:"reference,omitempty"`
	Type       string      `json:"type,omitempty"`
	Identifier *identifier `json:"identifier,omitempty"`
	Display    string      `json:"display,omitempty"`
}

type quantity struct {
	Value  float64 `json:"value"`
	Unit   string  `json:"unit,omitempty"`
	System string  `json:"system,omitempty"`
	Code   string  `json:"code,omitempty"`
}

type meta struct {
	VersionID string   `json:"versionId,omitempty"`
	Security  []coding `json:"security,omitempty"`
}

type narrative struct {
	Status string `json:"status"`
	Div    string `json:"div"`
}

type annotation struct {
	Text string `json:"text"`
}

type bundle struct {
	ResourceType string     `json:"resourceType"`
	Meta         meta       `json:"meta,omitzero"`
	Identifier   identifier `json:"identifier"`
	Type         string     `json:"type"`
	Timestamp    string     `json:"timestamp"`
	Entry        []entry    `json:"entry"`
}

type entry struct {
	FullURL  string `json:"fullUrl"`
	Resource any    `json:"resource"`
}

type diagnosticReport struct {
	ResourceType       string       `json:"resourceType"`
	ID                 string       `json:"id"`
	Meta               meta         `json:"meta,omitzero"`
	Text               *narrative   `json:"text,omitempty"`
	Identifier         []identifier `json:"identifier"`
	Status             string       `json:"status"`
	Code               concept      `json:"code"`
	Issued             string       `json:"issued"`
	ResultsInterpreter []reference  `json:"resultsInterpreter,omitempty"`
	Result             []reference  `json:"result,omitempty"`
	ImagingStudy       []reference  `json:"imagingStudy,omitempty"`
	Conclusion         string       `json:"conclusion,omitempty"`
}

type observation struct {
	ResourceType   string       `json:"resourceType"`
	ID             string       `json:"id"`
	Meta           meta         `json:"meta,omitzero"`
	Status         string       `json:"status"`
	Code           concept      `json:"code"`
	Issued         string       `json:"issued"`
	ValueBoolean   *bool        `json:"valueBoolean,omitempty"`
	ValueQuantity  *quantity    `json:"valueQuantity,omitempty"`
	Interpretation []concept    `json:"interpretation,omitempty"`
	Note           []annotation `json:"note,omitempty"`
	Method         *concept     `json:"method,omitempty"`
	Device         *reference   `json:"device,omitempty"`
	Component      []component  `json:"component,omitempty"`
}

type component struct {
	Code          concept  `json:"code"`
	ValueQuantity quantity `json:"valueQuantity"`
}

type device struct {
	ResourceType string       `json:"resourceType"`
	ID           string       `json:"id"`
	Meta         meta         `json:"meta,omitzero"`
	Identifier   []identifier `json:"identifier"`
	DeviceName   []deviceName `json:"deviceName"`
	Type         concept      `json:"type"`
	Version      []version    `json:"version"`
	Note         []annotation `json:"note"`
}

type deviceName struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

type version struct {
	Type  concept `json:"type"`
	Value string  `json:"value"`
}

type provenance struct {
	ResourceType string      `json:"resourceType"`
	ID           string      `json:"id"`
	Meta         meta        `json:"meta,omitzero"`
	Target       []reference `json:"target"`
	Recorded     string      `json:"recorded"`
	Reason       []concept   `json:"reason,omitempty"`
	Activity     concept     `json:"activity"`
	Agent        []agent     `json:"agent"`
	Entity       []entity    `json:"entity,omitempty"`
}

type agent struct {
	Type concept   `json:"type"`
	Role []concept `json:"role,omitempty"`
	Who  reference `json:"who"`
}

type entity struct {
	Role string    `json:"role"`
	What reference `json:"what"`
}
