package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"consilium/gateway/client"
	"consilium/internal/allinone"
)

// A platform is a running gateway, spoken to through its public interface.
type platform struct {
	api *client.ClientWithResponses
}

// connect returns the platform at url; nothing is sent yet.
func connect(url string, options ...client.ClientOption) (*platform, error) {
	api, err := client.NewClientWithResponses(url, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", url, err)
	}
	return &platform{api}, nil
}

// running returns the platform that the settings name, spoken to with their key if they have one.
func running(getenv func(string) string) (*platform, error) {
	url := getenv("CONSILIUM_URL")
	if url == "" {
		url = "http://" + allinone.DefaultListen
	}
	key := getenv("CONSILIUM_API_KEY")
	if key == "" {
		return connect(url)
	}
	return connect(url, client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+key)
		return nil
	}))
}

// refused is the error of an answer that is not what was asked for.
func refused(problem *client.Problem, body []byte) error {
	if problem != nil {
		return problem
	}
	return fmt.Errorf("the platform answered %.200q", body)
}

func (p *platform) store(ctx context.Context, upload *client.Upload) (*client.Study, error) {
	contentType, form, err := upload.Form()
	if err != nil {
		return nil, fmt.Errorf("build the upload: %w", err)
	}
	r, err := p.api.CreateStudyWithBodyWithResponse(ctx, contentType, form)
	if err != nil {
		return nil, fmt.Errorf("store the study: %w", err)
	}
	if r.JSON201 == nil {
		return nil, fmt.Errorf("store the study: %w", refused(r.ApplicationproblemJSONDefault, r.Body))
	}
	return r.JSON201, nil
}

func (p *platform) ask(ctx context.Context, study, question string) (*client.Answer, error) {
	r, err := p.api.AskStudyWithResponse(ctx, study, client.QuestionRequest{Question: question})
	if err != nil {
		return nil, fmt.Errorf("ask study %s: %w", study, err)
	}
	if r.JSON200 == nil {
		return nil, fmt.Errorf("ask study %s: %w", study, refused(r.ApplicationproblemJSONDefault, r.Body))
	}
	return r.JSON200, nil
}

func (p *platform) report(ctx context.Context, study string) (*client.Report, error) {
	r, err := p.api.CreateReportWithResponse(ctx, study, client.ReportRequest{})
	if err != nil {
		return nil, fmt.Errorf("report on study %s: %w", study, err)
	}
	if r.JSON201 == nil {
		return nil, fmt.Errorf("report on study %s: %w", study, refused(r.ApplicationproblemJSONDefault, r.Body))
	}
	return r.JSON201, nil
}

// upload reads the files into an upload, each by the ending of its name.
func upload(title string, files []string) (*client.Upload, error) {
	u := &client.Upload{Metadata: client.StudyMetadata{Title: &title}}
	var errs []error
	for _, file := range files {
		content, err := os.ReadFile(file)
		errs = append(errs, err)
		switch ending := strings.ToLower(file[strings.LastIndex(file, ".")+1:]); ending {
		case "txt", "md":
			u.Texts = append(u.Texts, string(content))
		case "jpg", "jpeg", "png", "dcm":
			u.Images = append(u.Images, content)
		case "wav":
			u.Sounds = append(u.Sounds, content)
		default:
			errs = append(errs, fmt.Errorf("read %s: want a .txt, .md, .jpg, .png, .dcm or .wav file", file))
		}
	}
	return u, errors.Join(errs...)
}
