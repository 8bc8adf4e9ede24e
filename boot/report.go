package boot

// What a report about the machine tells of the start.

import (
	"context"
	"strings"

	"alphaos/assistant"
	"alphaos/console"
	"alphaos/drive"
)

// Sections are the options of this start and its log.
func (s *Start) Sections() []assistant.Section {
	return []assistant.Section{
		{Name: "options", Facts: func(context.Context, assistant.ShowProgress) ([]console.Field, error) {
			return []console.Field{{Name: "options", Value: s.Options.String()}}, nil
		}},
		{Name: "log", Facts: func(context.Context, assistant.ShowProgress) ([]console.Field, error) {
			return s.Log.fields(), nil
		}},
	}
}

// fields are the lines of the log, as their times and texts, without what a stranger may
// have chosen: what else a boot manager passed, names of files and labels that are not ours.
func (l *Log) fields() (fields []console.Field) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		at, text, _ := strings.Cut(strings.TrimLeft(line, " "), "  ")
		switch {
		case strings.HasPrefix(text, "load options: \""):
			if text != `load options: ""` {
				text = "load options: there are some"
			}
		case strings.HasPrefix(text, "program: "):
			if from, rest, ok := strings.Cut(text, ", from "); ok {
				path, built, _ := strings.Cut(rest, ", built with ")
				if !strings.HasPrefix(strings.ToUpper(path), `\EFI\`) && !strings.Contains(path, " does not tell") {
					path = "another place"
				}
				text = from + ", from " + path + ", built with " + built
			}
		case strings.HasPrefix(text, "drive: \""):
			if label, on, ok := strings.Cut(text[len("drive: "):], "\" on "); ok {
				if !drive.OurLabel(label[1:]) {
					label = `"another label`
				}
				text = "drive: " + label + "\" on " + on
			}
		}
		fields = append(fields, console.Field{Name: at, Value: text})
	}
	return fields
}
