package archive

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"alphaos/store"
)

func imported(b []byte) (list []store.Talk, skipped Skipped, err error) {
	skipped, err = Import(bytes.NewReader(b), int64(len(b)), func(t store.Talk) error {
		list = append(list, t)
		return nil
	})
	return list, skipped, err
}

func texts(list []store.Message) (said []string) {
	for _, m := range list {
		said = append(said, m.Role+": "+m.Text)
	}
	return said
}

func TestImportChatGPT(t *testing.T) {
	b, err := os.ReadFile("testdata/conversations.json")
	if err != nil {
		t.Fatal(err)
	}
	var z bytes.Buffer
	w := zip.NewWriter(&z)
	for _, name := range []string{"chat.html", "conversations.json"} {
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write(b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{b, z.Bytes(), append([]byte("\xef\xbb\xbf\n"), b...)} {
		list, skipped, err := imported(b)
		if err != nil || len(list) != 3 || skipped != 4 {
			t.Fatalf("%v, %d left out, %+v", err, skipped, list)
		}
		c := list[0]
		if c.Title != "Beans in shade" || c.Started.UnixMilli() != 1730000000123 {
			t.Errorf("%+v", c.Conversation)
		}
		want := []string{"user: What grows in shade?", "assistant: Ferns do.", "user: [picture]\n\nAnd this one?", "assistant: That is a hosta."}
		if got := texts(c.Said); !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		if m := c.Said[1]; m.Stats.Model != "gpt-4o" || m.Time.UnixMilli() != 1730000011500 {
			t.Errorf("%+v", m)
		}
		if len(c.Replaced) != 1 || c.Replaced[0].After != 1 || !slices.Equal(texts(c.Replaced[0].Messages), []string{"assistant: Moss does."}) {
			t.Errorf("%+v", c.Replaced)
		}
		if got := texts(list[1].Said); !slices.Equal(got, []string{"user: Without a time", "assistant: ```\nprint(1)\n```"}) || list[1].Said[0].Time.IsZero() {
			t.Errorf("%q, %v", got, list[1].Said)
		}
		if got := texts(list[2].Said); !slices.Equal(got, []string{"user: Round and round"}) { // parents in a circle
			t.Errorf("%q", got)
		}
	}
}

// What is exported comes back as it was, in a store of its own and, done again, once only.
func TestImportOwn(t *testing.T) {
	clock := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	now := func() time.Time { clock = clock.Add(1500 * time.Millisecond); return clock }
	newStore := func() *store.Store {
		s, _, err := store.Open(make(memory, 1<<20), now)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	answer := func(a *store.Answer, text string, partial bool) error {
		return errors.Join(a.Write(text), a.End(store.Stats{Model: "m", Tokens: 7, Context: 99, Elapsed: time.Second}, partial))
	}
	from := newStore()
	err := errors.Join(
		from.AddUser("First \"words\"\n# and a heading"), answer(from.BeginAnswer(), "An answer: 日本\n\n## with one, too", false),
		answer(from.ReplaceAnswer(1), "Another\n", true), from.AddUser("more"), from.Rename(1, "A title: \"it\""),
		from.NewConversation(), from.AddUser("\n  Second"))
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"json", "md"} {
		to := newStore()
		zone := time.FixedZone("", 3*60*60)
		for again := range 2 {
			for _, c := range from.Conversations() {
				file := Conversation{Conversation: c, Said: from.Messages(c.ID), Replaced: from.Branches(c.ID)}
				b := Markdown(file, zone)
				if form == "json" {
					if b, err = JSON(file); err != nil {
						t.Fatal(err)
					}
				}
				var m store.Merged
				m, err = to.Add(func(add func(store.Talk) error) error {
					_, err := Import(bytes.NewReader(b), int64(len(b)), add)
					return err
				})
				if err != nil || m.Added != 1-again || m.Known != again {
					t.Fatalf("%s: %+v, %v\n%s", form, m, err, b)
				}
			}
		}
		got, want := "", ""
		for i, c := range from.Conversations() {
			is := to.Conversations()[i]
			want += fmt.Sprintln(c.Title, texts(from.Messages(c.ID)), from.Messages(c.ID)[0].Time.Unix())
			got += fmt.Sprintln(is.Title, texts(to.Messages(is.ID)), to.Messages(is.ID)[0].Time.Unix())
			if form == "json" {
				want += fmt.Sprintln(from.Messages(c.ID), from.Branches(c.ID), c.Started)
				got += fmt.Sprintln(to.Messages(is.ID), to.Branches(is.ID), is.Started)
			}
		}
		if form == "md" { // empty lines around a message are not kept, nor what was replaced
			want = strings.NewReplacer("Another\n]", "Another]", "Another\n user", "Another user", "[user: \n  Second", "[user:   Second").Replace(want)
		}
		if got != want {
			t.Errorf("%s: want\n%s\ngot\n%s", form, want, got)
		}
	}
}

func TestImportRefuses(t *testing.T) {
	for what, b := range map[string]string{
		"nothing": "", "text": "hello", "another JSON": `{"a": 1}`, "an array of others": `[{"a": 1}]`, "half": `[{"mapping": {"a"`,
		"Markdown of others": "---\ntitle: x\n---\n", "a later version": `{"version": 2, "messages": [{"role": "user"}]}`,
		"Markdown with a message more": "---\nid: 1\ntitle: \"x\"\ndate: 2026-11-02T09:00:00+00:00\nmessages: 1\n---\n\n# x\n\n## You, 2 November 2026, 09:00:00\n\na\n\n## You, 2 November 2026, 09:00:01\n\nb\n",
	} {
		if list, _, err := imported([]byte(b)); err == nil || len(list) > 0 {
			t.Errorf("%s: %v", what, list)
		}
	}
}

func FuzzImport(f *testing.F) {
	if b, err := os.ReadFile("testdata/conversations.json"); err == nil {
		f.Add(b)
	}
	f.Add([]byte(`{"version":1,"started":"2026-11-02T09:00:00Z","messages":[{"role":"user","text":"a","time":"2026-11-02T09:00:00Z"}],"replaced":[{"after":1,"messages":[{"role":"user","text":"a","time":"2026-11-02T09:00:00Z"}]}]}`))
	f.Add([]byte("---\nid: 1\ntitle: \"x\"\ndate: 2026-11-02T09:00:00+00:00\nmessages: 1\n---\n\n# x\n\n## You, 2 November 2026, 09:00:00\n\na\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, _, err := store.Open(make(memory, 1<<20), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		var m store.Merged
		var said int
		m, err = s.Add(func(add func(store.Talk) error) error {
			_, err := Import(bytes.NewReader(b), int64(len(b)), func(c store.Talk) error {
				said++
				return add(c)
			})
			return err
		})
		if err == nil && m.Added+m.Grown+m.Known != said {
			t.Errorf("%d conversations, %+v", said, m)
		}
		if _, rec, err := store.Open(make(memory, 1<<20), time.Now); err != nil || len(rec.Holes) > 0 {
			t.Error(err)
		}
	})
}
