// Package wordpiece cuts text into the WordPiece ids of an uncased BERT.
//
// The ids are those of PyPI tokenizers: control characters go, every kind of white space separates words, Chinese
// characters and punctuation marks are words of their own, accents are stripped after the canonical decomposition,
// letters become lower case, and each word is cut greedily into the longest pieces of the vocabulary. See Wu et al.,
// https://arxiv.org/abs/1609.08144, and Devlin et al., https://arxiv.org/abs/1810.04805.
package wordpiece
