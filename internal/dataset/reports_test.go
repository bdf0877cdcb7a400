package dataset

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestReadReports(t *testing.T) {
	folder := writeFilms(t, "id,patient_id,split,labels,imaging_report,clinical_notes\n"+
		`a,p1,train,Pneumonia|Edema,"No effusion.. CT shows a mass. Heart size: normal",No edema`+"\n"+
		`b,p2,test,Pneumonia,,"Presentation: Pneumonia before. Imaging Notes: There is consolidation. . Discussion: Edema is common."`+"\n"+
		`c,p3,val,No Finding,,The patient has pneumonia. Fever.`+"\n"+
		"d,p4,val,No Finding,,\n")
	got, err := ReadReports(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Film != "a" || got[0].Patient != "p1" || !slices.Equal(got[0].Sentences, []string{"No effusion", "Heart size: normal"}) ||
		got[1].Split != "test" || !slices.Equal(got[1].Sentences, []string{"There is consolidation"}) {
		t.Errorf("read %+v", got)
	}
	if _, err := ReadReports(writeFilms(t, "id,patient_id\na,b\n")); err == nil || !strings.Contains(err.Error(), "split") {
		t.Errorf("a table without splits: %v", err)
	}
}

func TestReportsOfTheSet(t *testing.T) {
	data := os.Getenv("CONSILIUM_DATA")
	if data == "" {
		t.Skip("the reports lie in the data folder that CONSILIUM_DATA names")
	}
	reports, err := ReadReports(data)
	if err != nil {
		t.Fatal(err)
	}
	patients := map[string]string{}
	n := map[string]int{}
	for _, r := range reports {
		n[r.Split]++
		if other := patients[r.Patient]; other != "" && other != r.Split {
			t.Errorf("patient %s is in %s and %s", r.Patient, other, r.Split)
		}
		patients[r.Patient] = r.Split
	}
	t.Logf("films with text: %v", n)
	if n["train"] < 100 || n["test"] < 20 {
		t.Errorf("films with text: %v", n)
	}
}

func TestStatements(t *testing.T) {
	ask := func(question, answer string) RadQuestion {
		return RadQuestion{Text: question, Answer: answer, Organ: "CHEST", Split: "train"}
	}
	head, test := ask("Is there edema?", "yes"), ask("Is there edema?", "yes")
	head.Organ, test.Split = "HEAD", "test"
	got := Statements([]RadQuestion{
		ask("Is there evidence of a pneumothorax?", "no"), ask("Is the heart enlarged?", "no"), ask("Are there any opacities in this image?", "yes"),
		ask("Is a pleural effusion present?", "no"), ask("Is this a CT?", "no"), ask("Where is the effusion?", "left"), head, test,
	}, "train")
	want := []string{"The heart is not enlarged", "There are opacities", "There is no pleural effusion", "There is no pneumothorax"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
