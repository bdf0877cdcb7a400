package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/jackc/pgx/v5"

	"consilium"
	"consilium/gateway/client"
	"consilium/gateway/conform"
	"consilium/internal/analysis"
)

// bearer sends every request with a header Authorization.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", string(b))
	return http.DefaultTransport.RoundTrip(r)
}

// key makes a key and returns what is sent.
func (f *fixture) key(key analysis.Key) string {
	f.t.Helper()
	secret, err := f.store.CreateKey(context.Background(), &key)
	if err != nil {
		f.t.Fatal(err)
	}
	return secret
}

// locked is another gateway on what f has stored, which wants keys, and is sent this one.
func (f *fixture) locked(secret string) *fixture {
	f.t.Helper()
	g := *f
	g.deps.Key = f.store.Key
	handler, err := New(g.deps)
	if err != nil {
		f.t.Fatal(err)
	}
	server := httptest.NewServer(conform.New(f.t).Handler(handler))
	f.t.Cleanup(server.Close)
	g.url, g.transport = server.URL, bearer("Bearer "+secret)
	if g.client, err = client.NewClientWithResponses(server.URL, client.WithHTTPClient(&http.Client{Transport: g.transport})); err != nil {
		f.t.Fatal(err)
	}
	return &g
}

func TestARequestNeedsAKey(t *testing.T) {
	f := newFixture(t, nil)
	study := f.create()
	ada := f.key(analysis.Key{Tenant: analysis.DefaultTenant, Name: "Ada", Sign: true})
	bridge := f.key(analysis.Key{Tenant: analysis.DefaultTenant, Name: "bridge"})
	g := f.locked(ada)
	for _, authorization := range []string{"", "Bearer", "Bearer ", "Bearer none", "Basic " + ada, ada, "Bearer " + ada + "x", "Bearer " + strings.ToUpper(ada)} {
		g.transport = bearer(authorization)
		for _, path := range []string{"/v1/studies", "/v1/studies/" + study.Id, "/v1/limits", "/dicom-web/studies", "/v1/none"} {
			response, body := g.do(http.MethodGet, path, nil, nil)
			if p := g.problem(response, body); p.Status != http.StatusUnauthorized || !strings.HasPrefix(response.Header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%q %s: %v %s", authorization, path, response.Header, body)
			}
		}
		for _, path := range openPaths {
			if response, _ := g.do(http.MethodGet, path, nil, nil); response.StatusCode != http.StatusOK {
				t.Errorf("%q %s: %s", authorization, path, response.Status)
			}
		}
	}
	g.transport = bearer("bearer " + ada)
	if response, body := g.do(http.MethodGet, "/v1/tenant", nil, nil); string(bytes.TrimSpace(body)) != `{"key":{"may_manage":false,"may_sign":true,"name":"Ada"},"tenant":"default"}` {
		t.Errorf("who: %s %s", response.Status, body)
	}
	if err := f.store.RevokeKey(context.Background(), analysis.DefaultTenant, "Ada"); err != nil {
		t.Fatal(err)
	}
	if response, _ := g.do(http.MethodGet, "/v1/studies", nil, nil); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("revoked: %s", response.Status)
	}
	if stored := f.query("SELECT row_to_json(k)::text FROM api_keys k"); len(stored) != 2 || strings.Contains(strings.Join(stored, ""), ada) || strings.Contains(strings.Join(stored, ""), bridge) {
		t.Errorf("stored are %v", stored)
	}
	// Without keys the header says nothing.
	f.transport = bearer("Bearer none")
	if response, body := f.do(http.MethodGet, "/v1/tenant", nil, nil); string(bytes.TrimSpace(body)) != `{"tenant":"default"}` {
		t.Errorf("who: %s %s", response.Status, body)
	}
}

func TestWhoSigns(t *testing.T) {
	f := newFixture(t, nil)
	study := f.create()
	written := report(t, f, study.Id)
	sign := func(g *fixture) (*http.Response, []byte) {
		return g.do(http.MethodPost, "/v1/reports/"+written.Id+"/sign", http.Header{"Content-Type": {"application/json"}, "If-Match": {`"1"`}},
			strings.NewReader(`{"by":{"name":"Dr. Ada Example","role":"radiologist"}}`))
	}
	bridge := f.locked(f.key(analysis.Key{Tenant: analysis.DefaultTenant, Name: "bridge"}))
	response, body := sign(bridge)
	if p := f.problem(response, body); p.Status != http.StatusForbidden || *p.Value != "bridge" {
		t.Errorf("a key that may not sign: %s", body)
	}
	for _, path := range []string{"/v1/tenant?confirm=default", "/v1/restore"} {
		method, header := http.MethodDelete, http.Header{}
		if path == "/v1/restore" {
			method, header = http.MethodPost, http.Header{"Content-Type": {octetStream}}
		}
		response, body := bridge.do(method, path, header, strings.NewReader("x"))
		if p := f.problem(response, body); p.Status != http.StatusForbidden {
			t.Errorf("a key that may not manage, %s: %s", path, body)
		}
	}
	ada := f.locked(f.key(analysis.Key{Tenant: analysis.DefaultTenant, Name: "ada.example", Sign: true}))
	if response, body := sign(ada); response.StatusCode != http.StatusOK {
		t.Fatalf("sign: %s", body)
	}
	history, err := f.client.GetReportHistoryWithResponse(t.Context(), written.Id)
	if err != nil || history.JSON200 == nil {
		t.Fatal(err)
	}
	if events := history.JSON200.Events; len(events) != 2 || events[0].Key != nil || events[1].Key == nil || *events[1].Key != "ada.example" || events[1].By.Name != "Dr. Ada Example" {
		t.Errorf("the history is %s", history.Body)
	}
	if _, resource := f.do(http.MethodGet, "/v1/reports/"+written.Id, http.Header{"Accept": {"application/fhir+json"}}, nil); !bytes.Contains(resource, []byte(`{"identifier":{"system":"urn:consilium:key","value":"ada.example"},"display":"Dr. Ada Example"}`)) {
		t.Errorf("the key is not in the provenance of %s", resource)
	}
}

// TestNobodySeesAnotherTenant makes every request of the description that names something with another tenant's key, and reads
// every list: nothing is there.
func TestNobodySeesAnotherTenant(t *testing.T) {
	spec, err := openapi3.NewLoader().LoadFromData(consilium.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	f := whole(t)
	known := f.known()
	f.indexed()
	owner := f.locked(f.key(analysis.Key{Tenant: analysis.DefaultTenant, Name: "owner", Sign: true, Manage: true}))
	other := f.locked(f.key(analysis.Key{Tenant: "other", Name: "other", Sign: true, Manage: true}))
	shared := []string{"term_id", "version", "label", "frames"} // which name nothing of a tenant by themselves
	var secrets []string
	for name, values := range known {
		if !slices.Contains(shared, name) {
			for _, value := range values {
				secrets = append(secrets, strings.Trim(value, `"`))
			}
		}
	}
	before := f.takeExport()
	for _, path := range slices.Sorted(maps.Keys(spec.Paths.Map())) {
		item := spec.Paths.Value(path)
		ours := slices.ContainsFunc(slices.Collect(maps.Keys(known)), func(name string) bool {
			return !slices.Contains(shared, name) && strings.Contains(path, "{"+name+"}")
		})
		for _, method := range slices.Sorted(maps.Keys(item.Operations())) {
			if method != http.MethodGet && !ours {
				continue // stores something of its own
			}
			operation := item.GetOperation(method)
			e := &example{t: t, f: f, known: known}
			target, header := e.target(path, slices.Concat(item.Parameters, operation.Parameters))
			ask := func(g *fixture) (int, []byte) {
				var body io.Reader
				if b := operation.RequestBody; b != nil {
					var contentType string
					contentType, body = e.body(b.Value)
					header.Set("Content-Type", contentType)
				}
				response, content := g.do(method, target, header, body)
				return response.StatusCode, content
			}
			status, content := ask(other)
			empty := status == http.StatusNoContent || slices.Contains([]string{"[]", ""}, string(bytes.TrimSpace(content)))
			adds := method == http.MethodPost && strings.HasPrefix(path, "/dicom-web/") // what is stored is of the tenant that stores it
			if ours && status != http.StatusNotFound && !empty && !adds {
				t.Errorf("%s %s answered another tenant %d %.300s", method, target, status, content)
			}
			for _, secret := range secrets {
				if status < 400 && !adds && !slices.Contains(openPaths, path) && len(secret) > 4 && bytes.Contains(content, []byte(secret)) {
					t.Errorf("%s %s shows another tenant %q: %.300s", method, target, secret, content)
				}
			}
			if method == http.MethodGet {
				if status, content := ask(owner); status >= 400 {
					t.Errorf("%s %s answered its owner %d %.300s", method, target, status, content)
				}
			}
		}
	}
	if !slices.Equal(rowsOf(t, before)["studies"], rowsOf(t, f.takeExport())["studies"]) {
		t.Error("another tenant changed the studies")
	}
	// A page's cursor is of the list of one tenant.
	f.create()
	list, err := owner.client.ListStudiesWithResponse(t.Context(), &client.ListStudiesParams{Limit: ptr(1)})
	if err != nil || list.JSON200 == nil || list.JSON200.NextCursor == nil {
		t.Fatal(err)
	}
	if response, body := other.do(http.MethodGet, "/v1/studies?limit=1&cursor="+*list.JSON200.NextCursor, nil, nil); other.problem(response, body).Status != http.StatusUnprocessableEntity {
		t.Errorf("another tenant's cursor: %s", body)
	}
}

// TestEverythingIsDeleted looks in every table, every file and every key for what one tenant stored, and for what another did.
func TestEverythingIsDeleted(t *testing.T) {
	redis := connect(t, startValkey(t))
	f := whole(t)
	remembering(redis)(&f.deps)
	f = f.locked(f.key(analysis.Key{Tenant: analysis.DefaultTenant, Name: "owner", Manage: true}))
	other := f.locked(f.key(analysis.Key{Tenant: "other", Name: "other"}))
	kept := other.create(item{"text", []byte("Kept.")}, item{"image", picture(77)}, item{"audio", sound()})
	if _, err := other.client.AskStudyWithResponse(t.Context(), kept.Id, client.QuestionRequest{Question: "Is it kept?"}); err != nil {
		t.Fatal(err)
	}
	f.indexed()
	remembered := entries(t, redis)
	known := f.known()
	if _, err := f.client.AskStudyWithResponse(t.Context(), strings.Trim(known["study_id"][0], `"`), client.QuestionRequest{Question: "Is it there?"}); err != nil {
		t.Fatal(err)
	}
	f.indexed()
	rows := func(tenant string) (left []string) {
		for _, table := range f.tables("tenant_id") {
			if !slices.Contains([]string{"tenants", "api_keys", "report_events"}, table) && len(f.query("SELECT tenant_id FROM "+pgx.Identifier{table}.Sanitize()+" WHERE tenant_id = $1", tenant)) > 0 {
				left = append(left, table)
			}
		}
		return left
	}
	was, of := rows(analysis.DefaultTenant), rows("other")
	if len(was) < 12 || len(of) < 3 || len(entries(t, redis)) <= len(remembered) {
		t.Fatalf("there is only %v and %v", was, of)
	}
	for _, confirm := range []string{"", "?confirm=other", "?confirm=default&confirm=default"} {
		if response, body := f.do(http.MethodDelete, "/v1/tenant"+confirm, nil, nil); response.StatusCode < 400 || response.StatusCode >= 500 {
			t.Fatalf("%q: %s %s", confirm, response.Status, body)
		}
	}
	for range 2 { // the second time there is nothing to delete
		response, body := f.do(http.MethodDelete, "/v1/tenant?confirm=default", nil, nil)
		if response.StatusCode != http.StatusNoContent {
			t.Fatalf("delete everything: %s %s", response.Status, body)
		}
		if left := rows(analysis.DefaultTenant); len(left) > 0 {
			t.Errorf("rows are left in %v", left)
		}
	}
	if queued := f.query("SELECT args::text FROM river_job WHERE args ->> 'tenant' = 'default'"); len(queued) > 0 {
		t.Errorf("in the queue there is still %v", queued)
	}
	if got := rows("other"); !slices.Equal(got, of) {
		t.Errorf("of the other tenant there is %v, was %v", got, of)
	}
	if got, err := other.client.GetStudyWithResponse(t.Context(), kept.Id); err != nil || got.JSON200 == nil || f.files() != len(kept.Artefacts) {
		t.Errorf("%d files are left for %d artefacts, %v", f.files(), len(kept.Artefacts), err)
	}
	if err := filepath.WalkDir(filepath.Join(f.blobs, analysis.DefaultTenant), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			t.Errorf("the file %s is left", path)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if got := slices.DeleteFunc(entries(t, redis), func(key string) bool { return strings.HasPrefix(key, "consilium:knowledge:") }); !slices.Equal(got, remembered) { // facts go by themselves within a day
		t.Errorf("the cache holds\n%v\nwant\n%v", got, remembered)
	}
	// The tenant goes on.
	if study := f.create(); study.Id == "" {
		t.Error("nothing can be stored any more")
	}
}

func TestKeysByCommand(t *testing.T) {
	f := newFixture(t, nil)
	getenv := func(name string) string { return map[string]string{"CONSILIUM_POSTGRES_URL": f.database}[name] }
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := Run(t.Context(), append([]string{"key"}, args...), getenv, &out, io.Discard)
		return strings.TrimSpace(out.String()), err
	}
	secret, err := run("create", "-tenant", "ward-7", "-name", "Dr. Ada Example", "-sign")
	if err != nil {
		t.Fatal(err)
	}
	response, body := f.locked(secret).do(http.MethodGet, "/v1/tenant", nil, nil)
	var who client.Tenant
	if err := json.Unmarshal(body, &who); err != nil || who.Tenant != "ward-7" || who.Key == nil || !who.Key.MaySign || who.Key.MayManage {
		t.Errorf("the key is of %s %s", response.Status, body)
	}
	for _, wrong := range [][]string{
		nil, {"make"}, {"create"}, {"create", "-tenant", "ward-7"}, {"create", "-tenant", "ward-7", "-name", "Dr. Ada Example"}, // which there is
		{"create", "-tenant", "Ward 7", "-name", "x"}, {"create", "-tenant", "ward-7", "-name", "a\nb"}, {"create", "-tenant", "ward-7", "-name", strings.Repeat("n", 101)},
		{"revoke", "-tenant", "ward-7", "-name", "nobody"}, {"list", "more"},
	} {
		if out, err := run(wrong...); err == nil {
			t.Errorf("%q printed %q", wrong, out)
		}
	}
	if _, err := run("revoke", "-tenant", "ward-7", "-name", "Dr. Ada Example"); err != nil {
		t.Fatal(err)
	}
	listed, err := run("list")
	if err != nil || !strings.HasPrefix(listed, "ward-7\tDr. Ada Example\trevoked ") || strings.Contains(listed, secret) || strings.Contains(listed, "\n") {
		t.Errorf("listed %q, %v", listed, err)
	}
	if response, _ := f.locked(secret).do(http.MethodGet, "/v1/tenant", nil, nil); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("revoked: %s", response.Status)
	}
}
