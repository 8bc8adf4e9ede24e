package main

import (
	"math/rand/v2"
	"testing"

	"alphaos/llm"
	"alphaos/llm/chat"
	"alphaos/llm/sample"
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
	model, err := file.load(llm.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	e := &examinee{model: model, template: chat.Detect(model.File()), params: sample.Recommended(model.File())}
	if err := e.params.Set("temperature", "0"); err != nil {
		t.Fatal(err)
	}
	if e.session, err = model.NewSession(0); err != nil {
		t.Fatal(err)
	}
	questions, err := guide.HeldOut()
	if err != nil {
		t.Fatal(err)
	}
	for chatNumber := range 2 {
		order := rand.New(rand.NewPCG(1, uint64(chatNumber))).Perm(len(questions))
		var turns []chat.Turn
		for i := range 30 {
			question := questions[order[i]].Text
			fresh, err := e.ask(t.Context(), nil, question)
			if err != nil {
				t.Fatal(err)
			}
			late, err := e.ask(t.Context(), turns, question)
			if err != nil {
				t.Fatal(err)
			}
			if late != fresh || late == "" {
				t.Fatalf("question %d, %q, is answered\n%q, but in an empty conversation\n%q", i+1, question, late, fresh)
			}
			turns = append(turns, chat.Turn{Role: "user", Text: question}, chat.Turn{Role: "assistant", Text: late})
		}
	}
}
