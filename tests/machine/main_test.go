package machine

import (
	"flag"
	"os"
	"testing"

	"alphaos/internal/vmtest"
	"alphaos/ovmf"
)

var soak = flag.Bool("soak", false, "run everything at full length")

func TestMain(m *testing.M) { os.Exit(vmtest.Main(m)) }

// program builds the command in the folder name of this package into an EFI
// application.
func program(t testing.TB, name string, flags ...string) string {
	t.Helper()
	return vmtest.EFI(t, "./tests/machine/"+name, flags...)
}

// fiveLevels builds for firmware that uses five levels of page tables.
const fiveLevels = "-asmflags=alphaos/amd64=-D=FIVELEVELS"

// boot starts a machine that leaves its drive as it is.
func boot(t testing.TB, c ovmf.Config) *vmtest.Person {
	t.Helper()
	c.Snapshot = true
	return vmtest.Boot(t, c)
}
