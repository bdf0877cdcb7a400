// Package knowledge answers from a graph of medical terms: a static layer that everybody shares, and the facts that
// each tenant added, verified against it and against each other.
package knowledge
