package sentence

import "strings"

// text joins words to a sentence that begins with a capital letter and ends with a full stop. Marks at its beginning are left
// out: people write lists with them.
func (m *Model) text(ids []int64) string {
	var b strings.Builder
	tight := true // whether the next word follows without a blank
	for _, id := range ids {
		w := m.config.Words[id]
		if w == End {
			break
		}
		if !tight && w != "," && w != "-" && w != "." {
			b.WriteByte(' ')
		}
		tight = w == "-"
		b.WriteString(w)
	}
	s := strings.Trim(b.String(), ". ,-")
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}
