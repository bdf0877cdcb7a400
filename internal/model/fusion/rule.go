package fusion

import "fmt"

// A Rule says how the entropies H of the modalities' own predictions become their weights.
type Rule int

const (
	Learned        Rule = iota // softmax of bias - slope * H, slope and bias trained with the heads
	EntropyShare               // H over the sum of all H: whoever is least sure counts most
	InverseEntropy             // 1/H over the sum of all 1/H
	SoftmaxEntropy             // softmax of -H in nats
	Uniform                    // the same for all
	Rules                      // how many there are
)

var ruleNames = [Rules]string{"learned", "entropy-share", "inverse-entropy", "softmax-entropy", "uniform"}

// String returns the rule's name.
func (r Rule) String() string { return ruleNames[r] }

// UnmarshalText reads the name of a rule that a net may be run with; the others are only measured beside them.
func (r *Rule) UnmarshalText(text []byte) error {
	for _, known := range []Rule{Learned, EntropyShare} {
		if string(text) == known.String() {
			*r = known
			return nil
		}
	}
	return fmt.Errorf("want %s or %s, found %q", Learned, EntropyShare, text)
}
