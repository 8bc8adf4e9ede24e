package assistant

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"alphaos/llm/chat"
	"alphaos/store"
)

// past shows what was said.
type past struct {
	ui      UI
	store   *store.Store // nil: there is none
	journal *journal
	display Display
	now     func() time.Time
}

const shownTurns = 4 // at the start

// recovered tells what store.Open found, and shows the end of the conversation.
func (h *past) recovered(r store.Recovery) {
	if n := len(r.Holes); n > 0 {
		first := r.Holes[0]
		when := "before " + h.when(first.Before)
		if !first.After.IsZero() {
			when = "between " + h.when(first.After) + " and " + h.when(r.Holes[n-1].Before)
		}
		h.ui.Error(fmt.Sprintf("The journal is damaged: %s from %s can't be read any more. Everything else is kept.",
			count(int(r.Lost()), "entry", "entries"), when))
	}
	if r.Repaired > 0 {
		h.ui.Quiet(fmt.Sprintf("%s of the journal could not be read in one of its two copies; the other copy has everything.",
			count(r.Repaired, "block", "blocks")))
	}
	if r.Unread > 0 {
		h.ui.Error("The drive fails to read the end of the journal, so what you said last may not be shown. It is not written over: switch off, plug the drive in again and start again to see it.")
	}
	msgs, _ := h.store.Tail(shownTurns)
	switch {
	case r.Unclean && len(msgs) > 0:
		h.ui.Notice("Note: Your last session ended unexpectedly. I've recovered your conversation up to " + h.when(r.UpTo) + ".")
	case r.Unclean:
		h.ui.Notice("Note: Your last session ended unexpectedly. Nothing had been said in it, so nothing is lost.")
	}
	h.end("your last conversation")
}

// end shows the end of the current conversation, which is called name.
func (h *past) end(name string) {
	msgs, total := h.store.Tail(shownTurns)
	if len(msgs) == 0 {
		return
	}
	from := 0
	for total > len(msgs) && from < len(msgs)-1 && msgs[from].Role != store.User {
		from++
	}
	head := strings.ToUpper(name[:1]) + name[1:]
	if total > len(msgs)-from {
		head = fmt.Sprintf("The end of %s (%d messages, /history shows all)", name, total)
	}
	h.ui.Quiet(head + ", " + h.when(msgs[len(msgs)-1].Time) + ":")
	code := 0 // blocks of it before
	for _, m := range h.store.Conversation()[:total-len(msgs)+from] {
		code += blocks(m.Role, m.Text)
	}
	for _, m := range msgs[from:] {
		h.display.CodeFrom(code)
		h.replay(m, 600)
		code += blocks(m.Role, m.Text)
	}
	if msgs[len(msgs)-1].Role == store.User {
		h.ui.Quiet("This was not answered: /retry does it.")
	}
	say(h.ui, "") // what comes now was not said then
}

// replay shows a message; its text is cut to limit characters, unless that is 0.
func (h *past) replay(m store.Message, limit int) {
	note := ""
	text := []rune(strings.TrimSpace(cited(m.Text, sourcesOf(m.Stats.Sources))))
	if limit > 0 && len(text) > limit {
		text = append(append(text[:limit/2:limit/2], []rune(" […] ")...), text[len(text)-limit/2:]...)
	}
	if m.Partial {
		note = "(cut short)"
	}
	if m.Role == store.Assistant {
		h.ui.ReplayAnswer(string(text), note)
	} else {
		h.ui.Replay(Prompt, string(text), note)
	}
}

func (h *past) when(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.In(h.now().Location()).Format("2 January 2006, 15:04:05")
}

// unsaved shows a conversation without a store, whose first gone messages are not
// kept.
func (h *past) unsaved(turns []chat.Turn, gone int) {
	if gone > 0 {
		h.ui.Quiet("The first " + count(gone, "message is", "messages are") + " not kept.")
	}
	code := 0
	for _, t := range turns {
		h.display.CodeFrom(code)
		h.replay(store.Message{Role: t.Role, Text: t.Text}, 0)
		code += blocks(t.Role, t.Text)
	}
	if len(turns) == 0 {
		say(h.ui, nothingSaid)
	}
}

// one shows the conversation of that number.
func (h *past) one(ctx context.Context, number string) {
	if c, ok := h.pick(number); ok {
		h.recite(ctx, h.store.Messages(c.ID))
	}
}

// all lists the earlier conversations and shows the current one. whole is false
// when more was said than was saved.
func (h *past) all(ctx context.Context, whole bool) {
	list, current := h.list(), h.store.Conversation()
	now := h.store.Current().ID
	list = slices.DeleteFunc(list, func(c store.Conversation) bool { return c.ID == now })
	waiting := h.journal.waiting
	if len(list) == 0 && len(current) == 0 && len(waiting) == 0 {
		say(h.ui, nothingSaid)
		return
	}
	if n := len(list); n > shownInList {
		say(h.ui, fmt.Sprintf("Earlier conversations, the last %d of %d (/conversations all lists all, /history N shows one):", shownInList, n))
		h.entries(list[n-shownInList:])
	} else if n > 0 {
		say(h.ui, "Earlier conversations (/history N shows one):")
		h.entries(list)
	}
	if len(current) > 0 {
		say(h.ui, "This conversation:")
		h.recite(ctx, current)
	}
	if len(waiting) > 0 {
		say(h.ui, "Not saved yet:")
		for _, u := range waiting {
			if u.role == "" {
				h.ui.Quiet("A new conversation.")
				continue
			}
			h.replay(store.Message{Role: u.role, Text: u.text}, 0)
		}
	}
	if !whole {
		h.ui.Quiet("What was said after /set nohistory is not saved and not shown.")
	}
}

// recite shows a conversation. It may be years long, so it can be stopped like an
// answer.
func (h *past) recite(ctx context.Context, msgs []store.Message) {
	ctx, done := h.ui.StopContext(ctx)
	defer done()
	day, code := "", 0
	for i, m := range msgs {
		h.display.CodeFrom(code)
		code += blocks(m.Role, m.Text)
		if ctx.Err() != nil {
			h.ui.Quiet("Stopped. " + count(len(msgs)-i, "message more", "messages more"))
			return
		}
		if d := m.Time.In(h.now().Location()).Format("2 January 2006"); d != day {
			day = d
			h.ui.Quiet(d)
		}
		h.replay(m, 0)
	}
}
