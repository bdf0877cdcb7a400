package allinone

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"consilium/gateway/client"
)

// ready returns the readiness of each part that is not ready.
func (s *session) notReady() (status int, parts []string) {
	s.t.Helper()
	r, err := s.GetReadinessWithResponse(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	readiness := r.JSON200
	if readiness == nil {
		readiness = r.JSON503
	}
	if readiness == nil {
		s.t.Fatalf("readiness: %s %s", r.Status(), r.Body)
	}
	for _, check := range readiness.Checks {
		if !check.Ready {
			parts = append(parts, check.Name)
		}
	}
	return r.StatusCode(), parts
}

func TestPartsMayFail(t *testing.T) {
	s, _ := ownPlatform(t)
	study := s.store(&client.Upload{Texts: []string{clinicalNote}, Images: [][]byte{shapes(t)}, Sounds: [][]byte{tone()}})
	before := s.ask(study.Id, "what is the color of the shape?")

	// The order is that of what the platform can still do.
	if err := s.stack.valkey.Stop(); err != nil {
		t.Fatal(err)
	}
	after := s.ask(study.Id, "what is the color of the shape?")
	if after.Text != before.Text || after.Confidence != before.Confidence {
		t.Errorf("without Redis: %q (%v), before %q (%v)", after.Text, after.Confidence, before.Text, before.Confidence)
	}
	if r, err := s.CreateReportWithResponse(t.Context(), study.Id, client.ReportRequest{}); err != nil || r.JSON201 == nil {
		t.Errorf("a report without Redis: %v %s", err, r.Body)
	}
	if status, parts := s.notReady(); status != http.StatusOK || len(parts) != 1 {
		t.Errorf("without Redis: readiness %d, not ready: %v", status, parts)
	}

	if err := s.stack.models["vision-encoder"].Stop(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	left := s.vqa(map[string]string{"question": "what shape is it?"}, radiograph(t))
	if len(left.Degraded) != 1 || left.Degraded[0].Modality != client.ModalityImage || left.Degraded[0].Reason == "" || len(left.Modalities) != 1 || len(left.Reliance) != 0 {
		t.Errorf("without the vision encoder: degraded %+v, weights %+v, reliance %+v", left.Degraded, left.Modalities, left.Reliance)
	}
	contentType, body := form(t, map[string]string{"question": "what shape is it?", "degraded": "refuse"}, map[string][]byte{"image": radiograph(t)})
	if status, p := s.problem(http.MethodPost, "/v1/vqa", contentType, body); status != http.StatusServiceUnavailable {
		t.Errorf("without the vision encoder: status %d: %s", status, p.Error())
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %s to say so", took)
	}
	contentType, body = form(t, map[string]string{"question": "is it a circle?", "text": clinicalNote}, nil)
	if r, err := s.VqaWithBodyWithResponse(t.Context(), contentType, body); err != nil || r.JSON200 == nil {
		t.Errorf("a question without a picture needs no vision encoder: %v %s", err, r.Body)
	}
	if status, parts := s.notReady(); status != http.StatusOK || !slices.Contains(parts, "vision-encoder") {
		t.Errorf("without the vision encoder: readiness %d, not ready: %v", status, parts)
	}
	other := s.store(&client.Upload{Texts: []string{clinicalNote}, Images: [][]byte{radiograph(t)}})
	if r, err := s.CreateReportWithResponse(t.Context(), other.Id, client.ReportRequest{}); err != nil || r.JSON201 == nil || len(r.JSON201.Degraded) != 1 ||
		!slices.ContainsFunc(r.JSON201.NotAssessed, func(o client.Omission) bool { return strings.Contains(o.Reason, r.JSON201.Degraded[0].Reason) }) {
		t.Errorf("a report without the vision encoder: %v %s", err, r.Body)
	}

	if err := s.stack.postgres.Stop(); err != nil {
		t.Fatal(err)
	}
	if status, p := s.problem(http.MethodGet, "/v1/studies/"+study.Id, "", nil); status != http.StatusServiceUnavailable || strings.Contains(p.Detail, "postgres://") {
		t.Errorf("without Postgres: status %d: %s", status, p.Error())
	}
	contentType, body = form(t, map[string]string{"question": "is it a circle?", "text": clinicalNote}, nil)
	if r, err := s.VqaWithBodyWithResponse(t.Context(), contentType, body); err != nil || r.JSON200 == nil {
		t.Errorf("a stateless question needs no Postgres: %v %s", err, r.Body)
	}
	if err := s.stack.models["text-encoder"].Stop(); err != nil {
		t.Fatal(err)
	}
	contentType, body = form(t, map[string]string{"question": "a question that nobody asked before"}, nil)
	if status, p := s.problem(http.MethodPost, "/v1/vqa", contentType, body); status != http.StatusServiceUnavailable {
		t.Errorf("without the text encoder: status %d: %s", status, p.Error())
	}
	if status, _ := s.notReady(); status != http.StatusServiceUnavailable {
		t.Errorf("without the text encoder: readiness %d", status)
	}
	select {
	case err := <-s.stack.Failed():
		if !strings.Contains(err.Error(), "ended") {
			t.Error(err)
		}
	default:
		t.Error("nobody noticed")
	}
}

func TestAStudyOutlivesTheProcess(t *testing.T) {
	s, state := ownPlatform(t)
	r := s.store(&client.Upload{Images: [][]byte{shapes(t)}})
	before := s.ask(r.Id, "what is the color of the shape?")
	if _, err := boot(t.Context(), state, &logBuffer{}); err == nil {
		t.Error("a second platform started on the same state")
	}
	if err := s.stack.Stop(); err != nil {
		t.Fatal(err)
	}
	stack, err := boot(t.Context(), state, &logBuffer{})
	if err != nil {
		t.Fatal(err)
	}
	defer stack.Stop()
	again := newSession(t, stack)
	if found, err := again.GetStudyWithResponse(t.Context(), r.Id); err != nil || found.JSON200 == nil || len(found.JSON200.Artefacts) != 1 {
		t.Fatalf("the study after a restart: %v %s", err, found.Body)
	}
	if after := again.ask(r.Id, "what is the color of the shape?"); after.Text != before.Text {
		t.Errorf("answered %q, before the restart %q", after.Text, before.Text)
	}
}

func TestATakenAddressIsSaidAtOnce(t *testing.T) {
	listener, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	settings, err := LoadSettings(func(name string) string {
		return map[string]string{"CONSILIUM_LISTEN": listener.Addr().String(), "CONSILIUM_STATE": t.TempDir()}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Start(t.Context(), settings, func(string) string { return "" }, &logBuffer{}, nil)
	if err == nil || !strings.Contains(err.Error(), listener.Addr().String()) || !strings.Contains(err.Error(), "CONSILIUM_LISTEN") {
		t.Errorf("the error is %v", err)
	}
}
