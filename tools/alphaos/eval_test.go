package main

import (
	"math/rand/v2"
	"testing"

	"alphaos/engine"
	"alphaos/llm"
	"alphaos/tools/guide"
)

// The guide answers a question after thirty others as it does in an empty
// conversation.
func TestGuideLongConversation(t *testing.T) {
	file, err := openModelOrGuide("")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	model, err := file.engine(engine.Options{LLM: llm.Options{Threads: 2}})
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	e := &examinee{Model: model, params: engine.Params{Params: model.Sampling, Predict: -1}}
	if err := e.params.Set("temperature", "0"); err != nil {
		t.Fatal(err)
	}
	if err = e.Begin(0); err != nil {
		t.Fatal(err)
	}
	questions, err := guide.HeldOut()
	if err != nil {
		t.Fatal(err)
	}
	for chatNumber := range 2 {
		order := rand.New(rand.NewPCG(1, uint64(chatNumber))).Perm(len(questions))
		var talk engine.Conversation
		for i := range 30 {
			question := questions[order[i]].Text
			fresh, err := e.ask(t.Context(), &engine.Conversation{}, question)
			if err != nil {
				t.Fatal(err)
			}
			late, err := e.ask(t.Context(), &talk, question)
			if err != nil {
				t.Fatal(err)
			}
			if late != fresh || late == "" {
				t.Fatalf("question %d, %q, is answered\n%q, but in an empty conversation\n%q", i+1, question, late, fresh)
			}
		}
	}
}
