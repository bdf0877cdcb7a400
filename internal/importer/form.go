package importer

import (
	"mime"
	"mime/multipart"
)

// fileName returns the name that a part's header gives the file. Unlike Part.FileName it keeps the folders.
func fileName(part *multipart.Part) string {
	_, parameters, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return ""
	}
	return parameters["filename"]
}
