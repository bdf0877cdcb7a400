package train

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/disintegration/imaging"

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

// film is one radiograph: the indexes of its pictures and of its record (the first as they are, the others varied)
// and its labels.
type film struct {
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
	soundPaths := d.addHeard(heard, t, answers)
	clips := make([]artefact, len(soundPaths))
	for i, path := range soundPaths {
		if clips[i], err = fileArtefact(path); err != nil {
			return nil, err
		}
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
	more, err := encodeAll(ctx, env.Log, engine, env.Cache, "varied-films", varied, enc.encodeImage)
	if err != nil {
		return nil, err
	}
	d.image.join(more)
	if d.audio, err = encodeAll(ctx, env.Log, engine, env.Cache, "sounds", clips, enc.encodeSound); err != nil {
		return nil, err
	}
	for _, q := range d.visual {
		d.pictures = append(d.pictures, q.image)
	}
	for _, f := range d.films {
		for range 13 { // films and pictures about as often
			d.pictures = append(d.pictures, f.images...)
		}
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

// addHeard adds questions about sounds and returns the sounds' paths, by index.
func (d *vqaData) addHeard(clips []sounds.Clip, t, answers *texts) []string {
	var paths []string
	for _, c := range clips {
		if c.Split == "test" {
			continue
		}
		i := len(paths)
		paths = append(paths, c.Path)
		if c.Split == "val" {
			d.valSounds = append(d.valSounds, clip{audio: i, cough: c.Label == "cough"})
			continue
		}
		ask, say := soundQuestions, c.Label
		if c.IsDigit() {
			ask, say = digitQuestions, triples.Words[c.Digit()]
		}
		caption := t.id("the sound of " + say)
		add := func(q, a string) {
			d.heard = append(d.heard, question{text: t.id(q), image: -1, audio: i, note: -1, caption: caption, answer: answers.id(a)})
		}
		for _, q := range ask {
			add(q, say)
		}
		isCough := "no"
		if c.Label == "cough" {
			isCough = "yes"
			d.coughs = append(d.coughs, i)
		} else {
			d.others = append(d.others, i)
		}
		for _, q := range coughQuestions {
			add(q, isCough)
		}
	}
	return paths
}

// filmVariants is how many varied pictures of a training film there are beside the film as it is.
const filmVariants = 3

// addChest adds the radiographs with every label that enough of them carry, and returns the pictures to encode: the
// films as they are, whose indexes begin at base, and the varied ones of the training split, whose indexes follow.
func (d *vqaData) addChest(splits map[string][]dataset.Radiograph, t *texts, base int, seed uint64) (films, varied []artefact, err error) {
	counts := map[string]int{}
	var order []string
	for _, r := range splits["train"] {
		for _, l := range r.Labels {
			if counts[l] == 0 {
				order = append(order, l)
			}
			counts[l]++
		}
	}
	for _, l := range order {
		if counts[l] >= minPositives && l != "No Finding" {
			d.findings = append(d.findings, fusion.Label{Name: l, Modality: string(analysis.Image), Scale: 1, Threshold: 0.5})
		}
	}
	d.findings = append(d.findings, fusion.Label{Name: cough, Modality: string(analysis.Audio), Scale: 1, Threshold: 0.5})

	rng := rand.New(rand.NewPCG(seed, 1))
	baseVaried := base + len(splits["train"]) + len(splits["val"])
	for _, split := range []string{"train", "val"} {
		for _, r := range splits[split] {
			b, err := os.ReadFile(r.Path)
			if err != nil {
				return nil, nil, err
			}
			f := film{images: []int{base + len(films)}, records: []int{t.id(r.Record())}}
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
				f.images = append(f.images, baseVaried+len(varied))
				varied = append(varied, variedArtefact("vary 1", b, seed, i, vary))
			}
			d.films = append(d.films, f)
		}
	}
	return films, varied, nil
}

// vary returns the film cropped by up to an eighth, turned by up to 7 degrees and perhaps mirrored, as a PNG.
func vary(b []byte, rng *rand.Rand) ([]byte, error) {
	img, err := imaging.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	img = imaging.Rotate(img, rng.Float64()*14-7, image.Black)
	size := img.Bounds().Size()
	w, h := size.X-rng.IntN(size.X/8+1), size.Y-rng.IntN(size.Y/8+1)
	x, y := rng.IntN(size.X-w+1), rng.IntN(size.Y-h+1)
	img = imaging.Crop(img, image.Rect(x, y, x+w, y+h))
	if rng.IntN(2) == 0 {
		img = imaging.FlipH(img)
	}
	var out bytes.Buffer
	err = png.Encode(&out, imaging.Grayscale(img))
	return out.Bytes(), err
}
