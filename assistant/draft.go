package assistant

import (
	"alphaos/engine"
	"alphaos/llm"
	"alphaos/llm/gguf"
)

// A smaller model of the same vocabulary that lies beside the one in use drafts
// for it (see llm/speculate.go). It is chosen by size: larger ones guess better,
// but a draft costs as many of their passes as it has tokens.
const (
	draftShare  = 4 // of the larger model's size at most one part in so many
	draftLayout = 8 // of the streamed bytes at most one part in so many is given up for it
)

// chooseDraft is the model that is to draft for c within budget bytes of memory
// for both (0: any); none if its Name is "". It takes memory from a model that is
// streamed only where that costs little.
func (a *assistant) chooseDraft(c *candidate, budget int64) engine.ModelFile {
	list, err := a.Models.List()
	if err != nil {
		return engine.ModelFile{}
	}
	size := c.r.Size()
	var best engine.ModelFile
	for _, m := range list {
		if m.BuiltIn { // nobody else has its vocabulary
			continue
		}
		if m.Size > size/draftShare || m.Size <= best.Size {
			continue
		}
		if beyond := size + m.Size - budget; budget > 0 && beyond > 0 &&
			(size <= budget || m.Size > (size-budget)/draftLayout || m.Size > budget/2) {
			continue
		}
		if d, err := a.candidate(m); err == nil {
			d.r.Close()
			if llm.SameVocabulary(c.tables, d.tables) {
				best = m
			}
		}
	}
	return best
}

// loadDraft loads the model that drafts for m. Without it answers are the same,
// so what is wrong with it is not told.
func (a *assistant) loadDraft(m *engine.Model, file engine.ModelFile) {
	if file.Name == "" {
		return
	}
	r, err := a.Models.Open(file.Name)
	if err != nil {
		return
	}
	defer r.Close()
	o := a.LLM
	o.SessionLimit /= 8
	p := a.UI.Progress("Loading "+gguf.PlainName(file.Name)+" to draft for it", file.Size)
	defer p.Done()
	o.Progress = func(done, _ int64) { p.Set(done) }
	m.DraftWith(r, o)
}
