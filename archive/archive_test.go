package archive

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/store"
)

var began = time.Date(2026, 11, 22, 23, 30, 0, 0, time.UTC)

func talk(turns int) Conversation {
	c := Conversation{Conversation: store.Conversation{ID: 7, Started: began, Updated: began.Add(time.Duration(turns) * time.Minute), Title: `First: "words" #1`}}
	for i := range turns {
		at := began.Add(time.Duration(i) * time.Minute)
		c.Said = append(c.Said, store.Message{Role: store.User, Text: fmt.Sprintf("question %d", i), Time: at},
			store.Message{Role: store.Assistant, Text: fmt.Sprintf("answer %d\n", i), Time: at, Partial: i == 1, Stats: store.Stats{Model: []string{"tiny.gguf", "large-00001-of-00002.gguf"}[i%2], Tokens: i + 1}})
	}
	return c
}

func TestName(t *testing.T) {
	east := time.FixedZone("", 2*3600)
	for title, want := range map[string]string{
		"First words":                         "2026-11-23-first-words.md",
		`../../etc/passwd: "x"?`:              "2026-11-23-etc-passwd-x.md",
		"Größe, 日本語!":                         "2026-11-23-größe-日本語.md",
		"...":                                 "2026-11-23-conversation.md",
		strings.Repeat("word ", 30):           "2026-11-23-" + strings.Repeat("word-", 7) + "word.md",
		"CON":                                 "2026-11-23-con.md",
		"trailing " + strings.Repeat("-", 60): "2026-11-23-trailing.md",
	} {
		if got := Name(Conversation{Conversation: store.Conversation{Title: title, Started: began}}, east, "md"); got != want {
			t.Errorf("%q is in %q, want %q", title, got, want)
		}
	}
}

// Each message stands there once, in its order, at its time; the same conversation gives the same bytes.
func TestMarkdown(t *testing.T) {
	c := talk(2)
	want := `---
id: 7
title: "First: \"words\" #1"
date: 2026-11-23T01:30:00+02:00
updated: 2026-11-23T01:32:00+02:00
model: "tiny, large"
messages: 4
---

# First: "words" #1

## You, 23 November 2026, 01:30:00

question 0

## Alpha, 23 November 2026, 01:30:00

answer 0

## You, 23 November 2026, 01:31:00

question 1

## Alpha, 23 November 2026, 01:31:00, cut short

answer 1
`
	if got := string(Markdown(c, time.FixedZone("", 2*3600))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	long := talk(40)
	text := string(Markdown(long, time.UTC))
	for i := range 40 {
		if strings.Count(text, fmt.Sprintf("\nquestion %d\n", i)) != 1 {
			t.Errorf("question %d is not there once", i)
		}
	}
}

// Programs read what was said, and what was replaced, as it was.
func TestJSON(t *testing.T) {
	c := talk(40)
	c.Said[3].Text = "<b> & \"quotes\" \u2028 日本"
	c.Replaced = []store.Branch{{After: 3, Messages: []store.Message{{Role: store.Assistant, Text: "old", Time: began}}}}
	b, err := JSON(c)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Version, ID int
		Title       string
		Messages    []struct {
			Role, Text, Model string
			Time              time.Time
			Tokens            int
			Partial           bool
		}
		Replaced []struct {
			After    int
			Messages []struct{ Text string }
		}
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got.Version != 1 || got.ID != 7 || got.Title != c.Title || len(got.Messages) != 80 || got.Messages[3].Text != c.Said[3].Text || !got.Messages[3].Partial ||
		got.Messages[3].Model != "large" || got.Messages[3].Tokens != 2 || !got.Messages[78].Time.Equal(c.Said[78].Time) || len(got.Replaced) != 1 || got.Replaced[0].Messages[0].Text != "old" {
		t.Errorf("%+v", got)
	}
}

func TestBlocks(t *testing.T) {
	for text, want := range map[string][]string{
		"no code":                                     nil,
		"`one` and ``two``":                           nil,
		"```\na\n```":                                 {"a\n"},
		"```go\na\n\n  b\n```\nand\n~~~\nc\n~~~":      {"a\n\n  b\n", "c\n"},
		"```\nnever closed\n":                         {"never closed\n"},
		"````\n```\ninside\n```\n````":                {"```\ninside\n```\n"},
		"~~~\n```\n~~~":                               {"```\n"},
		"1. list\n   ```sh\n   ls\n     -l\n   ```\n": {"ls\n  -l\n"},
		"```\r\nwindows\r\n```\r\n":                   {"windows\n"},
		"``` not `a` fence\ntext":                     nil,
		"```\n```":                                    {""},
		"```\n``` x\n```":                             {"``` x\n"},
		"``\na\n``":                                   nil,
	} {
		if got := Blocks(text); !slices.Equal(got, want) {
			t.Errorf("%q has %q, want %q", text, got, want)
		}
	}
}

// FuzzBlocks checks that all of a block stands in the text, line by line and in order.
func FuzzBlocks(f *testing.F) {
	f.Add("```go\na\n```\n~~~\nb\n~~~")
	f.Add("  ````\n  x\n ```\n")
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(strings.ReplaceAll(text, "\r", ""), "\n")
		at := 0
		for _, b := range Blocks(text) {
			for line := range strings.SplitSeq(strings.TrimSuffix(b, "\n"), "\n") {
				line = strings.ReplaceAll(line, "\r", "")
				for at < len(lines) && !strings.HasSuffix(lines[at], line) {
					at++
				}
				if at == len(lines) {
					t.Fatalf("%q is not there, or not in its turn", line)
				}
			}
		}
		Name(Conversation{Conversation: store.Conversation{Title: text}}, time.UTC, "md")
		Markdown(Conversation{Said: []store.Message{{Text: text}}}, time.UTC)
		if b, err := JSON(Conversation{Said: []store.Message{{Text: text}}}); err != nil || !json.Valid(b) {
			t.Fatal(err)
		}
	})
}
