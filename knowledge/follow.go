package knowledge

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"
)

// Follow-ups: "and the deposit?" says nothing by itself of what it is about. Such a question is searched for together with the one before.

// goesOn is how questions begin that go on with one before; refersBack are words that stand for something in it.
var (
	goesOn     = regexp.MustCompile(`(?i)^\s*(?:(?:and|but|or|also|then)\b|(?:what|how) about\b|und\b|aber\b|oder\b|was ist mit\b|et\b|mais\b|ou\b|qu'en est-il\b|那|还有|以及)`)
	refersBack = regexp.MustCompile(`(?i)\b(?:it|its|they|them|their|there|that one|this one|those|these|he|she|his|her|him|er|sie|es|ihn|ihm|ihr|dort|davon|dazu|damit|dafür|il|elle|ils|elles|lui|celui|celle)\b|它|他|她|那个|这个`)
)

// longFollow is how many words a question may have that is taken for a follow-up because of a word in it.
const longFollow = 10

// FollowUp tells whether a question is understood only with the one before, as far as its words tell.
func FollowUp(question string) bool {
	return goesOn.MatchString(question) || refersBack.MatchString(question) && len(strings.Fields(question)) <= longFollow
}

// SearchFollowing is Search for a question that is asked behind another. One that is no follow-up, or has none before it, is searched for by its
// own words; else those of both count as well, and more: fused by reciprocal rank.
func (l *Library) SearchFollowing(ctx context.Context, before, question string, k int, within ...string) ([]Passage, error) {
	own, err := l.Search(ctx, question, k, within...)
	if before == "" || !FollowUp(question) || err != nil {
		return own, err
	}
	both, err := l.Search(ctx, question+" "+before, k, within...)
	if err != nil {
		return nil, err
	}
	const share, behind = .5, 3 // of its own words, and ranks that are added to each; measured on the 20 pairs in testdata
	type place struct {
		document string
		start    int
	}
	score, at := map[place]float64{}, map[place]int{}
	var fused []Passage
	for i, list := range [][]Passage{both, own} {
		weight := 1.
		if i == 1 {
			weight = share
		}
		for rank, p := range list {
			where := place{p.Document, p.Start}
			score[where] += weight / float64(behind+rank+1)
			n, ok := at[where]
			if !ok {
				at[where] = len(fused)
				fused = append(fused, p)
				continue
			}
			fused[n].Match, fused[n].Likeness = max(fused[n].Match, p.Match), max(fused[n].Likeness, p.Likeness)
		}
	}
	slices.SortStableFunc(fused, func(a, b Passage) int {
		return cmp.Compare(score[place{b.Document, b.Start}], score[place{a.Document, a.Start}])
	})
	return fused[:min(k, len(fused))], nil
}
