// Package analysis holds the nouns of Consilium and the seams between its parts.
//
// A study holds artefacts of three modalities. An encoder turns an artefact into Features; a Fuser turns the
// features of a question and of whatever modalities are present into a Result; an Analyzer does the whole path.
// The package imports the standard library only, so that every other package can import it.
package analysis
