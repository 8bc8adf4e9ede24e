package console

import (
	"fmt"
	"testing"
	"time"
)

// TestSamples plays a conversation on three screens. With CONSOLE_PNG=directory in the environment it
// leaves pictures there to look at.
func TestSamples(t *testing.T) {
	for _, size := range [][2]int{{800, 600}, {1280, 800}, {2880, 1800}} {
		t.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(t *testing.T) {
			r := newRig(t, size[0], size[1])
			name := func(what string) string { return fmt.Sprintf("%s-%dx%d.png", what, size[0], size[1]) }
			p := r.Progress("Loading llama-3.2-3b-q4_k_m.gguf", 2019377376)
			for i := range int64(62) {
				r.now = r.now.Add(100 * time.Millisecond)
				p.Set(i * 20193773)
			}
			r.screen.save(t, name("loading"))
			r.now = r.now.Add(4 * time.Second)
			p.Set(2019377376)
			p.Done()
			r.Quiet("llama 3B, Q4_K, 28 layers, context 8192, 4 threads")
			r.Notice("Note: your last session ended unexpectedly. I've recovered your conversation up to 14:32:07.")
			r.say("What makes the sky blue? Please keep it short — one paragraph, and a naïve drawing if you can.")
			_, done := r.StopContext(t.Context())
			r.BeginAnswer()
			for _, tok := range []string{"Sun", "light", " is", " a", " mix", "ture", " of", " every", " col", "our,", " and", " air", " scatters",
				" the", " short", " waves", " far", " more", " than", " the", " long", " ones", ":", " about", " λ⁻⁴", ",", " so", " blue",
				" “bounces”", " around", " until", " it", " seems", " to", " come", " from", " everywhere", ".\n\n"} {
				r.write(tok)
			}
			r.write("┌─────────┐      ╔══════╦═══╗\n│  sun ☼  │ ───► ║ air  ║ ☺ ║\n└────┬────┘      ╠══════╬═══╣\n     ▼           ║ blue ║ √ ║\n  • red → far    ╚══════╩═══╝\n")
			r.write("  ▁▂▃▄▅▆▇█  ░▒▓  日本語 is not in the font, é neither composed nor not: é ✓ 🙂")
			r.screen.save(t, name("streaming"))
			r.write("\n")
			done()
			r.Quiet("128 tokens, 11.4 tokens/s, 201 of 8192 context used")
			r.say("/load llama-9b")
			r.Error("There is no model llama-9b on this drive. Type /models to see which there are.")
			r.write("╔═╦═╗ ╒═╤═╕ ╓─╥─╖ ┏━┳━┓ ┎─┰─┒ ╭─┬─╮  ⇒ ✗ ★ ▶ \u2011 ﬁ € ™ ‘q’ … « » † ‡ §\n╠═╬═╣ ╞═╪═╡ ╟─╫─╢ ┣━╋━┫ ┠─╂─┨ ├─┼─┤  🇩🇪 👍 中 Ελληνικά кириллица\n╚═╩═╝ ╘═╧═╛ ╙─╨─╜ ┗━┻━┛ ┖─┸─┚ ╰─┴─╯  ▖▗▘▙▚▛▜▝▞▟ \x1b[31m \x07\n")
			ch := r.read("you> ")
			r.press("And why are sunsets red, then? I would have expected them to be even bluer, given all that air the light has to go through", Left, Left, Left)
			r.settled()
			r.until(func() bool { return r.editor.pos > 100 })
			r.consistent()
			r.screen.save(t, name("typing"))
			r.press(Enter)
			<-ch
			r.BeginAnswer()
			for i := range 60 {
				r.write(fmt.Sprintf("Line %d of an answer that is long enough to scroll the screen a little. ", i))
			}
			r.consistent()
			r.press(PageUp)
			r.until(func() bool { return r.paging })
			r.consistent()
			r.screen.save(t, name("paging"))
			r.press(PageDown)
			r.until(func() bool { return !r.paging })
		})
	}
}
