package assistant

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"alphaos/store"
)

// folder is a drive with a model that shows the turns it sees, and room for much.
func folder(t testing.TB) *world {
	return &world{t: t, context: 1 << 15, models: fstest.MapFS{"models/tiny.gguf": modelFile("tiny.gguf")},
		medium: &memory{data: make([]byte, 8<<20)}, state: &memory{data: make([]byte, 64<<10)}, now: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)}
}

// evening types lines and returns what was shown.
func (w *world) evening(lines ...string) string {
	w.out.Reset()
	for _, l := range lines {
		if !slices.ContainsFunc(prompts, func(p string) bool { return strings.HasPrefix(l, p) }) && l != "# cut" {
			l = Prompt + l
		}
		w.lines = append(w.lines, l)
	}
	w.boot()
	return w.out.String()
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in\n%.3000s", part, text)
		}
	}
}

// A conversation of forty turns, some of them said or answered again, is for the model and for the next start
// what is shown of it.
func TestFortyTurns(t *testing.T) {
	w := folder(t)
	var lines []string
	for i := range 40 {
		lines = append(lines, fmt.Sprintf("message %d", i))
		switch i % 4 {
		case 1:
			lines = append(lines, "/retry")
		case 2:
			lines = append(lines, fmt.Sprintf("/edit better message %d", i))
		case 3:
			lines = append(lines, fmt.Sprintf("slip %d", i), "forget that", "Forget it? (yes or no) yes", "/retry")
		}
	}
	said := w.evening(append(lines, "/bye")...)
	contains(t, said, `You said "message 39". I see 40.`, "Conversation: 80 messages saved")
	said = w.evening("and now?", "/history", "/find slip", "/bye")
	contains(t, said, `You said "and now?". I see 41.`, "| you> better message 38\n| alpha> You said \"better message 38\". I see 39.\n| you> message 39\n", `Nothing that was said has "slip".`)
	_, history, _ := strings.Cut(said, "This conversation:")
	for i := range 40 {
		if n := strings.Count(history, fmt.Sprintf("message %d\n", i)); n != 1 {
			t.Errorf("message %d is there %d times", i, n)
		}
		if i%4 == 2 && strings.Contains(history, fmt.Sprintf("| you> message %d\n", i)) {
			t.Errorf("message %d was changed and is there as it was", i)
		}
	}
}

// Hundreds of conversations: the last ones are listed, all are found, any is gone on with, at the next start
// too, and the model sees that one and no other.
func TestHundredsOfConversations(t *testing.T) {
	w := folder(t)
	const many = 300
	for from := 0; from < many; from += 100 {
		var lines []string
		for i := from; i < from+100; i++ {
			lines = append(lines, "/new", fmt.Sprintf("about %d-things", i), "needle in this"[:6+8*(i%2)])
		}
		w.evening(append(lines, "/bye")...)
	}
	said := w.evening("/conversations", "/history", `/find "about 17-things"`, "/find needle", "/find this needle", "/conversations 99-th", "/open 18", "more", "/bye")
	contains(t, said, "The last 20 of 300 conversations", "\n300  23 Nov 2026, ", "about 299-things (4 messages, this one)", "Earlier conversations, the last 20 of 299",
		"2 messages in 1 conversation (/open N goes on with one):\n 18  ",
		"600 messages in 300 conversations, of which these are the last 20", "300 messages in 150 conversations",
		"3 of 300 conversations", `Conversation 18, "about 17-things"`, `You said "more". I see 3.`)
	said = w.evening("/conversations", "/delete 299", "Delete it? (yes or no) yes", "and more", "/conversations all")
	contains(t, said, "| you> more\n", `I see 4.`, "about 17-things (6 messages, this one)")
	if _, all, _ := strings.Cut(said, "you> /conversations all\n"); strings.Count(all, "-things (") != many-1 || strings.Contains(all, "298-things") {
		t.Errorf("all are\n%.2000s", all)
	}
}

// What a model remembers on the drive of a conversation is taken off it when that is deleted, and the next
// session remembers what is left.
func TestDeletedLeavesState(t *testing.T) {
	for _, how := range [][]string{{"/delete", "Delete it? (yes or no) yes"}, {"forget that", "Forget it? (yes or no) yes"}, {"/delete 2", "Delete it? (yes or no) yes"}} {
		w := folder(t)
		w.evening("hello, this is long enough to be kept", "/new", "my secret is 12345678901234567890", "/bye")
		secret := func() bool {
			text := make([]byte, 0, len(w.state.data))
			for i := 5; i+4 <= len(w.state.data); i += 4 {
				text = append(text, w.state.data[i])
			}
			return strings.Contains(string(text), "my secret")
		}
		if !secret() {
			t.Fatal("the state has nothing of it")
		}
		w.evening(append(how, "# cut")...)
		if secret() {
			t.Errorf("after %q the state still has it", how)
		}
		w.evening("my secret is 12345678901234567890", "forget that", "Forget it? (yes or no) yes", "/bye")
		if !slices.Contains(w.dropped, "my secret is 12345678901234567890") || slices.Contains(w.dropped, "hello, this is long enough to be kept") {
			t.Errorf("after %q the Up key does not bring back %q", how, w.dropped)
		}
		if secret() {
			t.Error("what was forgotten in the same session was saved with the state")
		}
		w.evening("/open 1", "something else, which is long enough as well", "/bye")
		if secret() || w.state.data[0] != 'S' {
			t.Errorf("after %q and another evening the state has it, or nothing", how)
		}
	}
}

// TestAnyEvening types commands in any order, and cuts the power now and then: what was deleted never comes
// back, what is shown as current is what the model sees, and nothing fails.
func TestAnyEvening(t *testing.T) {
	for seed := range uint64(6) {
		w := folder(t)
		r := rand.New(rand.NewPCG(seed, 5))
		gone, n := map[string]bool{}, 0
		var now []string // the messages of the current conversation
		for range 12 {
			var lines []string
			for range 12 {
				n++
				text := fmt.Sprintf("word%dx", n)
				switch k := r.IntN(10); {
				case k < 4:
					lines, now = append(lines, text), append(now, text)
				case k == 4:
					lines = append(lines, "/retry")
				case k == 5 && len(now) > 0:
					gone[now[len(now)-1]] = true // it is in a branch, which is not shown or found
					now[len(now)-1] = text
					lines = append(lines, "/edit "+text)
				case k == 6 && len(now) > 0:
					gone[now[len(now)-1]] = true
					now = now[:len(now)-1]
					lines = append(lines, "forget that", "Forget it? (yes or no) yes")
				case k == 7 && len(now) > 0:
					for _, m := range now {
						gone[m] = true
					}
					now = nil
					lines = append(lines, "/delete", "Delete it? (yes or no) yes")
				case k == 8:
					lines, now = append(lines, "/new"), nil
				}
			}
			w.evening(append(lines, []string{"/bye", "# cut"}[r.IntN(2)])...)
			s, _, err := store.Open(&memory{data: append([]byte(nil), w.medium.data...)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			var users []string
			for _, c := range s.Conversations() {
				for _, m := range s.Messages(c.ID) {
					if m.Role == store.User && gone[m.Text] {
						t.Fatalf("seed %d: %s is back", seed, m.Text)
					}
				}
			}
			for _, m := range s.Conversation() {
				if m.Role == store.User {
					users = append(users, m.Text)
				}
			}
			if strings.Join(users, " ") != strings.Join(now, " ") {
				t.Fatalf("seed %d: the conversation is %v, want %v", seed, users, now)
			}
		}
		said := w.evening("and?")
		contains(t, said, fmt.Sprintf("I see %d.", len(now)+1))
	}
}
