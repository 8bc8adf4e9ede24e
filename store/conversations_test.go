package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"alphaos/fs/fstest"
)

// exchange says something and answers it.
func exchange(t testing.TB, s *Store, question, answer string) {
	t.Helper()
	if err := s.AddUser(question); err != nil {
		t.Fatal(err)
	}
	finish(t, s.BeginAnswer(), answer)
}

func finish(t testing.TB, a *Answer, text string) {
	t.Helper()
	if err := a.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := a.End(Stats{Model: "m"}, false); err != nil {
		t.Fatal(err)
	}
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// texts is what messages say, in a line.
func texts(list []Message) string {
	var words []string
	for _, m := range list {
		words = append(words, m.Text)
	}
	return strings.Join(words, " | ")
}

// dump is all that a store tells of conversations.
func dump(s *Store) string {
	var b strings.Builder
	for _, c := range s.Conversations() {
		fmt.Fprintf(&b, "%d %q %d, %v\n", c.ID, c.Title, c.Messages, c.ID == s.Current().ID)
		for _, m := range s.Messages(c.ID) {
			fmt.Fprintf(&b, "  %s %v %v: %s\n", m.Role, m.Partial, m.Time.UnixMilli(), m.Text)
		}
		for _, r := range s.Branches(c.ID) {
			fmt.Fprintf(&b, "  after %d: %s\n", r.After, texts(r.Messages))
		}
	}
	return b.String()
}

// Hundreds of conversations, one of them of forty turns that goes on every evening, are listed, named,
// deleted and replaced over many starts, and each start finds all as it was left.
func TestManyConversations(t *testing.T) {
	m := newMedium(4 << 20)
	const evenings, each = 20, 15
	left := ""
	for evening := range evenings {
		s, rec := open(t, m)
		if got := dump(s); got != left || rec.Unclean {
			t.Fatalf("evening %d begins with\n%s\nwant\n%s", evening, got, left)
		}
		for i := range each {
			must(t, s.NewConversation())
			for turn := range 1 + i%3 {
				exchange(t, s, fmt.Sprintf("question %d of talk %d on evening %d", turn, i, evening), "an answer")
			}
		}
		must(t, s.GoOn(1))
		exchange(t, s, fmt.Sprintf("evening %d, first", evening), "draft")
		_, n := s.Tail(0)
		finish(t, s.ReplaceAnswer(n-1), "better")
		exchange(t, s, "mistyped", "what?")
		must(t, s.Replace(n, fmt.Sprintf("evening %d, second", evening)))
		finish(t, s.BeginAnswer(), "yes")
		must(t, s.Rename(1, fmt.Sprintf("the long one, evening %d", evening)), s.Delete(evening*each+5))
		left = dump(s)
		must(t, s.End())
	}
	s, _ := open(t, m)
	list := s.Conversations()
	if len(list) != evenings*(each-1) || list[0].Title != "the long one, evening 19" || list[0].Messages != 2+4*evenings || s.Current().ID != 1 {
		t.Errorf("%d conversations, the first %+v, in %+v", len(list), list[0], s.Current())
	}
	if slices.ContainsFunc(list, func(c Conversation) bool { return c.ID%each == 5 }) {
		t.Error("a deleted conversation is back")
	}
	long := s.Messages(1)
	if text := texts(long); strings.Contains(text, "draft") || strings.Contains(text, "mistyped") || !strings.Contains(text, "evening 7, first | better | evening 7, second | yes") {
		t.Error(text)
	}
	branches := s.Branches(1)
	if len(branches) != 2*evenings || texts(branches[0].Messages) != "draft" || branches[0].After != 3 || texts(branches[1].Messages) != "mistyped | what?" || branches[1].After != 4 {
		t.Errorf("%d branches, first %+v", len(branches), branches[:2])
	}
	if got := s.Messages(5); got != nil {
		t.Errorf("deleted: %v", got)
	}
	if _, err := s.find(5000); err != ErrNoConversation {
		t.Error(err)
	}
}

// What is deleted is gone at once, is not in a list, and does not come back at a start, whatever else is said.
func TestDelete(t *testing.T) {
	m := newMedium(testSize)
	s, _ := open(t, m)
	exchange(t, s, "one", "first")
	must(t, s.NewConversation())
	exchange(t, s, "secret", "psst")
	finish(t, s.ReplaceAnswer(1), "hush")
	must(t, s.Rename(2, "my secret"), s.NewConversation())
	exchange(t, s, "three", "third")
	must(t, s.GoOn(2))
	exchange(t, s, "more secret", "psst again")
	must(t, s.Delete(2)) // in which one is
	if s.Current().ID != 0 || s.Delete(2) != ErrNoConversation || s.Rename(2, "x") != ErrNoConversation || s.GoOn(2) != ErrNoConversation {
		t.Errorf("after deleting it one is in %+v", s.Current())
	}
	exchange(t, s, "four", "fourth")
	for range 3 {
		if got := dump(s); strings.Contains(got, "ecret") || strings.Contains(got, "psst") || strings.Contains(got, "hush") {
			t.Fatalf("it is back:\n%s", got)
		}
		var ids []int
		for _, c := range s.Conversations() {
			ids = append(ids, c.ID)
		}
		if !slices.Equal(ids, []int{1, 3, 4}) || s.Current().ID != 4 {
			t.Errorf("%v, in %+v", ids, s.Current())
		}
		s, _ = open(t, m)
		must(t, s.Begin())
	}
}

// An answer goes on behind the deletion of something else, at this start and the next one, and not behind its own.
func TestDeleteWhileAnswering(t *testing.T) {
	for _, c := range []struct {
		what   string
		delete func(s *Store) error
		want   string // the messages of the current conversation
	}{
		{"another conversation", func(s *Store) error { return s.Delete(1) }, "two | half, the rest"},
		{"a fact", func(s *Store) error { return s.Unremember(s.Facts()[0].ID) }, "two | half, the rest"},
		{"nothing", func(s *Store) error { return s.write(0, arranged(kindDelete, nil, "records", "")) }, "two | half, the rest"},
		{"this conversation", func(s *Store) error { return s.Delete(2) }, "the rest"},
		{"this message", func(s *Store) error { return s.Forget(0) }, "the rest"},
		{"this answer", func(s *Store) error { return s.Forget(1) }, "two | the rest"},
	} {
		t.Run(c.what, func(t *testing.T) {
			m := newMedium(testSize)
			s, _ := open(t, m)
			exchange(t, s, "one", "first")
			must(t, s.NewConversation(), s.AddUser("two"))
			_, err := s.Remember("a fact")
			a := s.BeginAnswer()
			must(t, err, a.Write("half, "), a.Flush(), c.delete(s))
			finish(t, a, "the rest")
			for range 2 {
				if got := texts(s.Conversation()); got != c.want {
					t.Errorf("it has %q", got)
				}
				if last := s.Conversation(); last[len(last)-1].Partial {
					t.Errorf("%+v", last)
				}
				s, _ = open(t, m)
			}
		})
	}
}

// The record with which a deleted conversation began is damaged in both copies: its words do not become a
// part of the one before.
func TestDeletedWithoutBeginning(t *testing.T) {
	m := newMedium(testSize)
	s, _ := open(t, m)
	exchange(t, s, "one", "first")
	at := s.j.tail
	must(t, s.NewConversation())
	exchange(t, s, "secret", "psst")
	must(t, s.GoOn(1))
	exchange(t, s, "two", "second")
	must(t, s.GoOn(2))
	exchange(t, s, "secret again", "psst")
	must(t, s.Delete(2))
	exchange(t, s, "three", "third")
	m.data[at+20] ^= 1
	m.data[at+20+testSize/2] ^= 1
	s, rec := open(t, m)
	if got := dump(s); rec.Lost() != 1 || strings.Contains(got, "secret") || texts(s.Messages(1)) != "one | first | two | second" || texts(s.Conversation()) != "three | third" {
		t.Errorf("lost %d\n%s", rec.Lost(), got)
	}
}

// Other conversations' words between those of a deleted one stay, also when they come to light later.
func TestDeletedAmongOthers(t *testing.T) {
	m := newMedium(testSize)
	s, _ := open(t, m)
	exchange(t, s, "one", "first")
	must(t, s.NewConversation())
	exchange(t, s, "secret", "psst")
	must(t, s.End())
	for i := range 3 {
		s, _ = open(t, m)
		must(t, s.GoOn(1))
		exchange(t, s, fmt.Sprint("again ", i), "yes")
		must(t, s.GoOn(2))
		exchange(t, s, "more secret", "psst")
		must(t, s.End())
	}
	s, _ = open(t, m)
	must(t, s.Delete(2), s.GoOn(1), s.End())
	s, _ = open(t, m)
	if got, want := texts(s.Conversation()), "one | first | again 0 | yes | again 1 | yes | again 2 | yes"; got != want || len(s.Conversations()) != 1 {
		t.Errorf("%s, want %s", got, want)
	}
}

// What can't be read at the start at which a conversation is deleted, and comes to light later, is not deleted with
// it if it belongs to another.
func TestDeletedAroundHidden(t *testing.T) {
	d := fstest.New(1<<20, 512, 0, rand.New(rand.NewPCG(5, 5)))
	s, _ := open(t, d)
	exchange(t, s, "one", strings.Repeat("first ", 2000))
	at := s.j.tail / blockSize * blockSize
	must(t, s.NewConversation())
	exchange(t, s, "other", strings.Repeat("second ", 1000))
	must(t, s.GoOn(1))
	exchange(t, s, "two", strings.Repeat("third ", 1000))
	must(t, s.End())
	from, to := at+blockSize, s.j.tail/blockSize*blockSize
	d.Fail = func(op fstest.Op, off int64, n int) error {
		for _, half := range []int64{0, d.Size() / 2} {
			if op == fstest.Read && off < half+to && off+int64(n) > half+from {
				return fstest.ErrPassing
			}
		}
		return nil
	}
	s, rec := open(t, d)
	if got := dump(s); rec.Unread == 0 && len(rec.Holes) == 0 || strings.Contains(got, "second second") {
		t.Fatalf("nothing is hidden: %+v", rec)
	}
	must(t, s.GoOn(1))
	exchange(t, s, "three", "fourth")
	must(t, s.Delete(1), s.End())
	d.Fail = nil
	s, _ = open(t, d)
	if got := dump(s); !strings.Contains(got, "other") || !strings.Contains(got, "second second") {
		t.Errorf("another conversation is gone, too:\n%.2000s", got)
	} else if strings.Contains(got, "first") || strings.Contains(got, "third") || strings.Contains(got, "fourth") {
		t.Errorf("the deleted one is back:\n%.2000s", got)
	}
}

// Forgetting deletes the last messages with all that they replaced, and leaves what came before, replaced
// answers included.
func TestForget(t *testing.T) {
	m := newMedium(testSize)
	s, _ := open(t, m)
	exchange(t, s, "one", "bad")
	finish(t, s.ReplaceAnswer(1), "good")
	exchange(t, s, "my PIN is 1243", "noted")
	must(t, s.Replace(2, "my PIN is 1234"))
	finish(t, s.BeginAnswer(), "noted")
	finish(t, s.ReplaceAnswer(3), "noted well")
	if b := s.Branches(1); len(b) != 3 || b[1].After != 2 || b[2].After != 3 {
		t.Errorf("%+v", b)
	}
	must(t, s.Forget(2), s.Forget(2), s.Forget(7))
	for range 2 {
		got := dump(s)
		if strings.Contains(got, "PIN") || strings.Contains(got, "noted") || texts(s.Conversation()) != "one | good" || !strings.Contains(got, "after 1: bad") {
			t.Errorf("after forgetting\n%s", got)
		}
		s, _ = open(t, m)
	}
	exchange(t, s, "two", "second")
	must(t, s.Forget(0))
	if s, _ = open(t, m); len(s.Conversations()) != 0 || len(s.Conversation()) != 0 {
		t.Errorf("all is forgotten but\n%s", dump(s))
	}
	exchange(t, s, "new", "and so on")
	if got := texts(s.Conversation()); got != "new | and so on" {
		t.Error(got)
	}
}

// An answer stays until the first piece of the one that replaces it is saved; an earlier message that is
// changed takes with it what was replaced behind it.
func TestReplace(t *testing.T) {
	m := newMedium(testSize)
	s, _ := open(t, m)
	exchange(t, s, "one", "first")
	s.ReplaceAnswer(1) // stopped before it said anything
	s, _ = open(t, m)
	if got := texts(s.Conversation()); got != "one | first" {
		t.Errorf("nothing was said instead, and there is %s", got)
	}
	a := s.ReplaceAnswer(1)
	must(t, a.Write("fir"))
	s, _ = open(t, m) // the plug is pulled
	if got := s.Conversation(); texts(got) != "one | fir" || !got[1].Partial {
		t.Errorf("%+v", got)
	}
	finish(t, s.ReplaceAnswer(1), "First.")
	exchange(t, s, "two", "second")
	must(t, s.Replace(0, "other"))
	finish(t, s.BeginAnswer(), "thing")
	for range 2 {
		b := s.Branches(1)
		if texts(s.Conversation()) != "other | thing" || len(b) != 3 || texts(b[0].Messages) != "one | first" || texts(b[1].Messages) != "one | fir" ||
			texts(b[2].Messages) != "one | First. | two | second" || b[0].After+b[1].After+b[2].After != 0 {
			t.Errorf("%s", dump(s))
		}
		s, _ = open(t, m)
	}
	// With nothing to be replaced it is an answer of its own.
	finish(t, s.ReplaceAnswer(2), "more")
	if s, _ = open(t, m); texts(s.Conversation()) != "other | thing | more" {
		t.Errorf("%s", dump(s))
	}
}

// Records of a later version are passed over, and kept: no session changes their bytes.
func TestLaterRecords(t *testing.T) {
	m := newMedium(testSize)
	s, _ := open(t, m)
	exchange(t, s, "one", "first")
	later := []string{"\x00 of a kind that is not known", string(encodePairs("version", "2", "conversation", "3", "records", "1-99", "title", "later", "from", "1")), ""}
	must(t, s.write(0, record{kind: 77, payload: []byte(later[0])}))
	for _, k := range []kind{kindGoOn, kindTitle, kindDelete, kindBranch, kindFact} {
		must(t, s.write(0, record{kind: k, payload: []byte(later[1])}), s.write(0, record{kind: k, payload: []byte(later[2])}))
	}
	before := slices.Clone(m.data[:s.j.tail])
	must(t, s.End())
	for range 3 {
		s, rec := open(t, m)
		if got := dump(s); len(rec.Holes) > 0 || texts(s.Messages(1)) != "one | first" || strings.Contains(got, "later") {
			t.Errorf("%+v\n%s", rec, got)
		}
		must(t, s.NewConversation())
		exchange(t, s, "two", "second")
		must(t, s.Rename(1, "renamed"), s.Delete(s.Current().ID), s.GoOn(1), s.End())
		if !slices.Equal(m.data[:len(before)], before) {
			t.Fatal("records of a later version were changed")
		}
	}
}

// FuzzArranged replays records as a damaged or malicious drive might have them: nothing fails, nothing that
// was not said is there, and the next start reads the same.
func FuzzArranged(f *testing.F) {
	f.Add(byte(kindDelete), "version\x001\x00conversation\x003\x00records\x001-5,9-7,x\x00", byte(kindBranch), "version\x001\x00conversation\x003\x00from\x003\x00")
	f.Add(byte(kindGoOn), "version\x001\x00conversation\x0099\x00", byte(kindTitle), "version\x001\x00conversation\x0099\x00title\x00a\nb\x00")
	f.Add(byte(kindDelete), "version\x001\x00records\x000-18446744073709551615\x00", byte(kindDelete), "version\x00-1\x00")
	f.Add(byte(kindBranch), "version\x001\x00conversation\x003\x00from\x000\x00", byte(kindAnswerEnd), "")
	f.Fuzz(func(t *testing.T, kind1 byte, payload1 string, kind2 byte, payload2 string) {
		m := newMedium(testSize)
		s, _ := open(t, m)
		all := []string{}
		for i := range 3 {
			must(t, s.NewConversation())
			for k := range 2 {
				q, a := fmt.Sprintf("q%d%d", i, k), fmt.Sprintf("a%d%d", i, k)
				all = append(all, q, a)
				exchange(t, s, q, a)
			}
			finish(t, s.ReplaceAnswer(3), "b")
		}
		all = append(all, "b", "after", "that", "th", "at")
		for _, r := range []record{{kind: kind(kind1), payload: []byte(payload1)}, {kind: kind(kind2), payload: []byte(payload2)}} {
			if r.kind == kindUser || r.kind == kindChunk || r.kind == kindCommit || len(r.payload) > 1<<10 {
				return
			}
			must(t, s.AddUser("after"))
			a := s.BeginAnswer()
			must(t, a.Write("th"), a.Flush(), s.write(0, r))
			finish(t, a, "at")
		}
		got := dump(s)
		for _, c := range s.Conversations() {
			list := s.Messages(c.ID)
			if len(list) != c.Messages || c.Messages == 0 {
				t.Errorf("%+v has %d messages", c, len(list))
			}
			for _, b := range s.Branches(c.ID) {
				if b.After < 0 || len(b.Messages) == 0 {
					t.Errorf("%+v", b)
				}
				list = append(list, b.Messages...)
			}
			for _, m := range list {
				if !slices.Contains(all, m.Text) && m.Text != "" {
					t.Errorf("nobody said %q", m.Text)
				}
			}
		}
		again, _ := open(t, m)
		if text := dump(again); text != got {
			t.Errorf("the next start reads\n%s\nand not\n%s", text, got)
		}
		must(t, again.NewConversation())
		exchange(t, again, "on", "and on")
		if got := texts(again.Conversation()); got != "on | and on" {
			t.Errorf("a new conversation has %s", got)
		}
	})
}
