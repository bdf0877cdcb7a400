package chexpert

import (
	"regexp"
	"strings"
)

// A Labeler finds observations in sentences by phrases.
type Labeler struct {
	mentions   map[string][]*regexp.Regexp
	unmentions map[string][]*regexp.Regexp
	normal     map[string][]*regexp.Regexp // say that there is nothing, such as clear lungs
}

// Label returns the class of each observation that a sentence mentions; of several mentions the strongest counts,
// Positive before Uncertain before Negative. NoFinding is not among them: it is about a whole report.
//
// Whether a mention is negated or uncertain is decided by words before and after it in its clause, as NegEx does (Chapman
// et al. 2001), not by the grammar of the sentence as the published labeler does.
func (l *Labeler) Label(sentence string) map[string]Class {
	s := normalise(sentence)
	found := map[string]Class{}
	for observation, phrases := range l.mentions {
		for _, phrase := range phrases {
			for _, at := range phrase.FindAllStringIndex(s, -1) {
				if l.unmentioned(observation, s, at) {
					continue
				}
				found[observation] = max(found[observation], classify(s, at[0], at[1]))
			}
		}
	}
	for observation, phrases := range l.normal {
		for _, phrase := range phrases {
			if phrase.MatchString(s) {
				found[observation] = max(found[observation], Negative)
			}
		}
	}
	return found
}

// unmentioned reports whether a mention is part of a phrase that means something else.
func (l *Labeler) unmentioned(observation, s string, at []int) bool {
	for _, phrase := range l.unmentions[observation] {
		for _, other := range phrase.FindAllStringIndex(s, -1) {
			if other[0] < at[1] && at[0] < other[1] {
				return true
			}
		}
	}
	return false
}

// Report returns the classes over all sentences of a report, the strongest of each observation. NoFinding is Positive if
// no observation but SupportDevices is positive or uncertain.
func (l *Labeler) Report(sentences []string) map[string]Class {
	found := map[string]Class{}
	for _, s := range sentences {
		for observation, class := range l.Label(s) {
			found[observation] = max(found[observation], class)
		}
	}
	for observation, class := range found {
		if class >= Uncertain && observation != SupportDevices {
			return found
		}
	}
	found[NoFinding] = Positive
	return found
}

// What stands around a mention. Words before it reach over at most reach words, and neither way over a break.
var (
	breaks = regexp.MustCompile(` (; |but |however |although |though |except |apart from |despite |whereas |while |(, |and |with )?there (is|are|was|were) )`)

	uncertainBefore = compile(`possibl[ey]`, `probabl[ey]`, `presumabl[ey]`, `presumed`, `may`, `might`, `could`, `would`, `suspicious for`, `suspicion (of|for)`,
		`suspect(ed)?`, `suggest(s|ing|ive of|ive)?`, `question(able| of)?`, `cannot (be )?(exclude|excluded|rule out)`, `can not exclude`, `rule out`,
		`not excluded?`, `concern(ing)? for`, `worrisome for`, `versus`, `vs`, `differential`, `likely`, `favou?r`, `no new`, `equivocal`, `if`)
	uncertainAfter = compile(`(is|are|was|were) (possible|probable|questionable|suspected|uncertain)`, `(cannot|can not|could not) be (excluded|ruled out)`,
		`not (be )?(excluded|ruled out)`, `not (easily )?explained`, `is less likely`, `(is|are) considered`)
	pseudoNegation = compile(`no (significant |interval |obvious |substantial |sign of |signs of |clear )*(change|regression|resolution|improvement|response|increase|decrease|progression)`, `not (resolved|changed|significantly changed)`, `without (change|improvement)`)
	negatedBefore  = compile(`no`, `not`, `without`, `free of`, `free from`, `absence of`, `absent`, `clear of`, `negative for`, `rather than`, `resolution of`, `resolved`, `clearing of`, `nor`, `neither`, `never`, `denies`, `exclude[sd]?`, `lack of`, `none of`)
	negatedAfter   = compile(`(is|are|was|were|has|have|had|be|been|being) (not|no longer) `, `not (seen|found|present|visible|visualized|evident|identified|detected|noted|demonstrated|enlarged|appreciated|reach)`,
		`(is|are|was|were|has|have|now|been|be|being|all)? ?(absent|resolved|cleared|excluded|ruled out)`, `no longer`, `(shows|show|showed)? ?(complete |almost complete )?(resolution|regression|clearing)`)
	normalBefore = compile(`normal`, `unremarkable`, `clear`)
	normalAfter  = compile(`(is|are|was|were|appears?|remains?|has|have|with|looks?)( now| otherwise| also| all| both| a| of)?( mildly| entirely)? ?(normal|unremarkable|clear|preserved)`, `(is|are|was|were|size|sizes|contours?|silhouette|profile|outline)? ?(within|in) (the )?(upper limits of )?normal( limits)?`, `within normal limits`, `normal`, `unremarkable`)
)

// reach is how many words before a mention are looked at, and closeBy how many for an adjective.
const (
	reach   = 9
	closeBy = 4
)

func compile(phrases ...string) []*regexp.Regexp {
	var out []*regexp.Regexp
	for _, p := range phrases {
		out = append(out, regexp.MustCompile(` (`+p+`) `))
	}
	return out
}

// classify returns the class of the mention s[from:to] of a normalised sentence.
func classify(s string, from, to int) Class {
	before, after := s[:from]+" ", " "+s[to:]
	if to < len(s) && s[to] != ' ' { // a phrase may end inside a word
		if i := strings.IndexByte(s[to:], ' '); i >= 0 {
			after = s[to+i:]
		}
	}
	if at := breaks.FindAllStringIndex(before, -1); at != nil {
		last := at[len(at)-1]
		before = before[last[0]:]
	}
	if at := breaks.FindStringIndex(after); at != nil {
		after = after[:at[0]+1]
	}
	before, after = lastWords(before, reach), firstWords(after, reach)
	if holds(before, pseudoNegation) || holds(after, pseudoNegation) {
		return Positive
	}
	switch {
	case holds(before, uncertainBefore), holds(after, uncertainAfter):
		return Uncertain
	case holds(before, negatedBefore), holds(after, negatedAfter):
		return Negative
	case holds(lastWords(before, closeBy), normalBefore), holds(firstWords(after, closeBy+1), normalAfter):
		return Negative
	}
	return Positive
}

func holds(s string, phrases []*regexp.Regexp) bool {
	for _, p := range phrases {
		if p.MatchString(s) {
			return true
		}
	}
	return false
}

func lastWords(s string, n int) string {
	words := strings.Fields(s)
	return " " + strings.Join(words[max(0, len(words)-n):], " ") + " "
}

func firstWords(s string, n int) string {
	words := strings.Fields(s)
	return " " + strings.Join(words[:min(n, len(words))], " ") + " "
}
