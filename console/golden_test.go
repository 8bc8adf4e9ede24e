package console

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alphaos/internal/picture"
)

// scenes are what a person sees in a conversation.
var scenes = []struct {
	name string
	play func(t *testing.T, r *rig)
}{
	{"loading", func(t *testing.T, r *rig) {
		r.StopContext(t.Context())
		r.SetBars(func(b *Bars) { *b = Bars{Enter: "cancels"} })
		r.Quiet("The keyboard is read as a US one; /set keyboard lists the others.")
		r.Notice("Note: Your last session ended unexpectedly. I've recovered your conversation up to 29 November 2026, 14:32:07.")
		p := r.Progress("Loading llama-3.2-3b-q4_k_m", 2019377376)
		for i := range int64(62) {
			r.now = r.now.Add(100 * time.Millisecond)
			p.Set(i * 20193773)
		}
	}},
	{"answering", func(t *testing.T, r *rig) {
		r.say("How do I reverse a list in Python, and compare it with Go?")
		r.StopContext(t.Context())
		r.BeginAnswer()
		for _, s := range strings.SplitAfter(demo, " ") {
			r.write(s)
		}
		r.later(time.Second)
		r.press("and in Rust?")
		r.later(0)
		r.SetBars(func(b *Bars) { b.Doing, b.Pace = "answering", "4.2 tokens/s" })
	}},
	{"thinking", func(t *testing.T, r *rig) {
		r.say("What is 12 times 12?")
		_, done := r.StopContext(t.Context())
		r.BeginAnswer()
		r.Think("Twelve times twelve.\n\nTen times twelve is 120, and two times twelve is 24.")
		r.Thought("Thought for 3 s: /thoughts shows it.")
		r.write("12 times 12 is **144**.\n")
		r.Quiet("46 tokens, 11.4 tokens/s, context 201 of 8192")
		done()
		r.say("And by 12 again?")
		r.StopContext(t.Context())
		r.BeginAnswer()
		for range 40 {
			r.Think("144 times 10 is 1440, and times 2 is 288, which together makes 1728. Is that right? ")
		}
		r.SetBars(func(b *Bars) { b.Doing, b.Pace = "answering", "4.2 tokens/s" })
	}},
	{"commands", func(t *testing.T, r *rig) {
		r.say("What makes the sky blue?")
		r.BeginAnswer()
		r.write("Sunlight is a *mixture* of every colour, and air scatters the short waves far more than the long ones: about **λ⁻⁴**, so blue “bounces” around until it seems to come from everywhere [1].\n")
		r.Quiet("46 tokens, 11.4 tokens/s, context 201 of 8192")
		r.Error("The model llama-9b can't be used: there is no such file.")
		r.Suggest(func(line string) []Suggestion {
			return []Suggestion{{"/set ", "set parameters, system prompt, screen, keyboard, time zone"}, {"/show ", "show the model, memory, parameters or the system prompt"}, {"/models", "list the models on this drive"},
				{"/load ", "go on with another model"}, {"/clear", "begin a new conversation"}, {"/history", "show this conversation and list the others"}, {"/raw", "show answers as they came, or laid out again"}}
		})
		r.read("you> ")
		r.press("/", Down, Down, Down)
		r.settled()
		r.until(func() bool { return r.choice == 2 })
	}},
	{"menu", func(t *testing.T, r *rig) {
		r.say("/models")
		r.choose(Menu{
			Title: "Settings", Filter: true, Choice: 2,
			Rows: func() []Row {
				return []Row{
					{Name: "Look", Head: true},
					{Name: "Text size", Value: "small  normal  [large]  huge", Turns: true},
					{Name: "Theme", Value: "[night]  day  contrast", Turns: true, Help: "how the screen looks"},
					{Head: true},
					{Name: "Model", Head: true},
					{Name: "Model", Value: "llama-3.2-3b-q4_k_m", Help: "2.0 GB, fits, 11 tokens/s"},
					{Name: "What it is told first", Value: "Answer briefly."},
				}
			},
			Notes: func() []Note {
				return []Note{{"Drive", "ALPHAOS, 64 GB, 41 GB free", Plain}, {"Note", "The model needs 6.1 GB and there are 3.2 GB of memory for it: it will be read from the drive for each token, which is slow.", Notice}}
			},
		})
	}},
	{"scripts", func(t *testing.T, r *rig) {
		r.say("שלום, what can you show? ✅")
		r.BeginAnswer()
		r.write(scripts)
		r.later(0)
		r.read("you> ")
		r.press("それは 漢字 です: ")
		r.until(func() bool { return strings.HasSuffix(r.editor.text, ": ") })
	}},
	{"reading-back", func(t *testing.T, r *rig) {
		for i := range 9 {
			r.say(fmt.Sprintf("Question %d?", i+1))
			r.BeginAnswer()
			r.write("An answer of some length, so that it does not fit on the screen together with the others; and a list:\n\n1. One\n2. Two\n3. Three\n")
			r.Quiet("30 tokens, 4.2 tokens/s, context 300 of 8192")
		}
		r.read("you> ")
		r.press(Tab, Left, Left, Down)
		r.later(0)
	}},
}

const scripts = `**日本語** かな カタカナ, 中文简体 繁體 and 한국어 are two cells wide: 「引用」、句点。
שָׁלוֹם! זאת הודעה ב-AlphaOS 2.0 (גרסה חדשה), והיא נמשכת עד לסוף השורה, ואז עוברת לשורה הבאה כמו כל טקסט אחר.
مرحبا، هذا نص بالعربية مع كلمة English والأرقام 123.
- ไทย: สวัสดีครับ ที่นี่ น้ำ
- हिन्दी: नमस्ते, दुनिया; தமிழ்; ქართული; Հայերեն; አማርኛ
- Tiếng Việt, Česky, Ελληνικά, Русский, q̣ x̂
- ✅ done ❌ not ☹ sad ☺ glad 😀 😢 🚀 🎉 👍🏽 🇩🇪 1️⃣ ⭐ ❤️ 💔 👩‍💻 ∇φ ⊕ ∮ ∛ ℵ ⟨x⟩ ⅓ ♩♪ ☀ ✂ ☎

| Language | Greeting | 数 |
|---|---|--:|
| עברית | שלום (hi) | 12 |
| 中文 | 你好 | 3 |

` + "```\nprintln(\"日本\", \"שלום\", \"😀\")\n```\n"

// TestScreens plays scenes and compares them with pictures that were looked at.
func TestScreens(t *testing.T) {
	for _, scene := range scenes {
		for _, tt := range []struct {
			w, h        int
			theme, size string
		}{{800, 600, "night", "normal"}, {1280, 800, "night", "normal"}, {2880, 1800, "night", "normal"}, {1280, 800, "day", "normal"}, {1280, 800, "contrast", "large"}} {
			name := fmt.Sprintf("%s-%dx%d", scene.name, tt.w, tt.h)
			if tt.theme != "night" {
				name += "-" + tt.theme
			}
			kept := scene.name == "answering" || tt.theme == "night" && (scene.name != "menu" || tt.w < 2880) && (scene.name != "thinking" || tt.w == 1280) || scene.name == "commands" && tt.theme == "day" || scene.name == "menu" && tt.w < 2880
			if !kept {
				continue
			}
			t.Run(name, func(t *testing.T) {
				r := newRig(t, tt.w, tt.h)
				r.o.Clock = func() time.Time { return time.Date(2026, 11, 29, 14, 32, 0, 0, time.FixedZone("", 3600)) }
				if err := r.SetTheme(tt.theme); err != nil {
					t.Fatal(err)
				}
				if err := r.SetTextSize(tt.size); err != nil {
					t.Fatal(err)
				}
				r.SetBars(func(b *Bars) {
					*b = Bars{Title: "Reversing lists", Model: "Llama 3.2 3B", Saved: AllSaved, Context: 18}
				})
				scene.play(t, r)
				r.consistent()
				picture.Compare(t, r.screen.pix, r.screen.w, filepath.Join("testdata", name+".png"))
			})
		}
	}
}
