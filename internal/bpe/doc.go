// Package bpe cuts text into the byte-level BPE ids of SmolLM2 and puts them together again.
//
// The ids are those of PyPI tokenizers: a digit is a word of its own, other words are cut as GPT-2 does, their bytes
// are written as printable characters, and neighbours are merged in the order of the vocabulary's merges. See Sennrich
// et al., https://arxiv.org/abs/1508.07909, and Radford et al., "Language Models are Unsupervised Multitask Learners".
package bpe
