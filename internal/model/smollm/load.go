package smollm

import (
	"fmt"
	"strings"

	"consilium/internal/bpe"
	"consilium/internal/gguf"
	"consilium/internal/tensor"
)

// ReadConfig takes the sizes from a file's metadata.
func ReadConfig(f *gguf.File) (c Config, err error) {
	if err := want(f, "general.architecture", "llama"); err != nil {
		return c, err
	}
	for key, dst := range map[string]*int64{
		"llama.vocab_size": &c.Vocabulary, "llama.context_length": &c.Positions, "llama.embedding_length": &c.Dim,
		"llama.block_count": &c.Layers, "llama.attention.head_count": &c.Heads, "llama.attention.head_count_kv": &c.KeyHeads,
		"llama.feed_forward_length": &c.Inner,
	} {
		if *dst, err = f.Int(key); err != nil {
			return c, err
		}
	}
	if c.Base, err = f.Float("llama.rope.freq_base"); err != nil {
		return c, err
	}
	if c.Epsilon, err = f.Float("llama.attention.layer_norm_rms_epsilon"); err != nil {
		return c, err
	}
	return c, c.check()
}

// ReadTokenizer takes the vocabulary from a file's metadata.
func ReadTokenizer(f *gguf.File) (*bpe.Tokenizer, error) {
	if err := want(f, "tokenizer.ggml.pre", "smollm"); err != nil {
		return nil, err
	}
	tokens, err := f.Strings("tokenizer.ggml.tokens")
	if err != nil {
		return nil, err
	}
	merges, err := f.Strings("tokenizer.ggml.merges")
	if err != nil {
		return nil, err
	}
	return bpe.New(tokens, merges)
}

// want refuses a file that says something else under key.
func want(f *gguf.File, key, value string) error {
	switch found, err := f.String(key); {
	case err != nil:
		return err
	case found != value:
		return fmt.Errorf("the gguf file's %s is %q, want %q", key, found, value)
	}
	return nil
}

// Weights widens every tensor of a file.
func Weights(f *gguf.File) (map[string]tensor.Raw, error) {
	raw := map[string]tensor.Raw{}
	for _, name := range f.Names() {
		shape, values, err := f.Tensor(name)
		if err != nil {
			return nil, err
		}
		raw[name] = tensor.Raw{Shape: shape, Values: values}
	}
	return raw, nil
}

// Adaptable lists the matrices of the attention, by name: those that adapters are made for.
func Adaptable(p *tensor.Params) []string {
	var names []string
	for _, name := range p.Order() {
		if strings.Contains(name, ".attn_") && !strings.Contains(name, "norm") {
			names = append(names, name)
		}
	}
	return names
}
