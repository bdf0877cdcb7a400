package train

import (
	"fmt"
	"io"
	"slices"

	"consilium/internal/dataset/triples"
	"consilium/internal/model/fusion"
	"consilium/internal/tensor"
)

// validate prints, for whole and for strongly corrupted triples, how often the fused answer is right, and what the
// modalities' own answers reach: weighted by the gate, evenly, and each alone. Then how often the nearest thing of
// another modality shows the same digit. d holds the features, batch packs questions.
func (t *digitTriples) validate(a *tensor.Arena, m *fusion.Model, d *vqaData, batch func(qs []question) questionBatch, w io.Writer) {
	for _, strength := range []int{0, triples.Strengths} {
		var fused, gate, even, n int
		var alone [triples.Parts]int
		cases := slices.DeleteFunc(slices.Clone(t.val), func(c digitCase) bool { return c.strength != strength })
		for chunk := range slices.Chunk(cases, 64) {
			mark := a.Mark()
			qs := make([]question, len(chunk))
			for i, c := range chunk {
				qs[i] = c.question
			}
			in, _ := batch(qs).tensors(a)
			out := m.Forward(a, in)
			count := func(right *int, scores tensor.T) {
				for i, answer := range a.Int64s(a.Argmax(scores, 1)) {
					if int(answer) == qs[i].answer {
						*right++
					}
				}
			}
			var weighed, summed tensor.T
			for part, logits := range out.Alone {
				p := a.Softmax(logits, 1)
				count(&alone[part], p)
				weighed = sum(a, weighed, a.Mul(p, a.Narrow(out.Weights, 1, int64(part), 1)))
				summed = sum(a, summed, p)
			}
			count(&fused, out.Logits)
			count(&gate, weighed)
			count(&even, summed)
			n += len(qs)
			a.Release(mark)
		}
		share := func(right int) float64 { return float64(right) / float64(n) }
		fmt.Fprintf(w, "  triples at strength %d: fused %.3f  gate %.3f  uniform %.3f  text %.3f  image %.3f  audio %.3f\n",
			strength, share(fused), share(gate), share(even), share(alone[0]), share(alone[1]), share(alone[2]))
	}
	t.validateRetrieval(a, m, d, w)
}

func (t *digitTriples) validateRetrieval(a *tensor.Arena, m *fusion.Model, d *vqaData, w io.Writer) {
	var rows [triples.Parts][]int
	var digits []int
	for _, c := range t.val {
		if c.strength == 0 {
			rows[triples.Text] = append(rows[triples.Text], c.note)
			rows[triples.Image] = append(rows[triples.Image], c.image)
			rows[triples.Audio] = append(rows[triples.Audio], c.audio)
			digits = append(digits, c.digit)
		}
	}
	mark := a.Mark()
	defer a.Release(mark)
	x := d.tripleBatch(rows, digits).align(a, m)
	names := [triples.Parts]string{"text", "image", "audio"}
	fmt.Fprint(w, "  retrieval:")
	for i := range x {
		for j := range x {
			if i == j {
				continue
			}
			right := 0
			for row, nearest := range a.Int64s(a.Argmax(a.Matmul(x[i], a.Transpose(x[j], 0, 1)), 1)) {
				if digits[nearest] == digits[row] {
					right++
				}
			}
			fmt.Fprintf(w, " %s-%s %.3f", names[i], names[j], float64(right)/float64(len(digits)))
		}
	}
	fmt.Fprintln(w)
}
