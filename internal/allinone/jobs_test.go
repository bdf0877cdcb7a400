package allinone

import (
	"context"
	"testing"
	"time"

	"consilium/gateway/client"
)

// TestJobsOverStudies has the workers of the platform do what requests do, with the same models.
func TestJobsOverStudies(t *testing.T) {
	s := platform(t)
	labels := map[string]string{"batch": "jobs"}
	study := s.store(&client.Upload{Metadata: client.StudyMetadata{Labels: &labels}, Texts: []string{clinicalNote}, Images: [][]byte{shapes(t)}, Sounds: [][]byte{tone()}})
	filter := &client.StudyFilter{Labels: &labels}
	const question = "what shape is it?"
	asked := s.ask(study.Id, question)
	for task, options := range map[client.JobTask]*client.JobOptions{
		client.JobQuestions: {Questions: &[]string{question}}, client.JobReport: {}, client.JobEmbed: {},
		client.JobEvaluate: {Questions: &[]string{question}, Expected: &map[string]string{study.Id: asked.Text}},
	} {
		t.Run(string(task), func(t *testing.T) {
			made, err := s.CreateJobWithResponse(t.Context(), nil, client.JobRequest{Task: task, Filter: filter, Options: options})
			if err != nil || made.JSON202 == nil {
				t.Fatalf("%v %s", err, made.Body)
			}
			job := s.finish(t, made.JSON202.Id)
			items, err := s.ListJobItemsWithResponse(t.Context(), job.Id, nil)
			if err != nil || job.Counts.Succeeded != 1 || items.JSON200 == nil {
				t.Fatalf("%v %+v %s", err, job, items.Body)
			}
			result := items.JSON200.Items[0].Result
			switch task {
			case client.JobQuestions:
				if *result.AnswerId == asked.Id || *result.Confidence != asked.Confidence {
					t.Errorf("the job's answer is %+v, the request's %+v", result, asked)
				}
			case client.JobReport:
				if result.ReportId == nil || len(*result.Findings) == 0 {
					t.Errorf("the report is %+v", result)
				}
			case client.JobEmbed:
				if len(*result.Embeddings) != 3 {
					t.Errorf("the vectors are %+v", result.Embeddings)
				}
			}
		})
	}
}

func (s *session) finish(t *testing.T, id string) *client.Job {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		r, err := s.GetJobWithResponse(ctx, id)
		if err != nil || r.JSON200 == nil {
			t.Fatalf("read a job: %v", err)
		}
		if r.JSON200.State == client.JobCompleted {
			return r.JSON200
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("the job stays %s", r.Body)
		}
	}
}
