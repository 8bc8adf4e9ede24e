package chat

import (
	"strings"
	"testing"

	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
	"alphaos/llm/tokenizer"
)

// Templates of models that think, written after the forms that the models were trained with: what stands
// between turns, which switch they know, and what becomes of old thoughts.
const (
	// Qwen 3.5 begins a thought itself unless it is told not to think; LFM2 has the same turns and no switch.
	qwen35Template = `{%- if messages[0].role == 'system' %}{{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}{%- endif %}
{%- for m in messages if m.role != 'system' %}{%- set content = m.content %}{%- if m.role == 'assistant' and '</think>' in content %}{%- set content = content.split('</think>')[-1].lstrip('\n') %}{%- endif %}{{- '<|im_start|>' + m.role + '\n' + content + '<|im_end|>\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- else %}{{- '<think>\n' }}{%- endif %}{%- endif %}`
	lfm2Template = `{{- bos_token }}{%- for m in messages %}{{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}`
	// SmolLM3 tells in a system text of its own how it is to reason.
	smollm3Template = `{%- if enable_thinking is not defined %}{%- set enable_thinking = true %}{%- endif %}{{- '<|im_start|>system\n## Metadata\n\nReasoning Mode: ' + ('/think' if enable_thinking else '/no_think') + '\n\n' }}{%- if messages[0].role == 'system' %}{{- messages[0].content }}{%- endif %}{{- '<|im_end|>\n' }}
{%- for m in messages if m.role != 'system' %}{%- if m.role == 'assistant' %}{{- '<|im_start|>assistant\n' + m.content.lstrip('\n') + '<|im_end|>\n' }}{%- else %}{{- '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}{%- endif %}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- if not enable_thinking %}{{- '<think>\n\n</think>\n' }}{%- endif %}{%- endif %}`
	gemma4Template = `{{- bos_token }}{%- if enable_thinking is defined and enable_thinking or messages[0].role == 'system' %}{{- '<|turn>system\n' }}{%- if enable_thinking is defined and enable_thinking %}{{- '<|think|>' }}{%- endif %}{%- if messages[0].role == 'system' %}{{- messages[0].content | trim }}{%- endif %}{{- '<turn|>\n' }}{%- endif %}
{%- for m in messages if m.role != 'system' %}{{- '<|turn>' + ('model' if m.role == 'assistant' else 'user') + '\n' + m.content | trim + '<turn|>\n' }}{%- endfor %}{%- if add_generation_prompt %}{{- '<|turn>model\n' }}{%- endif %}`
	granite4Template  = `{%- if messages[0].role != 'system' %}{{- '<|start_of_role|>system<|end_of_role|>You are a helpful assistant.<|end_of_text|>\n' }}{%- endif %}{%- for m in messages %}{{- '<|start_of_role|>' + m.role + '<|end_of_role|>' + m.content + '<|end_of_text|>\n' }}{%- endfor %}{%- if add_generation_prompt %}{{- '<|start_of_role|>assistant<|end_of_role|>' }}{%- endif %}`
	ministralTemplate = `{{- bos_token }}{%- if messages[0].role == 'system' %}{{- '[SYSTEM_PROMPT]' + messages[0].content + '[/SYSTEM_PROMPT]' }}{%- endif %}{%- for m in messages if m.role != 'system' %}{%- if m.role == 'user' %}{{- '[INST]' + m.content + '[/INST]' }}{%- else %}{{- m.content + eos_token }}{%- endif %}{%- endfor %}`
	phi4Template      = `{%- for m in messages %}{{- '<|im_start|>' + m.role + '<|im_sep|>' + m.content + '<|im_end|>' }}{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant<|im_sep|>' }}{%- endif %}`
	phi4miniTemplate  = `{%- for m in messages %}{{- '<|' + m.role + '|>' + m.content + '<|end|>' }}{%- endfor %}{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}`
	r1Template        = `{{- bos_token }}{%- for m in messages %}{%- if m.role == 'system' %}{{- m.content }}{%- elif m.role == 'user' %}{{- '<｜User｜>' + m.content }}{%- else %}{%- set content = m.content %}{%- if '</think>' in content %}{%- set content = content.split('</think>')[-1] %}{%- endif %}{{- '<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>' }}{%- endif %}{%- endfor %}{%- if add_generation_prompt %}{{- '<｜Assistant｜><think>\n' }}{%- endif %}`
)

func TestThoughts(t *testing.T) {
	for _, c := range []struct {
		name, template string
		control        []string
		switches       bool
		off            string // what the prompt of a model that is not to think ends with
		made           string
		thought, text  string
		next           string // what the next prompt has of the answer, and around it
	}{
		{"Qwen 3.5", qwen35Template, []string{"<|im_start|>", "<|im_end|>", "<think>", "</think>"}, true, "<|im_start|>assistant\n<think>\n\n</think>\n\n",
			"Hm.\n</think>\n\nHi!<|im_end|>", "Hm.\n", "Hi!", "<|im_start|>assistant\nHi!<|im_end|>\n"},
		{"Qwen 3.5, spelled out", qwen35Template, []string{"<|im_start|>", "<|im_end|>"}, true, "<think>\n\n</think>\n\n",
			"Hm <b.\n</think>\n\nHi!<|im_end|>", "Hm <b.\n", "Hi!", "<|im_start|>assistant\nHi!<|im_end|>\n"},
		{"LFM2", lfm2Template, []string{"<|im_start|>", "<|im_end|>", "<think>", "</think>"}, false, "",
			"<think>Hm.</think>\n\nHi!<|im_end|>", "Hm.", "Hi!", "<|im_start|>assistant\nHi!<|im_end|>\n"},
		{"SmolLM3", smollm3Template, []string{"<|im_start|>", "<|im_end|>", "<think>", "</think>"}, true, "<|im_start|>assistant\n<think>\n\n</think>\n",
			"<think>\nHm.\n</think>\nHi!<|im_end|>", "\nHm.\n", "Hi!", "<|im_start|>assistant\nHi!<|im_end|>\n"},
		{"Gemma 4", gemma4Template, []string{"<|turn>", "<turn|>", "<|channel>", "<channel|>", "<|think|>"}, true, "<|turn>model\n",
			"<|channel>thought\nHm.<channel|>Hi!<turn|>", "Hm.", "Hi!", "<|turn>model\nHi!<turn|>\n"},
		{"Gemma 4, no thought", gemma4Template, []string{"<|turn>", "<turn|>", "<|channel>", "<channel|>", "<|think|>"}, true, "<|turn>model\n",
			"Hi!<turn|>", "", "Hi!", "<|turn>model\nHi!<turn|>\n"},
		{"Granite 4", granite4Template, []string{"<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"}, false, "",
			"Hi!<|end_of_text|>", "", "Hi!", "<|start_of_role|>assistant<|end_of_role|>Hi!<|end_of_text|>\n"},
		{"Ministral", ministralTemplate, []string{"[INST]", "[/INST]", "[THINK]", "[/THINK]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"}, false, "",
			"[THINK]Hm [/ t.[/THINK]Hi!", "Hm [/ t.", "Hi!", "[/INST]Hi!"},
		{"Phi 4", phi4Template, []string{"<|im_start|>", "<|im_end|>", "<|im_sep|>"}, false, "", "Hi!<|im_end|>", "", "Hi!", "assistant<|im_sep|>Hi!<|im_end|>"},
		{"Phi 4 mini", phi4miniTemplate, []string{"<|user|>", "<|assistant|>", "<|end|>", "<|system|>"}, false, "", "Hi!<|end|>", "", "Hi!", "<|assistant|>Hi!<|end|>"},
		{"DeepSeek R1", r1Template, []string{"<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", "<think>", "</think>"}, false, "",
			"Hm.\n</think>\n\nHi!<｜end▁of▁sentence｜>", "Hm.\n", "Hi!", "<｜Assistant｜>Hi!<｜end▁of▁sentence｜>"},
		{"only thoughts", r1Template, []string{"<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", "<think>", "</think>"}, false, "",
			"Hm </thi", "Hm </thi", "", ""},
	} {
		f := llmtest.New(llmtest.BPE("default", append([]string{"<|startoftext|>", "<|endoftext|>"}, c.control...))...)
		f.Set("tokenizer.chat_template", c.template)
		f.Add("token_embd.weight", gguf.F32, nil, 1)
		tables := f.Tables()
		raw, err := tokenizer.New(tables)
		if err != nil {
			t.Fatal(err)
		}
		tmpl := Detect(tables)
		if w := tmpl.Warning(); w != "" && !strings.Contains(w, "spelled out") {
			t.Errorf("%s: %s", c.name, w)
		}
		if tmpl.Switches() != c.switches {
			t.Errorf("%s: it switches: %v", c.name, !c.switches)
		}
		tok := tmpl.Vocabulary(raw)
		turns := []Turn{{Role: "user", Text: "hello"}}
		if no := Thinking(false); c.switches {
			if got := tok.Decode(tmpl.WithThinking(&no).Prompt(raw, turns)...); !strings.HasSuffix(spell(tok, tmpl.WithThinking(&no).Prompt(raw, turns)), c.off) {
				t.Errorf("%s: not to think, the prompt is %q", c.name, got)
			}
			if a := tmpl.WithThinking(&no).Answer(raw); a.Thinking() {
				t.Errorf("%s: it thinks though it is not to", c.name)
			}
		}
		for _, size := range []int{1, 100} { // marks in pieces, or whole
			a := tmpl.Answer(raw)
			var text, thought string
			for _, id := range spelt(tok, c.made) {
				ids := []int32{id}
				if size == 1 && !tok.IsMarker(id) {
					ids = nil
					for _, b := range []byte(tok.Decode(id)) {
						ids = append(ids, tok.Encode(string([]byte{b}), tokenizer.EncodeOptions{})...)
					}
				}
				more := true
				for _, id := range ids {
					var s string
					s, more = a.Write(id)
					text, thought = text+s, thought+a.Thought()
				}
				if !more {
					break
				}
			}
			text += a.End()
			if thought += a.Thought(); text != c.text || thought != c.thought {
				t.Errorf("%s: thought %q and said %q, not %q and %q", c.name, thought, text, c.thought, c.text)
			}
			if ids := a.IDs(); ids != nil && tok.Decode(ids...) != c.text {
				t.Errorf("%s: the answer's tokens are those of %q", c.name, tok.Decode(ids...))
			}
			if c.next == "" {
				continue
			}
			next := spell(tok, tmpl.Prompt(raw, append(turns, Turn{Role: "assistant", Text: text, IDs: a.IDs()}, Turn{Role: "user", Text: "bye"})))
			if !strings.Contains(next, c.next) || c.thought != "" && strings.Contains(next, "Hm") {
				t.Errorf("%s: the next prompt is %q", c.name, next)
			}
		}
		// A thought that is concluded ends there.
		if c.thought == "" {
			continue
		}
		a := tmpl.Answer(raw)
		for _, id := range spelt(tok, strings.SplitAfter(c.made, "Hm")[0]) {
			a.Write(id)
		}
		if !a.Thinking() || a.Thought() == "" {
			t.Errorf("%s: it does not think", c.name)
		}
		var text string
		for _, id := range append(a.Conclude(), tok.Encode("yes", tokenizer.EncodeOptions{})...) {
			s, _ := a.Write(id)
			text += s
		}
		if text += a.End(); text != "yes" || a.Thinking() || a.Conclude() != nil {
			t.Errorf("%s: concluded, it says %q", c.name, text)
		}
	}
}
