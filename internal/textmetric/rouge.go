package textmetric

// ROUGEL returns the F-measure of the longest common subsequence, precision and recall in equal weights, over the whole
// texts (Lin 2004, https://aclanthology.org/W04-1013).
func ROUGEL(p Pair) float64 {
	common := float64(longestCommon(p.Written, p.Reference))
	if common == 0 {
		return 0
	}
	precision, recall := common/float64(len(p.Written)), common/float64(len(p.Reference))
	return 2 * precision * recall / (precision + recall)
}

func longestCommon(a, b []string) int {
	row := make([]int, len(b)+1)
	for _, x := range a {
		diagonal := 0
		for j, y := range b {
			above := row[j+1]
			if x == y {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(row[j+1], row[j])
			}
			diagonal = above
		}
	}
	return row[len(b)]
}
