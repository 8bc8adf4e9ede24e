package tests

import (
	"os"
	"testing"

	"alphaos/internal/vmtest"
)

func TestMain(m *testing.M) { os.Exit(vmtest.Main(m)) }
