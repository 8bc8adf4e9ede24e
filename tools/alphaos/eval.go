package main

// model eval: examines a chat model with questions it was not trained on, and with
// those of a newcomer. Answers are judged by words that must and must not be in
// them (tools/guide); how fluent the model is shows its perplexity on dialogues it
// was not trained on.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"alphaos/engine"
	"alphaos/llm"
	"alphaos/llm/chat"
	"alphaos/llm/tokenizer"
	"alphaos/tools/guide"
	"alphaos/tools/train"
)

type evalOptions struct {
	model, questions, valid string
	temperature             string
	seed                    int64
	verbose                 bool
	sample, chats, turns    int
	llm                     llm.Options
}

func modelEvalCommand() *cobra.Command {
	var o evalOptions
	cmd := &cobra.Command{
		Use:   "eval [-m FILE]",
		Short: "Examine the guide model with questions and judge its answers",
		Long: `Examine the guide model: ask each question as the first of a conversation, at
temperature 0, and judge the answer by words that it must have and must not
have. The questions are those of the examination, which the model was not
trained on, and a newcomer's. Printed are all failures and how many of each
kind were passed; with --valid also the perplexity on the assistant's words in
those dialogues.

With --chats those of the examination are shuffled into long conversations, and
it is told how many of the answers that are right in an empty one are right
there, too.

With --answers the questions' answers are printed, sampled at a temperature, for
a person to judge.`,
		Example: `  alphaos model eval --valid build/corpus/valid.jsonl
  alphaos model eval --chats 12 --turns 30
  alphaos model eval --answers 100 --temp 0.7`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return evaluate(cmd.Context(), o, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.model, "model", "m", "", "the model's GGUF file (default: the guide model)")
	f.StringVar(&o.questions, "questions", "", "folder with questions (default: those of tools/guide/heldout and newcomers)")
	f.StringVar(&o.valid, "valid", "", "dialogues to measure perplexity on, as alphaos model corpus writes them")
	f.StringVar(&o.temperature, "temp", "0", "temperature")
	f.Int64Var(&o.seed, "seed", 1, "of sampling, where the temperature is not 0")
	f.IntVar(&o.sample, "answers", 0, "only print the answers to so many of the questions")
	f.IntVar(&o.chats, "chats", 0, "also ask the questions in so many long conversations")
	f.IntVar(&o.turns, "turns", 30, "questions of each of them")
	f.BoolVar(&o.verbose, "verbose", false, "print every answer")
	f.IntVarP(&o.llm.Threads, "threads", "t", 0, "threads to compute with (0: choose)")
	kernelFlag(cmd, &o.llm.Kernel)
	return cmd
}

// examinee is a model that answers single questions.
type examinee struct {
	*engine.Model
	params engine.Params
	tokens int // answered so far
	spent  time.Duration
}

func evaluate(ctx context.Context, o evalOptions, out io.Writer) error {
	var questions, newcomers []guide.Question
	var err error
	if o.questions == "" {
		var nerr error
		questions, err = guide.HeldOut()
		newcomers, nerr = guide.Newcomers()
		err = errors.Join(err, nerr)
	} else {
		questions, err = guide.Questions(os.DirFS(o.questions), ".")
	}
	if err != nil {
		return err
	}
	heldOut := len(questions)
	questions = append(questions, newcomers...)
	file, err := openModelOrGuide(o.model)
	if err != nil {
		return err
	}
	defer file.Close()
	model, err := file.engine(engine.Options{LLM: o.llm, NoDraft: true})
	if err != nil {
		return err
	}
	defer model.Close()
	for _, s := range model.Warnings {
		fmt.Fprintln(os.Stderr, "note:", s)
	}
	e := &examinee{Model: model, params: engine.Params{Params: model.Sampling, Predict: -1}}
	if err := e.params.Set("temperature", o.temperature); err != nil {
		return err
	}
	e.params.Seed = o.seed
	if err := e.Begin(0); err != nil {
		return err
	}

	if o.sample > 0 {
		return e.show(ctx, out, questions, o.sample)
	}
	var asked, passed [3]int
	var right []guide.Question
	names := [3]string{"about", "offtopic", "newcomers"}
	for i, q := range questions {
		kind := 0
		if i >= heldOut {
			kind = 2
		} else if q.Kind == guide.Refusal {
			kind = 1
		}
		answer, err := e.ask(ctx, &engine.Conversation{}, q.Text)
		if err != nil {
			return err
		}
		asked[kind]++
		wrong := q.Judge(answer)
		if wrong == nil {
			passed[kind]++
			if i < heldOut {
				right = append(right, q)
			}
		}
		if wrong != nil || o.verbose {
			fmt.Fprintf(out, "Q: %s\nA: %s\n", q.Text, answer)
			if wrong != nil {
				fmt.Fprintf(out, "   wrong (%s): %v\n", q.Where, wrong)
			}
			fmt.Fprintln(out)
		}
	}
	for i, n := range asked {
		if n > 0 {
			fmt.Fprintf(out, "%s: %d of %d right, %.1f %%\n", names[i], passed[i], n, 100*float64(passed[i])/float64(n))
		}
	}
	if e.tokens > 0 {
		fmt.Fprintf(out, "%d tokens of answers, %.0f tokens/s\n", e.tokens, float64(e.tokens)/e.spent.Seconds())
	}
	if o.chats > 0 {
		if err := e.talk(ctx, out, right, o.chats, o.turns); err != nil {
			return err
		}
	}
	if o.valid != "" {
		return e.perplexity(ctx, out, o.valid)
	}
	return nil
}

// talk asks shuffled questions, each answered rightly in an empty conversation,
// in long ones, and tells at which depth how many are still answered rightly.
func (e *examinee) talk(ctx context.Context, out io.Writer, questions []guide.Question, chats, length int) error {
	if len(questions) == 0 {
		return errors.New("no question was answered rightly, so none can be asked again in a long conversation")
	}
	const depths = 3
	var asked, passed [depths]int
	r := rand.New(rand.NewPCG(uint64(e.params.Seed), 0))
	for range chats {
		order := r.Perm(len(questions))
		var c engine.Conversation
		for i := range length {
			q := questions[order[i%len(order)]]
			answer, err := e.ask(ctx, &c, q.Text)
			if err != nil {
				return err
			}
			depth := i * depths / length
			asked[depth]++
			if wrong := q.Judge(answer); wrong == nil {
				passed[depth]++
			} else {
				fmt.Fprintf(out, "Q %d: %s\nA: %s\n   wrong (%s): %v\n\n", i+1, q.Text, answer, q.Where, wrong)
			}
		}
	}
	for i, n := range asked {
		if n > 0 {
			fmt.Fprintf(out, "questions %d to %d of %d conversations: %d of %d as right as in an empty one, %.1f %%\n",
				(i*length+depths-1)/depths+1, ((i+1)*length+depths-1)/depths, chats, passed[i], n, 100*float64(passed[i])/float64(n))
		}
	}
	return nil
}

// show prints answers, spread evenly over the questions.
func (e *examinee) show(ctx context.Context, out io.Writer, questions []guide.Question, count int) error {
	if len(questions) == 0 {
		return errors.New("there are no questions")
	}
	for i := range count {
		q := questions[i*len(questions)/count]
		answer, err := e.ask(ctx, &engine.Conversation{}, q.Text)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%d. Q: %s\n   A: %s\n", i+1, q.Text, answer)
		e.params.Seed++
	}
	return nil
}

// ask goes on with a conversation, which it reads anew, and returns the answer.
func (e *examinee) ask(ctx context.Context, c *engine.Conversation, question string) (string, error) {
	c.Turns = append(c.Turns, chat.Turn{Role: "user", Text: question})
	e.Forget()
	r := e.Answer(ctx, c, e.params, func(string) error { return nil })
	e.tokens += r.Tokens
	e.spent += r.Writing
	if r.End == engine.Stopped {
		return "", context.Cause(ctx)
	}
	return r.Turn.Text, r.Err
}

// perplexity measures how well the model foresees what the assistant says in
// dialogues, each turn after those before it.
func (e *examinee) perplexity(ctx context.Context, out io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("cannot read the dialogues: %w", err)
	}
	defer f.Close()
	docs, err := train.ReadDocuments(f)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	model := e.LLM()
	tok, template := model.Tokenizer(), chat.Detect(model.File()).WithClock(time.Now)
	if tok.EOS() < 0 {
		return errors.New("the model has no token that ends an answer, so its perplexity on answers cannot be told")
	}
	session, err := model.NewSession(0)
	if err != nil {
		return err
	}
	loss, count := 0.0, 0
	for _, d := range docs {
		var turns []chat.Turn
		for _, m := range d.Messages {
			turn := chat.Turn{Role: m.Role, Text: m.Content}
			if m.Role == "assistant" {
				prompt := template.Prompt(tok, turns)
				answer := template.Vocabulary(tok).Encode(m.Content, tokenizer.EncodeOptions{})
				if len(prompt)+len(answer) > session.Cap() {
					break
				}
				session.Truncate(0)
				logits, err := session.Eval(ctx, prompt)
				if err != nil {
					return err
				}
				for _, id := range append(answer, tok.EOS()) {
					loss += surprise(logits, id)
					count++
					if id == tok.EOS() {
						break
					}
					if logits, err = session.Eval(ctx, []int32{id}); err != nil {
						return err
					}
				}
			}
			turns = append(turns, turn)
		}
	}
	if count == 0 {
		return fmt.Errorf("%s has no dialogues that fit the model's context", filepath.Base(name))
	}
	fmt.Fprintf(out, "perplexity %.3f over %d tokens of answers\n", math.Exp(loss/float64(count)), count)
	return nil
}

// surprise is the negative logarithm of the probability that logits give to id.
func surprise(logits []float32, id int32) float64 {
	largest := logits[0]
	for _, x := range logits {
		largest = max(largest, x)
	}
	sum := 0.0
	for _, x := range logits {
		sum += math.Exp(float64(x - largest))
	}
	return math.Log(sum) - float64(logits[id]-largest)
}
