package assistant

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"unsafe"

	"alphaos/engine"
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
