package boot

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"alphaos/assistant"
)

// Each line of the log that holds something of a stranger's has a mark there.
func TestReportOfLog(t *testing.T) {
	const device = "PciRoot(0x0)/Pci(0x1,0x0)/NVMe(0x1,53-45-43-52-45-54-53-45)/HD(1,GPT,53454352-4554-5345-4352-455453454352,0x1,0x2)"
	clock := 0
	s := &Start{Log: Log{now: func() time.Duration { clock++; return time.Duration(clock) * 50 * time.Millisecond }}}
	s.Options.Verbose, s.Options.Report = true, true
	s.Log.Printf("load options: %q", "SECRET verbose")
	s.Log.Printf("load options: %q", "")
	s.Log.Printf("program: 12000 KiB at 0x1000, from %s, built with go1.23", `\SECRET\ALPHAOS.EFI`)
	s.Log.Printf("program: 12000 KiB at 0x1000, from %s, built with go1.23", `\EFI\BOOT\BOOTX64.EFI`)
	s.Log.Printf("drive: %q on %s", `SECRET" on`, device)
	s.Log.Printf("drive: %q on %s", "ALPHAOS", device)
	s.Log.Printf("drive: reading 8 blocks at 5 of %s: EFI_DEVICE_ERROR (x)", device)
	s.Log.Printf("disk: 64.0 GB in blocks of 512: %s", device)
	var lines []string
	for _, f := range s.Log.fields() {
		lines = append(lines, assistant.Mask(f.String()))
	}
	text := strings.Join(lines, "\n")
	if m := regexp.MustCompile(`SECRET|53-45|53454`).FindString(text); m != "" {
		t.Errorf("it tells %q:\n%s", m, text)
	}
	for _, want := range []string{"0.050           load options: there are some\n", "0.100           load options: \"\"\n", "from another place, built with go1.23",
		`from \EFI\BOOT\BOOTX64.EFI, built with`, `drive: "ALPHAOS" on PciRoot(0x0)/Pci(0x1,0x0)/NVMe/HD`, `drive: "another label" on `, "at 5 of PciRoot(0x0)/Pci(0x1,0x0)/NVMe/HD: EFI_DEVICE_ERROR"} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	fields, err := s.Sections()[0].Facts(t.Context(), nil)
	if got := fmt.Sprint(fields, err); got != "[options         verbose report] <nil>" {
		t.Error(got)
	}
}
