package narrative

import (
	"slices"
	"strings"

	"consilium/internal/analysis"
	"consilium/internal/chexpert"
)

// begins are the words with which a part of a sentence begins that may be left out.
var begins = set(`, ( ; : in of with at on within throughout involving across along over from to and or which that more most predominantly mainly
	except suggesting suggestive consistent compatible affecting as but has have due related associated without especially particularly up`)

// modifiers are the words that say how much, of what look or where, and that a sentence does without.
var modifiers = set(`patchy diffuse hazy peripheral multifocal small mild mildly faint extensive subtle multiple dense large minor alveolar perihilar confluent
	ill defined poorly coalescent inhomogeneous homogeneous multi lobar upper lower middle mid lobe zone zones basal bibasal bibasilar widespread
	progressive focal acute moderate severe marked moderately markedly slightly anteroposterior posteroanterior pa ap baseline initial
	conventional portable supine prone consolidative vertical symmetric symmetrical interstitial established persistent residual follow up now`)

// Shorten leaves out of a sentence the parts and the words that claim something besides its observations and their side,
// such as "patchy" or "in the lower zone". ok is false if no sentence remains that states what the whole one did.
func Shorten(sentence string) (short string, ok bool) {
	whole, _, stated := StatementOf(sentence)
	if !stated {
		return "", false
	}
	refused := func(w string) bool { return !Allows(whole, w) }
	foreign := func(w string) bool { return refused(w) && !modifiers[w] }
	var kept []string
	var part []string
	first := true
	end := func() bool {
		states := len(chexpert.Own.Label(strings.Join(part, " "))) > 0
		switch {
		case first && slices.ContainsFunc(part, foreign):
			return false
		case first, states && !slices.ContainsFunc(part, foreign), !slices.ContainsFunc(part, refused):
			kept = append(kept, slices.DeleteFunc(part, refused)...)
		}
		part, first = nil, false
		return true
	}
	for i, w := range Words(sentence) {
		if i > 0 && begins[w] && !end() {
			return "", false
		}
		part = append(part, w)
	}
	if !end() {
		return "", false
	}
	for len(kept) > 0 && (kept[len(kept)-1] == "." || begins[kept[len(kept)-1]]) {
		kept = kept[:len(kept)-1]
	}
	if dangling(kept) {
		return "", false
	}
	short = strings.NewReplacer(" ,", ",", " - ", "-").Replace(strings.Join(kept, " "))
	rest, plain, ok := StatementOf(short)
	if !ok || !plain || claims(rest, kept) != nil || rest.Side != "" && rest.Side != whole.Side {
		return "", false
	}
	return short, !slices.ContainsFunc(rest.Asserts, func(a analysis.Assertion) bool { return !slices.Contains(whole.Asserts, a) })
}

// incomplete are the words after which something has to follow.
var incomplete = set(`is are was were shows show demonstrates demonstrated demonstrate the a an no there of with air
	this bilateral right left cardiac pleural lung normal chest`)

var verbs = set(`is are was were shows show demonstrates demonstrated appear appears`)

// dangling reports whether leaving words out has torn a sentence.
func dangling(words []string) bool {
	for i, w := range words {
		if begins[w] && (i == 0 || incomplete[words[i-1]] || begins[words[i-1]]) {
			return true
		}
	}
	if len(words) > 0 && words[0] == "the" && !slices.ContainsFunc(words, func(w string) bool { return verbs[w] }) {
		return true
	}
	return len(words) == 0 || incomplete[words[len(words)-1]] && words[len(words)-1] != "normal"
}
