package fusion

import (
	"math"
	"slices"

	"consilium/internal/tensor/kernels"
)

// call is one call of Fast.Read on its way through the net.
type call struct {
	*Fast
	results  []Result
	requests []request

	pools    [sources]pool
	memories []memory
	tokens   []float32 // (N, D), of all memories
	keys     []float32 // (N, 2 D), of all memories, as the decoder reads them alone
	queries  []queries
	texts    []int // of each of queries: the memory that a question's words are of, -1 where findings are asked for
	asked    asked
	readings []decoding // of one memory alone

	joined []float32 // (M, D), the tokens of each request side by side, having read each other
}

// request is what of a call one Input needs.
type request struct {
	finds    bool
	queries  int
	memories [modalities]int // -1 where the modality is absent
	alone    [modalities]int // the reading of each
	joined   decoding        // of all
}

// memory is the tokens of one modality of one request or of several.
type memory struct {
	modality int
	source   int
	rows     []int32 // of the source's pool
	first    int32   // row of tokens
}

// pool holds the tokens of one source, each once: the pictures that a question is measured by differ from the first in the order of
// their tokens, or have been asked about before.
type pool struct {
	rows  [][]float32
	known map[uint64][]int32 // by two of their values
}

// row returns the number of a token.
func (p *pool) row(token []float32) int32 {
	key := uint64(math.Float32bits(token[0]))<<32 | uint64(math.Float32bits(token[len(token)/2]))
	for _, r := range p.known[key] {
		if slices.Equal(p.rows[r], token) {
			return r
		}
	}
	if p.known == nil {
		p.known = map[uint64][]int32{}
	}
	r := int32(len(p.rows))
	p.rows, p.known[key] = append(p.rows, token), append(p.known[key], r)
	return r
}

// plan finds what the inputs have in common.
func (f *Fast) plan(inputs []Input) *call {
	c := &call{Fast: f, results: make([]Result, len(inputs)), requests: make([]request, len(inputs))}
	for i, in := range inputs {
		r := &c.requests[i]
		r.finds = in.Question == nil
		text := c.memory(Text, r.finds, in.Question, in.Text)
		r.memories = [modalities]int{text, c.memory(Image, r.finds, in.Image), c.memory(Audio, r.finds, in.Audio)}
		words := len(in.Question) / f.inputs[Text].project.In
		if r.finds {
			text = -1
		}
		r.queries = c.query(text, words)
		for m, number := range r.memories {
			if r.alone[m] = -1; number >= 0 {
				r.alone[m] = c.reading(r.queries, number)
			}
		}
	}
	return c
}

// memory returns the number of the memory of these tokens, -1 if there are none.
func (c *call) memory(modality int, findings bool, parts ...[]float32) int {
	m := memory{modality: modality, source: source(modality, findings)}
	for _, part := range parts {
		for token := range slices.Chunk(part, c.inputs[m.source].project.In) {
			m.rows = append(m.rows, c.pools[m.source].row(token))
		}
	}
	if m.rows == nil {
		return -1
	}
	for i, known := range c.memories {
		if known.modality == modality && known.source == m.source && slices.Equal(known.rows, m.rows) {
			return i
		}
	}
	if last := len(c.memories) - 1; last >= 0 {
		m.first = c.memories[last].first + int32(len(c.memories[last].rows))
	}
	c.memories = append(c.memories, m)
	return len(c.memories) - 1
}

// query returns the number of the queries of a question, whose words are the first of a memory of text, or of the findings.
func (c *call) query(text, words int) int {
	q := queries{count: int32(len(c.config.Findings)), heads: int32(len(c.config.Findings))}
	if text >= 0 {
		q.count, q.heads = 1+int32(words), 1
	}
	for i, known := range c.queries {
		if c.texts[i] == text && known.count == q.count {
			return i
		}
	}
	if last := len(c.queries) - 1; last >= 0 {
		q.first = c.queries[last].first + c.queries[last].count
	}
	c.queries, c.texts = append(c.queries, q), append(c.texts, text)
	return len(c.queries) - 1
}

// reading returns the number of the reading of one memory alone.
func (c *call) reading(q, memory int) int {
	m := c.memories[memory]
	d := decoding{queries: c.queries[q], memory: m.first, count: int32(len(m.rows)), bias: -1, weights: -1}
	if i := slices.Index(c.readings, d); i >= 0 {
		return i
	}
	c.readings = append(c.readings, d)
	return len(c.readings) - 1
}

// embed brings all tokens to D values, says what they are and where, and starts the queries.
func (c *call) embed() {
	d := int(c.config.Dim)
	var projected [sources][]float32
	for from, p := range c.pools {
		in := c.inputs[from]
		if p.rows == nil {
			continue
		}
		x := c.arena.take(len(p.rows) * in.project.In)
		for i, row := range p.rows {
			copy(x[i*in.project.In:], row)
		}
		c.team.Norm(x, len(p.rows), in.norm.weight, in.norm.bias, normEpsilon)
		projected[from] = c.multiply(in.project, x, kernels.Keep)
	}
	last := c.memories[len(c.memories)-1]
	c.tokens = c.arena.take((int(last.first) + len(last.rows)) * d)
	for _, m := range c.memories {
		kind := c.kind[m.modality*d : (m.modality+1)*d]
		for i, row := range m.rows {
			to := c.tokens[(int(m.first)+i)*d:][:d]
			copy(to, projected[m.source][int(row)*d:])
			sum(to, kind)
			if m.modality == Image {
				sum(to, c.place[i*d:(i+1)*d])
			}
		}
	}
	c.keys = c.memorise(c.tokens)

	end := c.queries[len(c.queries)-1]
	x := c.arena.take(int(end.first+end.count) * d)
	for i, q := range c.queries {
		to := x[int(q.first)*d:]
		if c.texts[i] < 0 {
			copy(to, c.findQueries)
			continue
		}
		copy(to, c.answerQuery)
		copy(to[d:int(q.count)*d], c.tokens[int(c.memories[c.texts[i]].first)*d:])
	}
	c.asked = c.begin(c.queries, x)
}

// sum adds y to x.
func sum(x, y []float32) {
	for i, v := range y {
		x[i] += v
	}
}

// alone reads each modality alone.
func (c *call) alone() {
	logits := c.head(c.readings, c.decode(c.readings, c.asked, c.keys, nil, nil))
	for i, r := range c.requests {
		for m, number := range r.alone {
			if number >= 0 {
				c.results[i].Alone[m] = logits[number]
			}
		}
	}
}

// head returns the logits of each of what was decoded.
func (c *call) head(all []decoding, from decoded) [][]float32 {
	d, count := int(c.config.Dim), len(c.config.Answers)
	answers := c.multiply(c.answer, from.final, kernels.Keep)
	logits := make([][]float32, len(all))
	row := 0
	for i, one := range all {
		heads := int(one.queries.heads)
		if c.finds(one.queries) {
			logits[i] = slices.Clone(c.findBias)
			for j := range logits[i] {
				for k, v := range from.final[(row+j)*d : (row+j+1)*d] {
					logits[i][j] += v * c.findWeight[j*d+k]
				}
			}
		} else {
			logits[i] = slices.Clone(answers[row*c.answer.Out:][:count])
		}
		row += heads
	}
	return logits
}

// finds reports whether queries are those of the findings.
func (c *call) finds(q queries) bool { return c.texts[slices.Index(c.queries, q)] < 0 }

// weigh has the gate weigh what the modalities say alone.
func (c *call) weigh() {
	for i := range c.results {
		r := &c.results[i]
		r.maximum = math.Log(float64(len(c.config.Answers)))
		if c.requests[i].finds {
			r.maximum = math.Ln2
		}
		for m, logits := range r.Alone {
			switch {
			case logits == nil:
				r.Entropies[m] = 1
			case c.requests[i].finds:
				r.Entropies[m] = c.unsure(r, logits)
			default:
				r.Entropies[m] = entropy(logits) / r.maximum
			}
		}
		r.Weights = r.ByRule(c.gate, c.config.Gate)
	}
}

// entropy returns that of the softmax of logits, in nats.
func entropy(logits []float32) float64 {
	most, total, sum := float64(slices.Max(logits)), 0.0, 0.0
	for _, v := range logits {
		e := math.Exp(float64(v) - most)
		total += e
		sum += e * (float64(v) - most)
	}
	return math.Log(total) - sum/total
}

// unsure returns the mean entropy, in shares of the largest, of the findings whose modality is there; 1 if there are none.
func (c *call) unsure(r *Result, logits []float32) float64 {
	total, count := 0.0, 0.0
	for i, l := range c.config.Findings {
		if m := slices.Index(names[:], l.Modality); m >= 0 && r.Present(m) {
			p := 1 / (1 + math.Exp(-float64(logits[i])))
			p = min(max(p, 1e-6), 1-1e-6)
			total -= (p*math.Log(p) + (1-p)*math.Log(1-p)) / r.maximum
			count++
		}
	}
	if count == 0 {
		return 1
	}
	return total / count
}

// cross lets the tokens of each request read each other.
func (c *call) cross() {
	d, heads := int(c.config.Dim), int(c.config.Heads)
	rows, biases := 0, 0
	for i := range c.requests {
		r := &c.requests[i]
		r.joined = decoding{queries: c.queries[r.queries], memory: int32(rows)}
		for _, number := range r.memories {
			if number >= 0 {
				r.joined.count += int32(len(c.memories[number].rows))
				biases += heads
			}
		}
		rows += int(r.joined.count)
	}
	c.joined = c.arena.take(rows * d)
	var readings []kernels.Reading
	var bias []float32
	for _, r := range c.requests {
		first := r.joined.memory
		for kind, number := range r.memories {
			if number < 0 {
				continue
			}
			m := c.memories[number]
			n := int32(len(m.rows))
			copy(c.joined[int(first)*d:int(first+n)*d], c.tokens[int(m.first)*d:])
			readings = append(readings, kernels.Reading{
				Query: first, Queries: n, Memory: r.joined.memory, Count: r.joined.count, Out: first,
				Bias: int32(len(bias)), BiasStep: r.joined.count, Weights: -1,
			})
			for h := range heads {
				for other, number := range r.memories {
					if number >= 0 {
						bias = repeat(bias, c.weight[(h*modalities+kind)*modalities+other], len(c.memories[number].rows))
					}
				}
			}
			first += n
		}
	}
	all := c.multiply(c.crossing.all, c.normalise(c.crossing.norm1, c.joined), kernels.Keep)
	q, memory := kernels.Rows{Values: all, Step: 3 * d}, kernels.Rows{Values: all[d:], Step: 3 * d}
	c.add(c.crossing.out, c.read(readings, q, memory, bias, nil), c.joined)
	c.add(c.crossing.down, c.multiply(c.crossing.up, c.normalise(c.crossing.norm2, c.joined), kernels.Silu), c.joined)
}

// repeat appends v n times.
func repeat(to []float32, v float32, n int) []float32 {
	for range n {
		to = append(to, v)
	}
	return to
}

// together reads all modalities of each request, each as far as the gate lets it.
func (c *call) together() {
	var bias []float32
	var all []decoding
	size := int32(0)
	for i := range c.requests {
		r := &c.requests[i]
		r.joined.bias, r.joined.weights = int32(len(bias)), size
		for m, number := range r.memories {
			if number >= 0 {
				bias = repeat(bias, float32(math.Log(c.results[i].Weights[m]+1e-6)), len(c.memories[number].rows))
			}
		}
		size += int32(c.config.Heads) * r.joined.queries.heads * r.joined.count
		all = append(all, r.joined)
	}
	weights := c.arena.take(int(size))
	keys := c.memorise(c.joined)
	out := c.decode(all, c.asked, keys, bias, weights)
	row := int32(0)
	for i, logits := range c.head(all, out) {
		r := c.requests[i]
		c.results[i].Logits = logits
		if r.memories[Image] >= 0 {
			w := weights[r.joined.weights:][:int32(c.config.Heads)*r.joined.queries.heads*r.joined.count]
			c.results[i].Attention = c.attention(r, w)
			if r.finds {
				c.results[i].Maps = c.maps(r, w, keys, out, row)
			}
		}
		row += r.joined.queries.heads
	}
}

// image returns where the image's tokens are among those of a request.
func (c *call) image(r request) (first, count int) {
	if text := r.memories[Text]; text >= 0 {
		first = len(c.memories[text].rows)
	}
	return first, len(c.memories[r.memories[Image]].rows)
}

// attention is imageAttention of weights (H, heads, count).
func (c *call) attention(r request, weights []float32) []float32 {
	first, cells := c.image(r)
	mean := make([]float64, cells)
	total := 0.0
	rows := slices.Collect(slices.Chunk(weights, int(r.joined.count)))
	for _, row := range rows {
		for i, w := range row[first : first+cells] {
			mean[i] += float64(w) / float64(len(rows))
			total += float64(w) / float64(len(rows))
		}
	}
	shares := make([]float32, cells)
	for i, v := range mean {
		shares[i] = float32(v / (total + 1e-9))
	}
	return shares
}
