package assistant

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"alphaos/archive"
	"alphaos/console"
	"alphaos/console/keyboard"
	"alphaos/drive"
	"alphaos/engine"
	"alphaos/internal/picture"
	"alphaos/store"
)

// weighty is models that seem to have the size of real ones.
type weighty struct{ engine.Models }

func (s weighty) List() ([]engine.ModelFile, error) {
	list, err := s.Models.List()
	for i, m := range list {
		list[i].Size = map[string]int64{"huge-70b-q4_k_m.gguf": 42520395873, "llama-3.2-3b-q4_k_m.gguf": 2019377376, "llama-3.2-1b-q8_0.gguf": 1321082528, "embed-minilm-l6-v2.gguf": 45949216, "alphaos-guide.gguf": 4712448, "bad.gguf": 1998213120}[m.Name]
	}
	return list, err
}

// nowhere and nothing take what is kept for other programs.
type (
	nowhere struct{ archive.Folder }
	nothing struct{}
)

func (nowhere) Files() ([]iofs.FileInfo, error)       { return nil, nil }
func (nowhere) Write(string, time.Time, []byte) error { return nil }
func (nowhere) Scrub(context.Context) error           { return nil }
func (nothing) Keep(context.Context) (string, error)  { return "", nil }

type facts struct{ unknown }

func (facts) About() []console.Field {
	return []console.Field{{Name: "firmware", Value: "EDK II"}, {Name: "processors", Value: "4 of 4 in use"}, {Name: "memory", Value: "7.1 GB of 8.6 GB free"}}
}

const (
	keyDown, keyRight, keyLeft, opened = "\x1b[B", "\x1b[C", "\x1b[D", "Type a number"
)

// atScreen begins a session in front of a screen, on a drive on which something was said before.
func atScreen(t *testing.T, disk *memory, screen *picture.Screen, theme string, change func(*Config)) (*person, Config) {
	now := time.Date(2026, 5, 12, 14, 37, 0, 0, time.FixedZone("", 2*3600))
	w := &world{t: t, context: 4000, now: now}
	s, rec, err := store.Open(disk, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Drive: Drive{Store: s, Recovery: rec}}
	files := fstest.MapFS{}
	for _, name := range []string{"llama-3.2-3b-q4_k_m.gguf", "llama-3.2-1b-q8_0.gguf", "embed-minilm-l6-v2.gguf", "huge-70b-q4_k_m.gguf", "bad.gguf"} {
		files["models/"+name] = modelFile(name)
	}
	guide := fstest.MapFS{"alphaos-guide.gguf": modelFile("guide.gguf")}
	c.Models = weighty{engine.WithBuiltIn(engine.DirModels(files, "models"), engine.DirModels(guide, "."))}
	c.Now = func() time.Time { return now }
	c.loader, c.Machine = w, facts{}
	c.Forecaster = paces{"llama-3.2-3b-q4_k_m.gguf": 11.1, "llama-3.2-1b-q8_0.gguf": 17, "guide.gguf": 4700}
	c.Start.Theme = theme
	c.Start.Model = "llama-3.2-3b"
	c.Engine.LLM.Budget = 6 << 30
	c.Keys = &keyboard.Keyboard{}
	c.Drive.Measure = func() (drive.Facts, error) { return drive.Facts{Size: 64e9, Free: 41e9, Rate: 180e6}, nil }
	c.Drive.Files, c.Drive.Database, c.Drive.Close = nowhere{}, nothing{}, func() error { return nil }
	c.Drive.SaveExport = func(_ time.Time, name string, _ []byte) (string, error) { return "/data/backup/" + name, nil }
	if change != nil {
		change(&c)
	}
	return sitAt(t, c, false, screen), c
}

func (p *person) press(keys ...string) {
	p.t.Helper()
	for _, k := range keys {
		if _, err := io.WriteString(p.keys, k); err != nil {
			p.t.Fatal(err)
		}
	}
}

// said is a drive with three conversations.
func said(t *testing.T) *memory {
	disk := &memory{data: make([]byte, 256<<10)}
	now := time.Date(2026, 5, 11, 9, 5, 0, 0, time.UTC)
	s, _, err := store.Open(disk, func() time.Time { return now })
	for i, text := range []string{"How do I reverse a list in Python?", "Was heißt „guten Tag“ auf Japanisch?", "מה מזג האוויר?"} {
		now = now.Add(200 * time.Minute)
		if i > 0 && err == nil {
			err = s.NewConversation()
		}
		if err == nil {
			err = s.AddUser(text)
		}
		if err == nil {
			a := s.BeginAnswer()
			err = errors.Join(a.Write([]string{"xs[::-1] makes a list that is reversed.", "こんにちは (konnichiwa).", "אני לא יודע: אין לי רשת."}[i]), a.End(store.Stats{}, false))
		}
	}
	if err = errors.Join(err, s.End()); err != nil {
		t.Fatal(err)
	}
	return disk
}

// The screens, in three sizes; and what their keys do.
func TestMenus(t *testing.T) {
	for _, tt := range []struct {
		w, h  int
		theme string
	}{{800, 600, "day"}, {1280, 800, "night"}, {2880, 1800, "night"}} {
		t.Run(fmt.Sprintf("%dx%d", tt.w, tt.h), func(t *testing.T) {
			screen := picture.New(tt.w, tt.h)
			shows := func(name string) {
				t.Helper()
				screen.Shows(t, fmt.Sprintf("testdata/%s-%dx%d.png", name, tt.w, tt.h))
			}
			disk := said(t)
			zone := ""
			p, _ := atScreen(t, disk, screen, tt.theme, func(c *Config) { c.SetTimezone = func(text string) error { zone = text; return nil } })
			p.says("/settings")
			p.expect(opened)
			shows("settings")
			p.press(keyRight) // the text is large now, and normal again
			p.expect("Text size: small  normal  [large]  huge")
			p.press(keyLeft, keyDown, keyDown, keyRight)
			p.expect("Prose is no wider than: 60  80  [100]  screen")
			p.press(keyLeft, keyDown, keyRight)
			p.expect("Answers are shown: laid out  [as they came]")
			p.press(keyLeft, "clock", keyRight)
			p.expect("Clock: ")
			p.press("\r")
			p.says("/models")
			p.expect(opened)
			shows("models")
			p.press(keyLeft)
			p.says("/conversations")
			p.expect(opened)
			shows("conversations")
			p.press("\r")
			p.expect("Go on with it")
			p.expect(opened)
			shows("conversation")
			p.press(keyLeft)
			p.expect(opened)
			p.press(keyLeft)
			p.says("/find reversed japan")
			p.expect("Nothing that was said")
			p.says("/find list python")
			p.expect(Prompt)
			shows("found")
			p.press("/bye\r")
			<-p.done
			shows("goodbye")
			if zone != "+03:00" {
				t.Errorf("the zone is %q", zone)
			}
		})
	}
}

// Enter three times is a way through the first start, and it is not shown again.
func TestFirstStart(t *testing.T) {
	for _, tt := range []struct {
		w, h  int
		theme string
	}{{800, 600, "day"}, {1280, 800, "night"}, {2880, 1800, "night"}} {
		t.Run(fmt.Sprintf("%dx%d", tt.w, tt.h), func(t *testing.T) {
			screen := picture.New(tt.w, tt.h)
			disk := &memory{data: make([]byte, 256<<10)}
			options := map[string]string{"setup": "true"}
			first := func(c *Config) {
				c.Start.Setup, c.Start.Model = true, ""
				c.Drive.Option = func(name, value string) error { options[name] = value; return nil }
			}
			p, _ := atScreen(t, disk, screen, tt.theme, first)
			for i := range 3 {
				p.expect(fmt.Sprintf("First start: %d of 3", i+1))
				p.expect(opened)
				screen.Shows(t, fmt.Sprintf("testdata/first-start-%d-%dx%d.png", i+1, tt.w, tt.h))
				p.press("\r")
			}
			p.expect("All of this is in /settings later.")
			p.says("/models")
			p.expect("in use, fits")
			p.expect(opened)
			p.press(keyLeft)
			p.says("/bye")
			<-p.done
			if options["setup"] != "" {
				t.Errorf("the options are %v", options)
			}
			// The option may be there again, or could not be changed: what the journal says counts.
			p, _ = atScreen(t, disk, screen, tt.theme, first)
			p.says("/bye")
			<-p.done
			if strings.Contains(string(p.text), "First start") {
				t.Error("it was shown again")
			}
		})
	}
}

// What /search finds, and where it is opened.
func TestDocumentsScreen(t *testing.T) {
	for _, tt := range []struct {
		w, h  int
		theme string
	}{{800, 600, "day"}, {1280, 800, "night"}, {2880, 1800, "night"}} {
		t.Run(fmt.Sprintf("%dx%d", tt.w, tt.h), func(t *testing.T) {
			screen := picture.New(tt.w, tt.h)
			docs := fstest.MapFS{
				"flat/lease-2024.md": {Data: []byte("# Lease\n\nBetween Ms Gray and the tenant.\n\n## Term\n\nThe flat is let for a fixed term that ends on 30 September 2027. Either party may give notice three months before the end of the lease, in writing.\n\n## Rent\n\nThe rent is due on the third day of each month.\n")},
				"mail/landlord.txt":  {Data: []byte("As agreed we extend the lease by one year, until September 2028, at the same rent. Its end is then the end of the month.\n")},
				"notes/garden.md":    {Data: []byte("# Garden\n\nPrune the roses in March, when the frost has gone.\n")},
			}
			w := &world{t: t}
			p, _ := atScreen(t, &memory{data: make([]byte, 256<<10)}, screen, tt.theme, func(c *Config) {
				k := w.keeper()
				k.Documents, c.Drive.Documents, c.Drive.Retriever = docs, docs, k
			})
			p.says("/search when does the lease end")
			p.expect("/open N shows one in its document.")
			p.says("/open 1")
			p.expect("ends on 30 September 2027")
			p.expect(Prompt)
			screen.Shows(t, fmt.Sprintf("testdata/documents-%dx%d.png", tt.w, tt.h))
			p.press("/bye\r")
			<-p.done
		})
	}
}
