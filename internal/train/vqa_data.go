package train

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"

	"consilium/internal/analysis"
	"consilium/internal/dataset"
	"consilium/internal/dataset/sounds"
	"consilium/internal/dataset/triples"
	"consilium/internal/model/fusion"
	"consilium/internal/tensor"
)

// soundQuestions and digitQuestions ask for what is heard.
var (
	digitQuestions = []string{"what digit is spoken?", "which digit do you hear?", "what number is said?", "what is being said?"}
	soundQuestions = []string{"what sound is this?", "what do you hear?", "what makes this sound?", "what is the sound?"}
	coughQuestions = []string{"is this a cough?", "is somebody coughing?", "do you hear a cough?"}
)

// remarks say nothing about what a film shows. They are mixed into training records, so that the net does not take
// every sentence of a note for evidence.
var remarks = []string{
	"Referred from the emergency department.", "The patient was seen on the ward.", "Please report.",
	"Compared with the previous examination.", "The film was taken at the bedside.", "Known to our clinic.",
	"Clinical question as discussed by telephone.", "Routine examination.", "The patient arrived by ambulance.",
	"Cough and fever.", "Chest pain.", "Shortness of breath.", "No complaints today.", "Follow-up in six weeks.",
}

// minPositives is how many training radiographs have to carry a label before the net learns it.
const minPositives = 20

// cough is the one finding that is judged from sound.
const cough = "Cough"

// question is one training example; an index of -1 means that the modality is absent.
type question struct {
	text, image, audio int
	note               int // a note that stands beside the question and has nothing to do with it
	caption            int // a text that says what the image or the sound is, for the contrastive loss
	answer             int
}

// film is one radiograph: its index as a picture among pictures, those of its features as a radiograph and of its
// record (the first as they are, the others varied), and its labels.
type film struct {
	picture         int
	images, records []int
	labels          []float32
}

// clip is one sound and whether it is a cough.
type clip struct {
	audio int
	cough bool
}

// vqaData is everything that the recipe trains on, as features of the frozen encoders.
type vqaData struct {
	text, image, audio *featureSet
	radiograph         *featureSet // of films, from the encoder for radiographs
	visual, heard      []question
	val                []question // visual questions about images that no training question is about
	films, valFilms    []film
	coughs, others     []int // sounds
	pictures, sounds   []int // what may stand beside a question that is not about it
	valSounds          []clip
	answers            []string
	findings           []fusion.Label
}

// texts numbers every distinct text.
type texts struct {
	index map[string]int
	list  []string
}

func (t *texts) id(s string) int {
	i, ok := t.index[s]
	if !ok {
		i = len(t.list)
		t.index[s] = i
		t.list = append(t.list, s)
	}
	return i
}

func (t *texts) artefacts() []artefact {
	all := make([]artefact, len(t.list))
	for i, s := range t.list {
		all[i] = bytesArtefact([]byte(s))
	}
	return all
}

// loadVQA reads the sets and encodes them; the seed is that of what is varied before it is encoded. Only training and
// validation splits are read.
func loadVQA(ctx context.Context, env Env, seed uint64, engine *tensor.Engine, enc Encoders) (*vqaData, error) {
	d := &vqaData{}
	t := &texts{index: map[string]int{}}
	answers := &texts{index: map[string]int{}}

	easy, err := dataset.ReadEasyVQA(env.EasyVQA, "train")
	if err != nil {
		return nil, err
	}
	paths := d.addVisual(easy, t, answers)
	images := make([]artefact, len(paths))
	for i, path := range paths {
		if images[i], err = fileArtefact(path); err != nil {
			return nil, err
		}
	}
	heard, err := sounds.Read(env.Data)
	if err != nil {
		return nil, err
	}
	clips, variedSounds, err := d.addHeard(heard, t, answers, seed)
	if err != nil {
		return nil, err
	}
	chest, err := dataset.ReadChest(env.Data)
	if err != nil {
		return nil, err
	}
	films, varied, err := d.addChest(chest, t, len(images), seed)
	if err != nil {
		return nil, err
	}
	d.answers = answers.list

	fmt.Fprintf(env.Log, "%d visual and %d heard questions, %d answers, %d radiographs, %d findings\n",
		len(d.visual), len(d.heard), len(d.answers), len(d.films), len(d.findings))
	if d.text, err = encodeAll(ctx, env.Log, engine, env.Cache, "texts", t.artefacts(), enc.encodeText); err != nil {
		return nil, err
	}
	if d.image, err = encodeAll(ctx, env.Log, engine, env.Cache, "images", append(images, films...), enc.encodeImage); err != nil {
		return nil, err
	}
	if d.radiograph, err = encodeAll(ctx, env.Log, engine, env.Cache, "films", slices.Concat(films, varied), enc.encodeRadiograph); err != nil {
		return nil, err
	}
	if d.audio, err = encodeAll(ctx, env.Log, engine, env.Cache, "sounds", slices.Concat(clips, variedSounds), enc.encodeSound); err != nil {
		return nil, err
	}
	for _, q := range d.visual {
		d.pictures = append(d.pictures, q.image)
	}
	for _, f := range d.films {
		d.pictures = append(d.pictures, slices.Repeat([]int{f.picture}, 52)...) // films and pictures about as often
	}
	d.sounds = slices.Concat(d.coughs, d.others)
	return d, nil
}

// addVisual adds the questions about pictures and returns the pictures' paths, by index. Every twentieth picture and
// all its questions are kept for validation.
func (d *vqaData) addVisual(set *dataset.EasyVQA, t, answers *texts) []string {
	index, paths := map[int]int{}, []string{}
	known := map[int][2]string{} // image to shape and colour, where its questions tell them
	for _, q := range set.Questions {
		k := known[q.Image]
		switch q.Answer {
		case "circle", "rectangle", "triangle":
			k[0] = q.Answer
		case "yes", "no":
		default:
			k[1] = q.Answer
		}
		known[q.Image] = k
	}
	for _, q := range set.Questions {
		i, ok := index[q.Image]
		if !ok {
			i = len(paths)
			index[q.Image] = i
			paths = append(paths, set.Images[q.Image])
		}
		e := question{text: t.id(q.Text), image: i, audio: -1, note: -1, caption: -1, answer: answers.id(q.Answer)}
		if k := known[q.Image]; k[0] != "" && k[1] != "" {
			e.caption = t.id("a " + k[1] + " " + k[0])
		}
		if q.Image%20 == 0 {
			d.val = append(d.val, e)
		} else {
			d.visual = append(d.visual, e)
		}
	}
	return paths
}

// soundVariants is how many varied recordings of a training sound that is no digit there are beside the sound as it is.
const soundVariants = 4

// addHeard adds questions about sounds and returns the sounds to encode: as they are, and then the varied ones.
func (d *vqaData) addHeard(clips []sounds.Clip, t, answers *texts, seed uint64) (plain, varied []artefact, err error) {
	clips = slices.DeleteFunc(slices.Clone(clips), func(c sounds.Clip) bool { return c.Split == "test" })
	for i, c := range clips {
		b, err := os.ReadFile(c.Path)
		if err != nil {
			return nil, nil, err
		}
		plain = append(plain, bytesArtefact(b))
		if c.Split == "val" {
			d.valSounds = append(d.valSounds, clip{audio: i, cough: c.Label == "cough"})
			continue
		}
		heard := []int{i}
		ask, say := soundQuestions, c.Label
		if c.IsDigit() {
			ask, say = digitQuestions, triples.Words[c.Digit()]
		} else {
			for n := range soundVariants {
				heard = append(heard, len(clips)+len(varied))
				varied = append(varied, variedArtefact("varySound 1", b, seed, n, varySound))
			}
		}
		caption := t.id("the sound of " + say)
		add := func(q, a string) {
			for _, audio := range heard {
				d.heard = append(d.heard, question{text: t.id(q), image: -1, audio: audio, note: -1, caption: caption, answer: answers.id(a)})
			}
		}
		for _, q := range ask {
			add(q, say)
		}
		isCough := "no"
		switch {
		case c.Label == "cough":
			isCough = "yes"
			d.coughs = append(d.coughs, heard...)
		case c.IsDigit():
			d.others = append(d.others, heard...)
		default: // there are few of them, and they are what a cough is to be told from
			d.others = append(d.others, slices.Repeat(heard, 5)...)
		}
		for _, q := range coughQuestions {
			add(q, isCough)
		}
	}
	return plain, varied, nil
}

// filmLabels lists the labels that enough of the training films carry, in the order in which they first occur.
func filmLabels(films []dataset.Radiograph) []string {
	counts := map[string]int{}
	var order []string
	for _, r := range films {
		for _, l := range r.Labels {
			if counts[l] == 0 {
				order = append(order, l)
			}
			counts[l]++
		}
	}
	return slices.DeleteFunc(order, func(l string) bool { return counts[l] < minPositives || l == "No Finding" })
}

// filmVariants is how many varied pictures of a training film there are beside the film as it is.
const filmVariants = 6

// addChest adds the radiographs with every label that enough of them carry, and returns the pictures to encode: the
// films as they are, which are pictures from index base on, and the varied ones of the training split.
func (d *vqaData) addChest(splits map[string][]dataset.Radiograph, t *texts, base int, seed uint64) (films, varied []artefact, err error) {
	for _, l := range filmLabels(splits["train"]) {
		d.findings = append(d.findings, fusion.Label{Name: l, Modality: string(analysis.Image), Scale: 1, Threshold: 0.5})
	}
	d.findings = append(d.findings, fusion.Label{Name: cough, Modality: string(analysis.Audio), Scale: 1, Threshold: 0.5})

	rng := rand.New(rand.NewPCG(seed, 1))
	plain := len(splits["train"]) + len(splits["val"])
	for _, split := range []string{"train", "val"} {
		for _, r := range splits[split] {
			b, err := os.ReadFile(r.Path)
			if err != nil {
				return nil, nil, err
			}
			f := film{picture: base + len(films), images: []int{len(films)}, records: []int{t.id(r.Record())}}
			films = append(films, bytesArtefact(b))
			for _, l := range d.findings {
				v := float32(0)
				if r.Has(l.Name) {
					v = 1
				}
				f.labels = append(f.labels, v)
			}
			if split == "val" {
				d.valFilms = append(d.valFilms, f)
				continue
			}
			f.records = append(f.records, t.id(r.Record()+" "+pick(rng, remarks)), t.id(pick(rng, remarks)+" "+r.Record()))
			for i := range filmVariants {
				f.images = append(f.images, plain+len(varied))
				varied = append(varied, variedArtefact("varyFilm 1", b, seed, i, varyFilm))
			}
			d.films = append(d.films, f)
		}
	}
	return films, varied, nil
}
