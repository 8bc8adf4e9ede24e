package assistant

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"unsafe"

	"alphaos/drive/manifest"
	"alphaos/engine"
	"alphaos/fs"
	"alphaos/llm"
	"alphaos/llm/gguf"
	"alphaos/llm/llmtest"
)

// One bit flips in the weights in memory, one in the file, one in the journal's second copy: /check
// names each, and the weights are mended.
func TestCheck(t *testing.T) {
	model := llmtest.Llama(llmtest.Quantized(gguf.Q8_0)).Bytes()
	sum := sha256.Sum256(model)
	file := &fstest.MapFile{Data: bytes.Clone(model)}
	fsys := fstest.MapFS{"m/real.gguf": file, "m/real.gguf.sha256": {Data: llm.ChecksumLine(sum[:], "real.gguf")}}
	tables, err := gguf.Read(bytes.NewReader(model), int64(len(model)))
	if err != nil {
		t.Fatal(err)
	}
	up, _ := tables.Tensor("blk.1.ffn_up.weight")

	var memories [][]byte
	medium := &memory{data: make([]byte, 256<<10)}
	c := openStore(t, medium)
	c.Models = engine.DirModels(fsys, "m")
	c.Engine.LLM.Alloc = func(n int) ([]byte, error) {
		memories = append(memories, make([]byte, n))
		return memories[len(memories)-1], nil
	}
	c.Start.Params = map[string]string{"temperature": "0", "num_predict": "5"}
	p := sit(t, c)
	check := func(want ...string) {
		t.Helper()
		p.says("/check")
		p.expect("stops that.")
		said := strings.Join(strings.Fields(p.expect(Prompt)), " ")
		p.seen -= len(Prompt)
		for _, w := range want {
			if !strings.Contains(said, w) {
				t.Errorf("%q is missing: %s", w, said)
			}
		}
	}
	p.says("hello")
	p.expect("5 tokens")
	const good = " of weights, as they were loaded model file real, "
	check(good, ", as its checksum says", "records, the same in both copies All is right.")

	at := up.Offset - tables.DataOffset&^4095 + up.Bytes/2 // repacking leaves a tensor in its place
	memories[0][at] ^= 2
	begin := uintptr(unsafe.Pointer(&memories[0][up.Offset-tables.DataOffset&^4095]))
	check(fmt.Sprintf("The weights of real have changed in memory since they were loaded, within 139 kB of blk.1.ffn_up.weight at %#x.", begin),
		"Note: real is loaded again.", "changed in 1 place; loaded again", "Not all is right")
	if len(memories) != 2 {
		t.Errorf("memory was taken %d times", len(memories))
	}
	check(good, "All is right.")

	file.Data[len(file.Data)-3] ^= 0x40
	check(good[:30], "real.gguf does not match its checksum in real.gguf.sha256: it is damaged, so copy or download it again.",
		"What is in memory of real is right", "model file real is damaged", "Not all is right")
	file.Data[len(file.Data)-3] ^= 0x40

	medium.data[len(medium.data)/2+4096+50] ^= 1
	check("1 record is damaged in the second copy alone. /restart mends that.", "Not all is right")
	p.says("/bye")
	<-p.done

	again := openStore(t, medium)
	again.Models = c.Models
	p = sit(t, again)
	check(good, "the same in both copies All is right.")
}

// /models verify says what became of each file that was signed, and can be stopped.
func TestVerify(t *testing.T) {
	c := openStore(t, &memory{data: make([]byte, 256<<10)})
	c.Models = engine.DirModels(fstest.MapFS{"m/real.gguf": {Data: llmtest.Llama(llmtest.Quantized(gguf.Q8_0)).Bytes()}}, "m")
	var report *manifest.Report
	var failure error
	var asked string
	began := make(chan struct{})
	c.Drive.Verify = func(ctx context.Context, fingerprint string, progress func(done, total int64)) (*manifest.Report, error) {
		asked = fingerprint
		progress(1, 3)
		if errors.Is(failure, context.Canceled) {
			close(began)
			<-ctx.Done()
			return report, ctx.Err()
		}
		progress(3, 3)
		return report, failure
	}
	p := sit(t, c)
	for _, tt := range []struct {
		line   string
		report *manifest.Report
		err    error
		want   []string
	}{
		{"/models verify", &manifest.Report{By: "By the key.", Known: true, Right: 2, Bytes: 3000}, nil, []string{"Enter or Ctrl-C stops that.", "Comparing with what was signed", "By the key.", "All 2 files, 3.00 kB, are as signed."}},
		{"/models VERIFY ab:cd", &manifest.Report{By: "By a key.", Right: 1, Bytes: 3000}, nil, []string{"By a key.", "The only file, 3.00 kB, is as the manifest says"}},
		{"/models verify", &manifest.Report{By: "By the key.", Known: true, Right: 2, Wrong: []string{"/models/a is missing.", "/models/b is not listed."}}, nil, []string{"/models/a is missing.", "/models/b is not listed.", "2 files are not as they were signed, 2 are: see above."}},
		{"/models verify", nil, manifest.ErrNone, []string{"This drive has no signed manifest"}},
		{"/models verify", &manifest.Report{By: "By the key."}, fs.ErrRemoved, []string{"By the key.", "Plug it in again."}},
		{"/models verify", &manifest.Report{By: "By the key.", Wrong: []string{"/models/a is missing."}}, context.Canceled, []string{"/models/a is missing.", "Stopped before all was compared."}},
	} {
		report, failure = tt.report, tt.err
		p.says(tt.line)
		if errors.Is(tt.err, context.Canceled) {
			<-began
			p.keys.Write([]byte("\x03"))
		}
		said := strings.Join(strings.Fields(p.expect(Prompt)), " ")
		p.seen -= len(Prompt)
		for _, w := range tt.want {
			if !strings.Contains(said, w) {
				t.Errorf("%s: said %q, not %q", tt.line, said, w)
			}
		}
		if _, want, _ := strings.Cut(strings.ToLower(tt.line), "verify"); asked != strings.TrimSpace(want) {
			t.Errorf("%s asked for %q", tt.line, asked)
		}
	}
	p.says("/bye")
	<-p.done
}
