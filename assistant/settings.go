package assistant

import (
	"fmt"
	"slices"
	"strconv"

	"alphaos/engine"
	"alphaos/llm/chat"
	"alphaos/llm/sample"
)

// settings are what /set parameter changes. Names and meanings are ollama's.
type settings struct {
	engine.Params
	numCtx int               // tokens; 0: the model's own
	think  *chat.Thinking    // nil: as the model has it
	chosen map[string]string // what the person set, by name; the rest is up to the model
}

func defaultSettings() *settings {
	return &settings{Params: engine.Params{Params: sample.Default(), Predict: -1}, chosen: map[string]string{}}
}

// paramHelp lists the parameters.
var paramHelp = []struct{ name, help string }{
	{"temperature", "how daring the choice of words is; 0 always takes the likeliest"},
	{"top_k", "choose among this many likeliest tokens; 0: all"},
	{"top_p", "choose among the likeliest tokens that together have this probability"},
	{"min_p", "leave out tokens less likely than this part of the likeliest one"},
	{"repeat_penalty", "how strongly repetitions are avoided; 1: not at all; 0: 1.1, but 1 at temperature 0"},
	{"repeat_last_n", "how many tokens back repetitions count; -1: all"},
	{"seed", "the same seed gives the same answer; 0: a new one each time"},
	{"num_ctx", "tokens that the model can look back on; 0: its own limit"},
	{"num_predict", "tokens that an answer may have; -1: as many as fit"},
	{"think", "whether the model thinks before it answers: on, off, or default; /think and /nothink"},
	{"think_budget", "tokens that thoughts may have before the model must answer; 0: no limit"},
}

func isParam(name string) bool {
	for _, p := range paramHelp {
		if p.name == name {
			return true
		}
	}
	return false
}

// set sets a parameter as the person asked. An error is one sentence about what
// is allowed, and leaves the settings as they were.
func (s *settings) set(name, value string) (err error) {
	switch name {
	case "num_ctx":
		err = integer(&s.numCtx, name, value, 0)
	case "num_predict":
		err = integer(&s.Predict, name, value, -1)
	case "think_budget":
		err = integer(&s.ThinkBudget, name, value, 0)
	case "think":
		err = s.setThink(value)
	default:
		err = s.Set(name, value)
	}
	if err == nil {
		s.chosen[name] = value
	}
	return err
}

func (s *settings) setThink(value string) error {
	switch value {
	case "on", "off":
		think := chat.Thinking(value == "on")
		s.think = &think
	case "default":
		s.think = nil
	default:
		return fmt.Errorf("think must be on, off or default, not %q", value)
	}
	return nil
}

func integer(to *int, name, value string, low int) error {
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < int64(low) {
		return fmt.Errorf("%s must be a whole number from %d, not %q", name, low, value)
	}
	*to = int(n)
	return nil
}

// recommend takes the parameters that a model recommends, except those that the
// person set.
func (s *settings) recommend(p sample.Params) {
	for name, value := range s.chosen {
		if !slices.Contains([]string{"num_ctx", "num_predict", "think", "think_budget"}, name) {
			_ = p.Set(name, value) // it was accepted before
		}
	}
	s.Params.Params = p
}

// get returns the value of a parameter in the form that set takes.
func (s *settings) get(name string) string {
	float := func(v float32) string { return strconv.FormatFloat(float64(v), 'g', -1, 32) }
	switch name {
	case "temperature":
		return float(s.Temperature)
	case "top_k":
		return strconv.Itoa(s.TopK)
	case "top_p":
		return float(s.TopP)
	case "min_p":
		return float(s.MinP)
	case "repeat_penalty":
		return float(s.Penalty())
	case "repeat_last_n":
		return strconv.Itoa(s.RepeatLastN)
	case "seed":
		return strconv.FormatInt(s.Seed, 10)
	case "num_ctx":
		return strconv.Itoa(s.numCtx)
	case "num_predict":
		return strconv.Itoa(s.Predict)
	case "think_budget":
		return strconv.Itoa(s.ThinkBudget)
	case "think":
		switch {
		case s.think == nil:
			return "default"
		case bool(*s.think):
			return "on"
		}
		return "off"
	}
	return ""
}
